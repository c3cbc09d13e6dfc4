/** Leader election between several processes that share an API server and a clock by hand. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { CountingMetrics } from '../../services/testing/storage-rig.ts';
import { fieldOf } from './json.ts';
import { KINDS } from './kinds.ts';
import { KubeError } from './kube-error.ts';
import { LEASE_TIMES, LeaderLease, type Leadership, LeaseLostError } from './lease.ts';
import { leaseMetrics } from './metrics.ts';
import { microTime } from './micro-time.ts';
import { MemoryKube } from './testing/memory-kube.ts';

const second = 1000;
const KEY = { namespace: 'op', name: 'minikv-operator' };
let clock: ManualClock;
let kube: MemoryKube;
let stop: AbortController;

beforeEach(() => {
  clock = new ManualClock();
  kube = new MemoryKube(clock);
  stop = new AbortController();
});

interface Candidate {
  readonly metrics: CountingMetrics;
  term: Leadership | null;
}

function campaign(identity: string, key = KEY): Candidate {
  const metrics = new CountingMetrics();
  const lease = new LeaderLease(
    { kube, clock, random: seededRandom(1), logger: silentLogger, metrics: leaseMetrics(metrics) },
    { key, identity, ...LEASE_TIMES },
  );
  const candidate: Candidate = { metrics, term: null };
  lease.acquire(stop.signal).then(
    (term) => {
      candidate.term = term;
    },
    () => undefined,
  );
  return candidate;
}

const spec = (name: string): unknown => fieldOf(kube.read(KINDS.lease, KEY), 'spec', name);
const epochOf = ({ term }: Candidate): number => term?.epoch ?? Number.NaN;
const timeAt = (seconds: number): string => microTime(1_700_000_000_000 + seconds * second);
/** A lease that nobody holds, of somebody's making. */
const leave = (left: object): void => {
  const { apiVersion, kind } = KINDS.lease;
  kube.put(KINDS.lease, { apiVersion, kind, metadata: KEY, spec: { holderIdentity: '', ...left } });
};
/** From now on only calls for which `may` holds get through. */
const cut = (may: (verb: string) => boolean): void => {
  kube.intercept = ({ verb }) => {
    if (!may(verb)) throw new KubeError({ code: 0, reason: 'NoAnswer', message: 'cut' });
    return undefined;
  };
};

describe('taking', () => {
  test('one of two gets it, the other waits for as long as it is renewed', async () => {
    const a = campaign('a');
    await clock.flush();
    const b = campaign('b');
    await clock.advance(600 * second);
    expect(a.term?.isFresh).toBe(true);
    expect(b.term).toBeNull();
    expect([spec('holderIdentity'), spec('leaseDurationSeconds')]).toEqual(['a', 60]);
    expect(spec('renewTime')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(await a.metrics.print()).toContain('minikv_operator_is_leader 1');
    expect(await b.metrics.print()).toContain('minikv_operator_is_leader 0');
  });

  test('of two that start at once exactly one gets it', async () => {
    const both = [campaign('a'), campaign('b')];
    await clock.advance(30 * second);
    expect(both.filter(({ term }) => term !== null)).toHaveLength(1);
  });

  test('a lease handed back is taken at the next attempt, with a higher epoch', async () => {
    const a = campaign('a');
    await clock.flush();
    const b = campaign('b');
    await clock.advance(second);
    const released = a.term?.release();
    await clock.flush();
    await released;
    expect([spec('holderIdentity'), a.term?.isFresh]).toEqual(['', false]);
    await clock.advance(7 * second);
    expect(b.term?.isFresh).toBe(true);
    expect(b.term?.epoch).toBeGreaterThan(epochOf(a));
  });

  test('a holder that is gone is waited for 60 s by the own clock, whatever its times say', async () => {
    kube.put(KINDS.lease, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: KEY,
      spec: {
        holderIdentity: 'gone',
        leaseDurationSeconds: 60,
        renewTime: '1999-01-01T00:00:00.000000Z',
        leaseTransitions: 7,
      },
    });
    const b = campaign('b');
    await clock.advance(59 * second);
    expect(b.term).toBeNull();
    await clock.advance(8 * second);
    expect(b.term?.isFresh).toBe(true);
    expect(spec('leaseTransitions')).toBe(8);
  });

  test('an own write whose answer was lost is not waited for', async () => {
    let lost = false;
    kube.intercept = ({ verb }) => {
      if (verb !== 'create' || lost) return undefined;
      lost = true;
      return 'lose-answer';
    };
    const a = campaign('a');
    await clock.advance(7 * second);
    expect(a.term?.isFresh).toBe(true);
  });

  test('an abort ends the waiting', async () => {
    campaign('a');
    await clock.flush();
    const b = campaign('b');
    await clock.flush();
    stop.abort(new Error('stopping'));
    kube.remove(KINDS.lease, KEY);
    await clock.advance(60 * second);
    expect(b.term).toBeNull();
  });
});

