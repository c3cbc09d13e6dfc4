import { describe, expect, test } from '@jest/globals';
import { OPS_MAX } from '../api/kv.ts';
import { utf8 } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { birthOf, blobId, logIndex, NOBODY, nodeId, session, txnId } from '../common/ids.ts';
import { KIB, MIB, MINUTE_MS } from '../common/units.ts';
import { collectGarbage } from '../testing/collect-garbage.ts';
import { CoordinatorWorld, type End, HandBody, patterned } from '../testing/coordinator-world.ts';
import type { MutationResult } from './gateway.ts';
import { LIMITS } from './limits.ts';

const small = utf8('a small value');
const bytes = patterned;
const states = (world: CoordinatorWorld): string[] =>
  world.volumes.all().flatMap((volume) => volume.states());

describe('a small value', () => {
  test('is staged on all volumes, decided by one command, finalized and readable', async () => {
    const world = new CoordinatorWorld();
    const result = await world.done(world.put('k', small));
    expect(result.results).toMatchObject([{ effect: 'created', copyCount: 3 }]);
    expect(result.want).toBe(3);
    expect(world.consensus.proposed).toHaveLength(1);
    expect(states(world)).toEqual(['committed', 'committed', 'committed']);
    expect(world.volumes.at(1).calls).toEqual(['whole', 'finalize']);
    expect(await world.done(world.get('k'))).toEqual(small);
    expect((await world.done(world.put('k', utf8('b')))).results[0]?.effect).toBe('replaced');
  });

  test('is let go of once it is answered, although its refusal is still remembered', async () => {
    const world = new CoordinatorWorld();
    const put = async (): Promise<WeakRef<object>> => {
      const signal = new AbortController().signal;
      await world.done(world.put('k', small, { context: { signal } }));
      return new WeakRef(signal);
    };
    const signal = await put();
    await world.clock.advance(MINUTE_MS);
    await new Promise(setImmediate);
    collectGarbage();
    expect(world.consensus.refusals).toHaveLength(1);
    expect(signal.deref()).toBeUndefined();
  });

  test('may be empty, or just as large as a message carries', async () => {
    const world = new CoordinatorWorld();
    const most = bytes(LIMITS.smallBytesMax);
    await world.done(world.put('empty', new Uint8Array(0)));
    await world.done(world.put('most', most));
    expect(world.volumes.at(1).calls.filter((call) => call === 'whole')).toHaveLength(2);
    expect(await world.done(world.get('empty'))).toHaveLength(0);
    expect(digestOf(await world.done(world.get('most')))).toBe(digestOf(most));
  });

  test('a failed volume is replaced by a spare', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    for (const disk of [1, 2, 3, 4]) {
      world.volumes.at(disk).mood = 'failing';
      const result = await world.done(world.put(`k${disk}`, small));
      expect(result.results[0]?.copyCount).toBe(3);
      world.volumes.at(disk).mood = 'well';
      world.volumes.at(disk).suspected = false;
    }
  });

  test('with a volume down it is written twice and the key is thin', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(2).mood = 'failing';
    const result = await world.done(world.put('k', small));
    expect(result.results[0]?.copyCount).toBe(2);
    expect(world.metadata.counters.underReplicated).toBe(1);
    expect(world.volumes.at(2).suspected).toBe(true);
  });

  test('a silent volume is replaced by a spare after a second, and avoided', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    const silent = world.volumes.all().find((volume) => {
      volume.mood = 'silent';
      return true;
    });
    expect(silent).toBeDefined();
    const result = world.put('k', small);
    const slow = await world.end(result, 900);
    if (slow.kind === 'done') {
      // The silent one was the spare of this key.
      expect(slow.value.results[0]?.copyCount).toBe(3);
    } else {
      const value = await world.done(result, 300);
      expect(value.results[0]?.copyCount).toBe(3);
      expect(silent?.suspected).toBe(true);
      expect((await world.done(world.put('k', small))).results[0]?.copyCount).toBe(3);
    }
  });

  test('a silent volume is left out after a second where there is no spare', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(3).mood = 'silent';
    const result = world.put('k', small);
    expect((await world.end(result, 900)).kind).toBe('pending');
    expect((await world.done(result, 300)).results[0]?.copyCount).toBe(2);
  });

  test('when all volumes are slow the write waits for them instead of refusing', async () => {
    const world = new CoordinatorWorld();
    for (const volume of world.volumes.all()) volume.voteMood = 'silent';
    const code = world.code(world.put('k', small), 4900);
    expect(await code).toBe('pending');
  });

  test('fewer than need: 503, not applied, discarded', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(1).mood = 'failing';
    world.volumes.at(2).mood = 'failing';
    expect(await world.code(world.put('k', small))).toBe('NO_REPLICAS');
    expect(world.consensus.proposed).toHaveLength(0);
    expect(world.volumes.at(3).states()).toEqual(['dropped']);
  });

  test('too few volumes are known before a byte is read', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(1).isHeard = false;
    world.volumes.at(2).leaving = true;
    expect(await world.code(world.gateway.admitWrite(1, 1000))).toBe('TOO_FEW_VOLUMES');
    expect(await world.code(world.put('k', small))).toBe('TOO_FEW_VOLUMES');
    expect(world.volumes.at(3).calls).toEqual([]);
  });

  test('a volume heard in another session than the registered one gets no bytes', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(2).session = session(world.metadata.appliedIndex + 9);
    expect((await world.done(world.put('k', small))).results[0]?.copyCount).toBe(2);
    expect(world.volumes.at(2).calls).toEqual([]);
  });

  test('volumes without room: 507', async () => {
    const world = new CoordinatorWorld();
    for (const volume of world.volumes.all()) volume.mood = 'full';
    expect(await world.code(world.put('k', small))).toBe('NO_SPACE');
    expect(world.volumes.at(1).suspected).toBe(false);
    expect(await world.code(world.gateway.admitWrite(2 ** 40, 1000))).toBe('NO_SPACE');
  });

  test('a digest that does not match: 422 before anything is staged', async () => {
    const world = new CoordinatorWorld();
    const put = world.put('k', small, { expectedDigest: digestOf(utf8('other')) });
    expect(await world.code(put)).toBe('CHECKSUM_MISMATCH');
    expect(states(world)).toEqual([]);
  });

  test('a body longer than allowed, or of another length than declared, is refused', async () => {
    const world = new CoordinatorWorld();
    expect(await world.code(world.put('k', small, { maxBytes: 3 }))).toBe('TOO_LARGE');
    expect(await world.code(world.put('k', small, { declaredBytes: 9, maxBytes: 3 }))).toBe(
      'TOO_LARGE',
    );
    expect(await world.code(world.put('k', small, { declaredBytes: 99 }))).toBe('INVALID_ARGUMENT');
    expect(await world.code(world.put('k', small, { declaredBytes: 2 }))).toBe('INVALID_ARGUMENT');
    expect(states(world)).toEqual([]);
  });

  test('a body at hand is written and checked as one in pieces, however large', async () => {
    const world = new CoordinatorWorld();
    const large = bytes(LIMITS.smallBytesMax + 1);
    for (const body of [small, large]) {
      await world.done(world.put('k', body, { body }));
      expect(digestOf(await world.done(world.get('k')))).toBe(digestOf(body));
      const code = (more: object) => world.code(world.put('n', body, { body, ...more }));
      expect(await code({ maxBytes: body.length - 1 })).toBe('TOO_LARGE');
      expect(await code({ declaredBytes: body.length + 1 })).toBe('INVALID_ARGUMENT');
      expect(await code({ declaredBytes: body.length - 1 })).toBe('INVALID_ARGUMENT');
      expect(await code({ expectedDigest: digestOf(utf8('other')) })).toBe('CHECKSUM_MISMATCH');
    }
    expect(await world.code(world.get('n'))).toBe('KEY_NOT_FOUND');
  });

  test('stopping: refused at once', async () => {
    const world = new CoordinatorWorld();
    world.writes.beginStop();
    expect(await world.code(world.put('k', small))).toBe('STOPPING');
  });

  test('without a leader a write waits a little for one, and only then is refused', async () => {
    const world = new CoordinatorWorld();
    world.consensus.changeLeader(NOBODY);
    const put = world.put('k', small);
    expect(await world.code(put, LIMITS.leaderPatienceMs - 1)).toBe('pending');
    expect(await world.code(put, 1)).toBe('NO_LEADER');
    expect(world.consensus.proposed).toEqual([]);
  });

  test('a write never waits longer for a leader than its client allows', async () => {
    const world = new CoordinatorWorld();
    world.consensus.changeLeader(NOBODY);
    const admitted = world.gateway.admitWrite(1, 50);
    expect(await world.code(admitted, 49)).toBe('pending');
    expect(await world.code(admitted, 1)).toBe('NO_LEADER');
  });

  test('a write that came between two leaders is done by the next one', async () => {
    const world = new CoordinatorWorld();
    world.consensus.changeLeader(NOBODY);
    const admitted = world.gateway.admitWrite(small.length, 1000);
    const put = world.put('k', small);
    expect(await world.code(put, LIMITS.leaderPatienceMs / 2)).toBe('pending');
    world.consensus.changeLeader(nodeId(2));
    await world.done(admitted);
    expect((await world.done(put)).results[0]?.effect).toBe('created');
  });

  test('of a client that pauses for longer than a request may take is waited for', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body, { context: { timeoutMs: 5000 } });
    body.push(small);
    await world.clock.advance(20_000);
    body.push(null);
    expect((await world.done(put)).results[0]?.effect).toBe('created');
  });

  test('a client that never sends: 408', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body);
    expect(await world.code(put, LIMITS.pieceTimeoutMs + 100)).toBe('REQUEST_TIMEOUT');
    expect(body.isReturned).toBe(true);
    expect(world.writes.heldBytes).toBe(0);
  });
});

