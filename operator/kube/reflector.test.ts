/** A reflector against an API server in memory that ends, breaks, garbles and forgets, on a clock by hand. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { CountingMetrics } from '../../services/testing/storage-rig.ts';
import { KINDS } from './kinds.ts';
import { KubeError } from './kube-error.ts';
import { reflectorMetrics } from './metrics.ts';
import { type Change, Reflector } from './reflector.ts';
import { MemoryKube, type SeenCall } from './testing/memory-kube.ts';
import type { KubeObject } from './types.ts';

const MAP = KINDS.configMap;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const key = (name: string) => ({ namespace: 'ns', name });
const configMap = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'ns' },
  data: {},
});
const answers = (code: number, retryAfterMs?: number): KubeError =>
  new KubeError({ code, reason: 'Test', message: '', retryAfterMs });

let clock: ManualClock;
let kube: MemoryKube;
let metrics: CountingMetrics;
let changes: string[];
let fatal: Error[];
let reflector: Reflector;
let onChange: (change: Change) => void;

beforeEach(() => {
  clock = new ManualClock();
  kube = new MemoryKube(clock);
  metrics = new CountingMetrics();
  changes = [];
  fatal = [];
  onChange = ({ kind, object }) => void changes.push(`${kind} ${object.metadata.name}`);
  reflector = new Reflector(
    {
      kube,
      clock,
      random: seededRandom(7),
      logger: silentLogger,
      metrics: reflectorMetrics(metrics),
      onChange: (change) => onChange(change),
      onFatal: (error) => void fatal.push(error),
    },
    { kind: MAP, selection: { namespace: 'ns' } },
  );
});
afterEach(async () => {
  const stopped = reflector.stop();
  await clock.advance(MINUTE);
  await stopped;
  expect(kube.watchCount).toBe(0);
});

const started = async (): Promise<void> => {
  reflector.start();
  await clock.flush();
};
const callsOf = (verb: SeenCall['verb']): number =>
  kube.calls.filter((call) => call.verb === verb).length;
const names = (): string[] =>
  reflector.store
    .list()
    .map(({ metadata }) => metadata.name)
    .toSorted();
const edit = (name: string): KubeObject =>
  kube.edit(MAP, key(name), (object) => {
    object['data'] = { at: String(clock.monotonicMs()) };
  });
/** A minute in which the server says how far it is, as the real one does. */
const minutes = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i += 1) {
    await clock.advance(MINUTE);
    kube.sendBookmarks();
    await clock.flush();
  }
};

describe('what is there', () => {
  test('the store has what was listed, page by page, and then every change', async () => {
    for (let i = 0; i < 1100; i += 1) kube.put(MAP, configMap(`m-${i}`));
    expect(reflector.hasSynced).toBe(false);
    await started();
    expect(reflector.hasSynced).toBe(true);
    expect(callsOf('list')).toBe(3);
    expect(names()).toHaveLength(1100);
    changes.length = 0;
    kube.put(MAP, configMap('new'));
    edit('m-7');
    kube.drop(MAP, key('m-8'));
    await clock.flush();
    expect(changes).toEqual(['added new', 'updated m-7', 'deleted m-8']);
    expect(reflector.store.get(key('m-8'))).toBeNull();
  });

  test('managed fields are not kept', async () => {
    kube.put(MAP, configMap('a'));
    await started();
    expect(kube.read(MAP, key('a'))?.metadata['managedFields']).toBeDefined();
    expect(reflector.store.get(key('a'))?.metadata['managedFields']).toBeUndefined();
  });

  test('an update knows what was before', async () => {
    const before: unknown[] = [];
    kube.put(MAP, configMap('a'));
    await started();
    onChange = (change) => void before.push(change.kind === 'updated' ? change.before['data'] : '');
    edit('a');
    await clock.flush();
    expect(before).toEqual([{}]);
  });

  test('an object made anew under its name is deleted and then added, also over a relist', async () => {
    kube.put(MAP, configMap('a'));
    await started();
    changes.length = 0;
    kube.endWatches();
    await clock.flush();
    kube.drop(MAP, key('a'));
    kube.put(MAP, configMap('a'));
    kube.compact();
    await clock.advance(10 * SECOND);
    expect(changes).toEqual(['deleted a', 'added a']);
    expect(callsOf('list')).toBe(2);
  });

  test('a listener that fails stops the process, for its change is lost', async () => {
    await started();
    onChange = () => {
      throw new Error('a bug');
    };
    kube.put(MAP, configMap('a'));
    await clock.flush();
    expect(fatal.map(({ message }) => message)).toEqual(['a bug']);
  });
});