describe('epoch', () => {
  test('is the second in which the lease was acquired times 2^20 plus the transitions', async () => {
    leave({ acquireTime: timeAt(0), leaseTransitions: 7 });
    await clock.advance(100 * second);
    const a = campaign('a');
    await clock.flush();
    expect(a.term?.epoch).toBe(1_700_000_100 * 2 ** 20 + 8);
    expect(Number.isSafeInteger(a.term?.epoch)).toBe(true);
  });

  test('rises over a lease that was deleted and made anew', async () => {
    const a = campaign('a');
    await clock.flush();
    await a.term?.release();
    const b = campaign('b');
    await clock.flush();
    expect(b.term?.epoch).toBe(epochOf(a) + 1);
    kube.remove(KINDS.lease, KEY);
    await clock.advance(60 * second);
    expect(b.term?.isFresh).toBe(false);
    const c = campaign('c');
    await clock.flush();
    expect(c.term?.epoch).toBeGreaterThan(epochOf(b));
  });

  test('rises from a newer lease to an older one that was left in another namespace', async () => {
    leave({ acquireTime: timeAt(0), leaseTransitions: 3 });
    await clock.advance(3600 * second);
    const a = campaign('a', { ...KEY, namespace: 'newer' });
    await clock.advance(10 * second);
    const b = campaign('b');
    await clock.flush();
    expect(b.term?.epoch).toBeGreaterThan(epochOf(a));
  });

  test('rises when the same process acquires the lease once more', async () => {
    const first = campaign('a');
    await clock.flush();
    const again = campaign('a');
    await clock.flush();
    expect(again.term?.epoch).toBe(epochOf(first) + 1);
  });

  test('rises for a holder whose wall clock is behind that of the one before', async () => {
    leave({ acquireTime: timeAt(500), leaseTransitions: 3 });
    const a = campaign('a');
    await clock.flush();
    expect(a.term?.epoch).toBe(1_700_000_500 * 2 ** 20 + 4);
    expect(spec('acquireTime')).toBe(timeAt(500));
    await a.term?.release();
    expect(spec('acquireTime')).toBe(timeAt(500));
  });

  test('is never before the creation, by which it was counted once', async () => {
    leave({ acquireTime: timeAt(-900), leaseTransitions: 3 });
    clock.wallMs = () => 1_699_999_000_000;
    const a = campaign('a');
    await clock.flush();
    expect(a.term?.epoch).toBe(1_700_000_000 * 2 ** 20 + 4);
  });

  test.each([[undefined], ['never'], ['9999-12-31T23:59:59.000000Z']])(
    'an acquisition at %p is taken for one at the creation',
    async (acquireTime) => {
      leave({ acquireTime, leaseTransitions: 3 });
      await clock.advance(second);
      const a = campaign('a');
      await clock.flush();
      expect(a.term?.epoch).toBe(1_700_000_001 * 2 ** 20 + 4);
      expect(spec('acquireTime')).toBe(timeAt(1));
    },
  );

  test('a renewal keeps the time of the acquisition', async () => {
    const a = campaign('a');
    await clock.advance(60 * second);
    expect([a.term?.isFresh, spec('acquireTime'), spec('renewTime')]).toEqual([
      true,
      timeAt(0),
      timeAt(60),
    ]);
  });
});