describe('a large value', () => {
  const large = bytes(3 * MIB + 12_345);

  test('is streamed, and reads back', async () => {
    const world = new CoordinatorWorld();
    const result = await world.done(world.put('k', large, { declaredBytes: large.length }));
    expect(result.results[0]?.copyCount).toBe(3);
    expect(digestOf(await world.done(world.get('k')))).toBe(digestOf(large));
    expect(world.volumes.at(1).calls.filter((call) => call === 'chunk')).toHaveLength(13);
    expect(world.writes.heldBytes).toBe(0);
  });

  test('is born when its bytes are out, not when it began', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('slow', body);
    body.push(large);
    await world.settle();
    await world.done(world.put('other', small));
    const before = world.metadata.appliedIndex;
    body.push(null);
    const { txnId: id } = await world.done(put);
    expect(birthOf(id)).toBe(before);
  });

  test('a client that vanishes in the middle leaves nothing behind', async () => {
    for (const end of ['abort', 'error'] as const) {
      const world = new CoordinatorWorld();
      const body = new HandBody();
      const client = new AbortController();
      const put = world.put('k', body, { context: { signal: client.signal } });
      body.push(large);
      await world.settle();
      if (end === 'abort') client.abort();
      else body.push(new Error('reset'));
      expect(await world.code(put)).toBe('CLIENT_CLOSED');
      expect(states(world)).toEqual(['dropped', 'dropped', 'dropped']);
      expect(world.consensus.proposed).toHaveLength(0);
      expect(world.metadata.record(utf8('k'))).toBeUndefined();
      expect(world.writes.heldBytes).toBe(0);
    }
  });

  test('a wrong digest or length at the end discards what was streamed', async () => {
    const world = new CoordinatorWorld();
    const wrong = world.put('k', large, { expectedDigest: digestOf(small) });
    expect(await world.code(wrong)).toBe('CHECKSUM_MISMATCH');
    const short = world.put('k', large, { declaredBytes: large.length + 1 });
    expect(await world.code(short)).toBe('INVALID_ARGUMENT');
    const long = world.put('k', large, { maxBytes: 3 * MIB });
    expect(await world.code(long)).toBe('TOO_LARGE');
    expect(new Set(states(world))).toEqual(new Set(['dropped']));
  });

  test('a volume that stalls early is replaced by a spare that gets all bytes', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    const body = new HandBody();
    const put = world.put('k', body);
    body.push(bytes(MIB));
    await world.settle();
    const first = world.volumes.all().find(({ calls }) => calls.length > 0);
    if (first !== undefined) first.mood = 'silent';
    body.push(bytes(MIB, 2));
    await world.clock.advance(1200);
    await world.settle();
    body.push(null);
    expect((await world.done(put)).results[0]?.copyCount).toBe(3);
    expect(first?.suspected).toBe(true);
    expect(await world.done(world.get('k'))).toHaveLength(2 * MIB);
  });

  test('a volume that stalls late, when the beginning is gone, is left out', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    const body = new HandBody();
    const put = world.put('k', body);
    body.push(bytes(6 * MIB));
    await world.settle();
    const first = world.volumes.all().find(({ calls }) => calls.length > 0);
    if (first !== undefined) first.mood = 'silent';
    body.push(bytes(4 * MIB, 2));
    await world.clock.advance(1200);
    await world.settle();
    body.push(null);
    expect((await world.done(put)).results[0]?.copyCount).toBe(2);
  });

  test('a slow client is no stalled volume', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body, { context: { timeoutMs: 60_000 } });
    body.push(bytes(MIB));
    await world.clock.advance(20_000);
    expect(world.volumes.all().map(({ suspected }) => suspected)).toEqual([false, false, false]);
    body.push(null);
    expect((await world.done(put)).results[0]?.copyCount).toBe(3);
  });

  test('may take longer than the time-out, as long as pieces come', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body, { context: { timeoutMs: 5000 } });
    for (let piece = 0; piece < 12; piece += 1) {
      body.push(bytes(200 * KIB, piece));
      await world.clock.advance(4000);
    }
    body.push(null);
    expect((await world.done(put)).results[0]?.copyCount).toBe(3);
  });

  test('whose client falls silent in the middle: 408, and nothing is left', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body, { context: { timeoutMs: 5000 } });
    body.push(large);
    expect(await world.code(put, LIMITS.pieceTimeoutMs + 100)).toBe('REQUEST_TIMEOUT');
    await world.settle();
    expect(world.writes.heldBytes).toBe(0);
    expect(world.volumes.at(1).calls).toContain('discard');
  });

  test('that no volume takes any more ends by the time-out', async () => {
    const world = new CoordinatorWorld();
    const body = new HandBody();
    const put = world.put('k', body, { context: { timeoutMs: 5000 } });
    for (const volume of world.volumes.all()) volume.mood = 'silent';
    body.push(bytes(8 * MIB));
    expect(await world.code(put, 6000)).toBe('REQUEST_TIMEOUT');
  });

  test('the body is read no faster than the slowest volume takes it', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(1).mood = 'silent';
    let given = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (; given < 64; given += 1) yield bytes(256 * KIB);
    }
    void world.put('k', source()).catch(() => undefined);
    await world.settle();
    expect(given).toBeLessThanOrEqual(LIMITS.unacknowledgedChunksMax + 2);
  });

  test('more bytes under way than the budget: 503', async () => {
    const world = new CoordinatorWorld();
    for (const volume of world.volumes.all()) volume.mood = 'silent';
    const codes: string[] = [];
    for (let i = 0; i < 80; i += 1) {
      world.put(`k${i}`, new HandBody(), { declaredBytes: 10 * MIB }).catch((error: unknown) => {
        if (error instanceof KvError) codes.push(error.code);
      });
    }
    await world.settle();
    expect(codes.length).toBeGreaterThan(10);
    expect(new Set(codes)).toEqual(new Set(['OVERLOADED']));
  });
});

