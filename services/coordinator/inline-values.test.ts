/** Small values that coordinators keep themselves, from the request to the bytes that are read. */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import { KIB } from '../common/units.ts';
import { CoordinatorWorld, patterned } from '../testing/coordinator-world.ts';
import type { TransactionOp } from './gateway.ts';
import { LIMITS } from './limits.ts';

const small = utf8('a small value');
const large = patterned(3 * KIB);
const key = utf8('k');

function inlining(): CoordinatorWorld {
  const world = new CoordinatorWorld();
  world.inlineMaxBytes = 2 * KIB;
  return world;
}

const calls = (world: CoordinatorWorld): string[] =>
  world.volumes.all().flatMap((volume) => volume.calls);
const isInline = (world: CoordinatorWorld, of: string): boolean =>
  world.metadata.record(utf8(of))?.data !== null;
const putOf = (name: string, data: Uint8Array): TransactionOp => ({
  key: utf8(name),
  condition: null,
  body: { kind: 'put', data, headers: [] },
});

describe('a write', () => {
  test('is one command, and no volume hears of it', async () => {
    const world = inlining();
    const result = await world.done(world.put('k', small));
    expect(result.results).toMatchObject([{ effect: 'created' }]);
    expect(world.consensus.proposed).toHaveLength(1);
    expect(calls(world)).toEqual([]);
    expect(await world.done(world.get('k'))).toEqual(small);
  });

  test('of an empty value, and of one at the limit; beyond it volumes are asked', async () => {
    const world = inlining();
    const most = patterned(2 * KIB);
    await world.done(world.put('empty', new Uint8Array(0)));
    await world.done(world.put('most', most));
    expect(calls(world)).toEqual([]);
    await world.done(world.put('more', patterned(2 * KIB + 1)));
    expect(['empty', 'most', 'more'].map((name) => isInline(world, name))).toEqual([
      true,
      true,
      false,
    ]);
    expect(await world.done(world.get('empty'))).toHaveLength(0);
    expect(digestOf(await world.done(world.get('most')))).toBe(digestOf(most));
  });

  test('needs no volume, whether or not it says how long it is', async () => {
    const world = inlining();
    for (const volume of world.volumes.all()) volume.isHeard = false;
    for (const declared of [small.length, null]) {
      await world.done(world.gateway.admitWrite(declared, 1000));
      await world.done(world.put('k', small, { declaredBytes: declared }));
    }
    const tooLarge = world.gateway.admitWrite(large.length, 1000);
    expect(await world.code(tooLarge)).toBe('TOO_FEW_VOLUMES');
    expect(await world.code(world.put('k', large))).toBe('TOO_FEW_VOLUMES');
    expect(await world.done(world.get('k'))).toEqual(small);
  });

  test('whose body is not what was promised is refused before a command leaves', async () => {
    const world = inlining();
    const promised = world.put('k', small, { expectedDigest: digestOf(large) });
    expect(await world.code(promised)).toBe('CHECKSUM_MISMATCH');
    expect(world.consensus.proposed).toHaveLength(0);
  });

  test('replaces one on volumes, and is replaced by one', async () => {
    const world = inlining();
    await world.done(world.put('k', large));
    await world.done(world.put('k', small));
    expect(await world.done(world.get('k'))).toEqual(small);
    expect(world.metadata.counters).toMatchObject({ keys: 1, bytes: small.length, garbage: 3 });
    await world.done(world.put('k', large));
    expect(digestOf(await world.done(world.get('k')))).toBe(digestOf(large));
  });

  test('is the same request wherever its value was kept before', async () => {
    const world = inlining();
    const context = { idempotencyKey: 'once' };
    const first = await world.done(world.put('k', small, { context }));
    world.inlineMaxBytes = -1;
    const again = await world.done(world.put('k', small, { context }));
    expect(again.results).toEqual(first.results);
    const other = world.put('k', utf8('another'), { context });
    expect(await world.code(other)).toBe('IDEMPOTENCY_KEY_REUSED');
  });
});

describe('a transaction', () => {
  test('may hold both kinds', async () => {
    const world = inlining();
    const ops = [putOf('a', small), putOf('b', large), putOf('c', small)];
    const { results } = await world.done(world.gateway.transact(ops, world.mutation()));
    expect(results.map(({ effect }) => effect)).toEqual(['created', 'created', 'created']);
    expect(['a', 'b', 'c'].map((name) => isInline(world, name))).toEqual([true, false, true]);
    expect(await world.done(world.get('c'))).toEqual(small);
    expect(digestOf(await world.done(world.get('b')))).toBe(digestOf(large));
  });

  test('of many values gives to volumes what would make its log entry too large', async () => {
    const world = inlining();
    const fitting = LIMITS.inlineEntryBytesMax / (2 * KIB);
    const names = Array.from({ length: fitting + 1 }, (_, i) => `k${i}`);
    const ops = [...names.map((name) => putOf(name, patterned(2 * KIB))), putOf('none', utf8(''))];
    await world.done(world.gateway.transact(ops, world.mutation()));
    expect(names.filter((name) => isInline(world, name))).toEqual(names.slice(0, fitting));
    expect(isInline(world, 'none')).toBe(true);
  });
});

describe('a read', () => {
  test('needs no volume; a part of it neither', async () => {
    const world = inlining();
    await world.done(world.put('k', small));
    for (const volume of world.volumes.all()) volume.isHeard = false;
    const found = await world.done(world.gateway.find(key, world.reading()));
    const part = { offset: 2, length: 5 };
    const opened = await world.done(world.gateway.open(found, part, key, world.reading()));
    expect(opened.whole).toEqual(utf8('small'));
    const beyond = { offset: 2, length: 50 };
    const refused = world.gateway.open(found, beyond, key, world.reading());
    expect(await world.code(refused)).toBe('INVALID_RANGE');
  });

  test('has nowhere to be sent to', async () => {
    const world = inlining();
    await world.done(world.put('k', small));
    const found = await world.done(world.gateway.find(key, world.reading()));
    expect(world.gateway.redirect(found)).toBeNull();
  });
});