describe('keeping', () => {
  test('slow and failing renewals within 40 s do not end the term', async () => {
    const a = campaign('a');
    await clock.flush();
    cut(() => false);
    await clock.advance(34 * second);
    expect(a.term?.isFresh).toBe(true);
    kube.intercept = null;
    await clock.advance(6 * second);
    cut(() => false);
    await clock.advance(34 * second);
    expect(a.term?.isFresh).toBe(true);
  });

  test('the term ends 40 s after the last renewal was sent, before another can take it', async () => {
    const a = campaign('a');
    await clock.flush();
    const b = campaign('b');
    await clock.advance(second);
    const reasons: unknown[] = [];
    a.term?.signal.addEventListener('abort', () => reasons.push(a.term?.signal.reason));
    kube.intercept = ({ verb }) => {
      // The holder can no longer write, and its calls hang; others are well.
      if (verb === 'update' && b.term === null && clock.monotonicMs() < 60 * second) {
        return new Promise(() => undefined);
      }
      return undefined;
    };
    await clock.advance(38 * second);
    expect(a.term?.isFresh).toBe(true);
    await clock.advance(1 * second);
    expect(a.term?.isFresh).toBe(false);
    expect(reasons[0]).toBeInstanceOf(LeaseLostError);
    expect(() => a.term?.assertFresh()).toThrow(LeaseLostError);
    expect(b.term).toBeNull();
    await clock.advance(40 * second);
    expect(b.term?.isFresh).toBe(true);
    expect(await a.metrics.print()).toContain('minikv_operator_is_leader 0');
  });

  test('a process that stood still knows without asking that its term is over', async () => {
    const a = campaign('a');
    await clock.flush();
    const frozen = a.term;
    // Only the clock moves: no timer has run yet when the process wakes up.
    clock.monotonicMs = () => 41 * second;
    expect(frozen?.isFresh).toBe(false);
    expect(() => frozen?.assertFresh()).toThrow(LeaseLostError);
  });

  test('a term counts from when its last renewal was sent, not from its answer', async () => {
    const a = campaign('a');
    await clock.flush();
    kube.intercept = ({ verb }) => {
      if (verb !== 'update') return undefined;
      return new Promise((resolve) => void clock.after(9 * second, () => resolve(undefined)));
    };
    // Sent at 5 s, answered at 14 s.
    await clock.advance(14 * second);
    clock.monotonicMs = () => 44 * second;
    expect(a.term?.isFresh).toBe(true);
    clock.monotonicMs = () => 45 * second;
    expect(a.term?.isFresh).toBe(false);
  });

  test('a renewal that arrived without its answer is found, and the term goes on', async () => {
    const a = campaign('a');
    await clock.flush();
    let lost = 0;
    kube.intercept = ({ verb }) => {
      if (verb !== 'update') return undefined;
      lost += 1;
      return lost === 1 ? 'lose-answer' : undefined;
    };
    await clock.advance(120 * second);
    expect(a.term?.isFresh).toBe(true);
  });

  test('another holder in the record ends the term at once', async () => {
    const a = campaign('a');
    await clock.flush();
    kube.edit(KINDS.lease, KEY, (object) => {
      (object['spec'] as Record<string, unknown>)['holderIdentity'] = 'thief';
    });
    await clock.advance(5 * second);
    expect(a.term?.isFresh).toBe(false);
    expect(spec('holderIdentity')).toBe('thief');
  });

  test('handing back does not disturb a new holder', async () => {
    const a = campaign('a');
    await clock.flush();
    kube.edit(KINDS.lease, KEY, (object) => {
      (object['spec'] as Record<string, unknown>)['holderIdentity'] = 'thief';
    });
    await a.term?.release();
    expect(spec('holderIdentity')).toBe('thief');
  });
});