describe('after the proposal', () => {
  test('a leader change and lost proposals lead to one effect, by the same command', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'lose';
    const put = world.put('k', small);
    await world.settle();
    expect(world.consensus.proposed).toHaveLength(1);
    world.consensus.mode = 'hold';
    world.consensus.changeLeader(nodeId(2));
    expect(world.consensus.proposed).toHaveLength(2);
    await world.clock.advance(600);
    expect(world.consensus.proposed.length).toBeGreaterThanOrEqual(3);
    const [first] = world.consensus.proposed;
    for (const each of world.consensus.proposed) expect(each).toEqual(first);
    world.consensus.release();
    expect((await world.done(put)).results[0]?.effect).toBe('created');
    expect(world.metadata.counters.garbage).toBe(0);
  });

  test('a duplicate proposal over an intervening DELETE does not bring the value back', async () => {
    const world = new CoordinatorWorld();
    const put = world.put('k', small);
    await world.done(put);
    const [command] = world.consensus.commands;
    await world.done(world.gateway.delete(utf8('k'), null, world.mutation()));
    if (command !== undefined) world.consensus.apply(command);
    expect(world.metadata.record(utf8('k'))).toBeUndefined();
  });

  test('a refusal is only a reason to try again, never a 503', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'refuse';
    const put = world.put('k', small);
    expect((await world.end(put, 1000)).kind).toBe('pending');
    expect(world.consensus.proposed.length).toBeGreaterThan(3);
    world.consensus.mode = 'apply';
    expect((await world.done(put, 200)).results[0]?.effect).toBe('created');
  });

  test('S8: the deadline: 504 with the txn id, no further proposal, nothing discarded; a late outcome finalizes', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    const end = await world.end(put, 5200);
    expect(end).toMatchObject({ kind: 'failed', code: 'DEADLINE_EXCEEDED' });
    const id = end.kind === 'failed' ? String(end.error.detail['txnId']) : '';
    const proposals = world.consensus.proposed.length;
    world.consensus.changeLeader(nodeId(2));
    await world.clock.advance(3000);
    expect(world.consensus.proposed).toHaveLength(proposals);
    expect(states(world)).toEqual(['staged', 'staged', 'staged']);
    expect(await world.done(world.gateway.transaction(txnId(id), 1000))).toEqual({
      kind: 'pending',
    });
    expect(world.hints).toBe(1);
    world.consensus.release();
    await world.settle();
    expect(states(world)).toEqual(['committed', 'committed', 'committed']);
    const answer = await world.done(world.gateway.transaction(txnId(id), 1000));
    expect(answer).toMatchObject({ kind: 'decided', outcome: { kind: 'applied' } });
  });

  test.each([
    ['inline', 2 * KIB],
    ['staged', -1],
  ])(
    'a value, %s, is let go of once its outcome is unknown to the client',
    async (_, inlineMaxBytes) => {
      const world = new CoordinatorWorld();
      world.inlineMaxBytes = inlineMaxBytes;
      world.consensus.mode = 'lose';
      const put = async (): Promise<WeakRef<object>> => {
        const data = utf8('what nobody keeps');
        const body = { kind: 'put', data, headers: [] } as const;
        const ops = [{ key: utf8('k'), condition: null, body }];
        const write = world.gateway.transact(ops, world.mutation());
        expect(await world.code(write, 5200)).toBe('DEADLINE_EXCEEDED');
        return new WeakRef(data);
      };
      const data = await put();
      await new Promise(setImmediate);
      collectGarbage();
      expect(world.metadata.waiting).toBe(1);
      expect(data.deref()).toBeUndefined();
    },
  );

  test('an outcome that never comes is not awaited for ever', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'lose';
    expect(await world.code(world.put('k', small), 5200)).toBe('DEADLINE_EXCEEDED');
    expect(world.metadata.waiting).toBe(1);
    await world.clock.advance(LIMITS.lateOutcomeMs);
    expect(world.metadata.waiting).toBe(0);
    expect(states(world)).toEqual(['staged', 'staged', 'staged']);
  });

  test('a client that vanishes changes nothing', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const client = new AbortController();
    const put = world.put('k', small, { context: { signal: client.signal } });
    await world.settle();
    client.abort();
    await world.settle();
    expect(states(world)).toEqual(['staged', 'staged', 'staged']);
    world.consensus.release();
    expect((await world.done(put)).results[0]?.effect).toBe('created');
  });

  test('the fence passing during propose: 503, discarded, and never applied later', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    await world.settle();
    const fence = logIndex(world.metadata.appliedIndex + 1);
    world.consensus.apply({
      kind: 'advance',
      fence,
      reclaim: fence,
      forget: logIndex(0),
      timeMs: 0,
    });
    world.consensus.release();
    expect(await world.code(put)).toBe('EXPIRED');
    await world.settle();
    expect(states(world)).toEqual(['dropped', 'dropped', 'dropped']);
    for (const command of world.consensus.commands) world.consensus.apply(command);
    expect(world.metadata.record(utf8('k'))).toBeUndefined();
  });

  test('a forgotten birth: 504, and the copies are left alone', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    await world.settle();
    const fence = logIndex(world.metadata.appliedIndex + 1);
    world.consensus.apply({ kind: 'advance', fence, reclaim: fence, forget: fence, timeMs: 0 });
    world.consensus.release();
    expect(await world.code(put)).toBe('FORGOTTEN');
    await world.settle();
    expect(states(world)).toEqual(['staged', 'staged', 'staged']);
  });

  test('a volume restart between vote and apply strikes its vote', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    await world.settle();
    world.register(1);
    world.consensus.release();
    const result = await world.done(put);
    expect(result.results[0]?.copyCount).toBe(2);
    expect(world.volumes.at(1).states()).toEqual(['staged']);
    expect(world.volumes.at(2).states()).toEqual(['committed']);
  });

  test('all volumes restart between vote and apply: 503, nothing applied', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    await world.settle();
    for (const disk of [1, 2, 3]) world.register(disk);
    world.consensus.release();
    expect(await world.code(put)).toBe('NO_REPLICAS');
    expect(world.metadata.record(utf8('k'))).toBeUndefined();
  });

  test('a finalize that finds no copy reports the key as thin', async () => {
    const world = new CoordinatorWorld();
    world.consensus.mode = 'hold';
    const put = world.put('k', small);
    await world.settle();
    world.volumes.at(2).copies.clear();
    world.consensus.release();
    world.consensus.mode = 'apply';
    await world.done(put);
    await world.settle();
    expect(world.consensus.commandsOf('suspect')).toMatchObject([{ disk: 2 }]);
  });
});