describe('failures', () => {
  test('a list that fails is asked for again, later each time, and never in step', async () => {
    kube.intercept = () => {
      throw answers(500);
    };
    await started();
    await clock.advance(10 * MINUTE);
    const first = callsOf('list');
    // Half a second to half a minute: about 15 s apart in the long run.
    expect(first).toBeGreaterThan(25);
    expect(first).toBeLessThan(90);
    kube.intercept = null;
    await clock.advance(31 * SECOND);
    expect(reflector.hasSynced).toBe(true);
  });

  test('a server that ends every watch at once is not stormed', async () => {
    await started();
    kube.intercept = ({ verb }) => {
      if (verb === 'watch') clock.soon(() => kube.endWatches());
      return undefined;
    };
    kube.endWatches();
    await clock.advance(2 * MINUTE);
    expect(callsOf('watch')).toBeLessThan(30);
    expect(callsOf('list')).toBe(1);
  });

  test('a watch that ends after its time goes on at once, where it was', async () => {
    kube.put(MAP, configMap('a'));
    await started();
    await minutes(5);
    kube.endWatches();
    await clock.flush();
    await clock.advance(0);
    expect(callsOf('watch')).toBe(2);
    kube.put(MAP, configMap('b'));
    await clock.flush();
    expect(names()).toEqual(['a', 'b']);
    expect(callsOf('list')).toBe(1);
  });

  test('a forgotten version is listed anew, with a pause, and gaps are told as differences', async () => {
    kube.put(MAP, configMap('a'));
    kube.put(MAP, configMap('b'));
    await started();
    kube.endWatches(answers(410));
    await clock.flush();
    kube.drop(MAP, key('a'));
    edit('b');
    kube.put(MAP, configMap('c'));
    kube.compact();
    changes.length = 0;
    expect(callsOf('list')).toBe(1);
    await clock.advance(2 * SECOND);
    expect(callsOf('list')).toBe(2);
    expect(changes).toEqual(['deleted a', 'updated b', 'added c']);
  });

  test('410 again and again does not storm either', async () => {
    await started();
    kube.intercept = ({ verb }) => {
      if (verb === 'watch') throw answers(410);
      return undefined;
    };
    kube.endWatches();
    await clock.advance(5 * MINUTE);
    expect(callsOf('list')).toBeLessThan(40);
    expect(callsOf('list')).toBeGreaterThan(5);
  });

  test.each([429, 503])('%s is left alone for as long as it asks', async (code) => {
    await started();
    let refused = 0;
    kube.intercept = ({ verb }) => {
      if (verb !== 'watch') return undefined;
      refused += 1;
      if (refused === 1) throw answers(code, 45 * SECOND);
      return undefined;
    };
    kube.endWatches();
    await clock.advance(2 * SECOND);
    expect(refused).toBe(1);
    await clock.advance(42 * SECOND);
    expect(refused).toBe(1);
    await clock.advance(3 * SECOND);
    expect(refused).toBe(2);
  });

  test('a torn line is a failure: the watch goes on from the last version, and nothing is lost', async () => {
    kube.put(MAP, configMap('a'));
    await started();
    kube.endWatches(new KubeError({ code: 0, reason: 'TornLine', message: '' }));
    await clock.flush();
    kube.put(MAP, configMap('lost-line'));
    await clock.advance(2 * SECOND);
    expect(names()).toEqual(['a', 'lost-line']);
    expect(callsOf('list')).toBe(1);
  });

  test('silence is noticed within two minutes, and bookmarks are no silence', async () => {
    await started();
    await minutes(4);
    expect(callsOf('watch')).toBe(1);
    expect(reflector.silentMs).toBe(0);
    kube.silenceWatches();
    kube.put(MAP, configMap('unheard'));
    await clock.advance(89 * SECOND);
    expect(names()).toEqual([]);
    expect(reflector.silentMs).toBe(89 * SECOND);
    await clock.advance(35 * SECOND);
    expect(names()).toEqual(['unheard']);
    expect(await metrics.print()).toContain(
      'minikv_operator_watch_restarts_total{kind="ConfigMap"} 1',
    );
  });
});

describe('start and stop', () => {
  test('a stop during the list opens no watch and fills no store', async () => {
    kube.put(MAP, configMap('a'));
    let answer = (): void => undefined;
    kube.intercept = () =>
      new Promise((resolve) => {
        answer = () => resolve(undefined);
      });
    await started();
    const stopped = reflector.stop();
    answer();
    await clock.flush();
    await stopped;
    expect(callsOf('watch')).toBe(0);
    expect(reflector.store.list()).toEqual([]);
    expect(changes).toEqual([]);
  });

  test('a second run is not disturbed by what the first one still waits for', async () => {
    const pending: (() => void)[] = [];
    kube.intercept = () => new Promise((resolve) => void pending.push(() => resolve(undefined)));
    await started();
    void reflector.stop();
    reflector.start();
    reflector.start();
    kube.put(MAP, configMap('a'));
    await clock.flush();
    expect(pending).toHaveLength(2);
    kube.intercept = null;
    for (const answer of pending.toReversed()) {
      answer();
      await clock.flush();
    }
    expect(changes).toEqual(['added a']);
    expect(callsOf('watch')).toBe(1);
  });

  test('a stop while a watch is open tells nothing more', async () => {
    await started();
    await reflector.stop();
    kube.put(MAP, configMap('a'));
    await clock.flush();
    expect(changes).toEqual([]);
    await started();
    expect(changes).toEqual(['added a']);
  });
});

describe('audit', () => {
  const drift = async (): Promise<string[]> =>
    (await metrics.print()).split('\n').filter((line) => line.includes('drift'));

  test('a sound cache is compared every ten minutes and found sound', async () => {
    kube.put(MAP, configMap('a'));
    await started();
    await minutes(35);
    // A stream that ends within an audit has it begin again on the next one.
    expect(callsOf('list')).toBeGreaterThanOrEqual(4);
    expect(callsOf('list')).toBeLessThanOrEqual(6);
    expect(await drift()).toEqual([]);
    expect(changes).toEqual(['added a']);
  });

  test('changes while an audit runs are no drift', async () => {
    for (const name of ['a', 'b', 'c']) kube.put(MAP, configMap(name));
    await started();
    for (let i = 0; i < 30; i += 1) {
      kube.put(MAP, configMap(`n-${i}`));
      edit('a');
      kube.drop(MAP, key(i % 2 === 0 ? 'b' : 'c'));
      await minutes(1);
      kube.put(MAP, configMap(i % 2 === 0 ? 'b' : 'c'));
    }
    expect(callsOf('list')).toBeGreaterThan(2);
    expect(await drift()).toEqual([]);
  });

  test('what the cache lacks, has too much or too old is counted, told and mended', async () => {
    for (const name of ['a', 'b', 'c']) kube.put(MAP, configMap(name));
    await started();
    const ghost = {
      ...configMap('ghost'),
      metadata: { ...key('ghost'), uid: 'x', resourceVersion: '1' },
    };
    reflector.store.put(ghost);
    reflector.store.remove(key('a'));
    const old = reflector.store.get(key('b'));
    edit('b');
    await clock.flush();
    if (old !== null) reflector.store.put(old);
    changes.length = 0;
    await minutes(13);
    expect(await drift()).toEqual(['minikv_operator_cache_drift_total 3']);
    expect(changes).toEqual(['deleted ghost', 'added a', 'updated b']);
    expect(names()).toEqual(['a', 'b', 'c']);
  });
});