describe('conditions and retries', () => {
  test('of many If-None-Match: * exactly one creates', async () => {
    const world = new CoordinatorWorld();
    const puts = Array.from({ length: 8 }, (_, i) =>
      world.put('k', utf8(`v${i}`), { condition: { kind: 'absent' } }),
    );
    const ends: End<MutationResult>[] = [];
    for (const put of puts) ends.push(await world.end(put));
    expect(ends.filter(({ kind }) => kind === 'done')).toHaveLength(1);
    const codes = ends.flatMap((end) => (end.kind === 'failed' ? [end.code] : []));
    expect(codes).toEqual(Array.from({ length: 7 }, () => 'PRECONDITION_FAILED'));
    await world.settle();
    expect(states(world).filter((state) => state === 'committed')).toHaveLength(3);
    expect(states(world).filter((state) => state === 'dropped')).toHaveLength(21);
  });

  test('a retry with the same Idempotency-Key gets the first outcome, and its copies are dropped', async () => {
    const world = new CoordinatorWorld();
    const context = { idempotencyKey: 'once' };
    const first = await world.done(world.put('k', small, { context }));
    const second = await world.done(world.put('k', small, { context }));
    expect(second.results).toEqual(first.results);
    expect(second.txnId).not.toBe(first.txnId);
    await world.settle();
    expect(world.volumes.at(1).states()).toEqual(['committed', 'dropped']);
    const other = world.put('k', utf8('other'), { context });
    expect(await world.code(other)).toBe('IDEMPOTENCY_KEY_REUSED');
    const conditional = world.put('k', small, { context, condition: { kind: 'exists' } });
    expect(await world.code(conditional)).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  test('a delete stages nothing; of an absent key it is absent', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', small));
    const deleted = await world.done(world.gateway.delete(utf8('k'), null, world.mutation()));
    expect(deleted.results[0]?.effect).toBe('deleted');
    const absent = await world.done(world.gateway.delete(utf8('k'), null, world.mutation()));
    expect(absent.results[0]?.effect).toBe('absent');
    const match = { kind: 'match', blobIds: [blobId('0'.repeat(32))] } as const;
    const refused = world.gateway.delete(utf8('k'), match, world.mutation());
    expect(await world.code(refused)).toBe('PRECONDITION_FAILED');
  });
});

describe('a transaction', () => {
  test('puts, deletes and checks by one command, each blob with its own id', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('old', small));
    const large = bytes(MIB + 5);
    const result = await world.done(
      world.gateway.transact(
        [
          { key: utf8('a'), condition: null, body: { kind: 'put', data: small, headers: [] } },
          { key: utf8('b'), condition: null, body: { kind: 'put', data: large, headers: [] } },
          { key: utf8('old'), condition: { kind: 'exists' }, body: { kind: 'delete' } },
          { key: utf8('none'), condition: { kind: 'absent' }, body: { kind: 'check' } },
        ],
        world.mutation(),
      ),
    );
    expect(result.results.map(({ effect }) => effect)).toEqual([
      'created',
      'created',
      'deleted',
      'checked',
    ]);
    expect(new Set(result.results.map(({ version }) => version.index)).size).toBe(1);
    expect(result.results[0]?.blobId).not.toBe(result.results[1]?.blobId);
    expect(digestOf(await world.done(world.get('b')))).toBe(digestOf(large));
    expect(await world.code(world.get('old'))).toBe('KEY_NOT_FOUND');
  });

  test('all or none: a failed condition drops all its copies', async () => {
    const world = new CoordinatorWorld();
    const ops = [
      { key: utf8('a'), condition: null, body: { kind: 'put', data: small, headers: [] } },
      {
        key: utf8('b'),
        condition: { kind: 'exists' },
        body: { kind: 'put', data: small, headers: [] },
      },
    ] as const;
    expect(await world.code(world.gateway.transact(ops, world.mutation()))).toBe(
      'PRECONDITION_FAILED',
    );
    await world.settle();
    expect(world.metadata.record(utf8('a'))).toBeUndefined();
    expect(new Set(states(world))).toEqual(new Set(['dropped']));
  });

  test('of as many operations as there may be, each with the longest key, is one command', async () => {
    const world = new CoordinatorWorld();
    const ops = Array.from({ length: OPS_MAX }, (_, i) => ({
      key: utf8(String(i).padEnd(1024, 'k')),
      condition: null,
      body: { kind: 'delete' } as const,
    }));
    await world.done(world.gateway.transact(ops, world.mutation()));
    expect(world.consensus.proposed).toHaveLength(1);
    expect(world.consensus.proposed[0]?.length).toBeLessThan(LIMITS.commandBytesMax);
  });

  test('whose command no message could carry is refused before anything is staged', async () => {
    const world = new CoordinatorWorld();
    const headers = [['x-minikv-meta-a', 'é'.repeat(1000)]] as const;
    const ops = Array.from({ length: OPS_MAX }, (_, i) => ({
      key: utf8(String(i).padEnd(200, 'k')),
      condition: null,
      body: { kind: 'put', data: small, headers } as const,
    }));
    expect(await world.code(world.gateway.transact(ops, world.mutation()))).toBe('TOO_LARGE');
    expect(world.consensus.proposed).toHaveLength(0);
    expect(states(world)).toEqual([]);
  });
});
