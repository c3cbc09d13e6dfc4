/**
 * The stories that a crash can tell beside the matrix of steps, each over the real gateway, metadata,
 * data streams, participants and engines. At the end of each, when fence and grace have passed, the
 * disks hold exactly the copies that records name.
 */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { type DiskId, logIndex, mintTxnId, txnId } from '../common/ids.ts';
import { mintCopyId } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Copy } from '../metadata/records.ts';
import { FENCE_MS, StoreWorld } from '../testing/store-world.ts';
import type { MutationResult } from './gateway.ts';
import { LIMITS } from './limits.ts';

const ALWAYS = { kind: 'always' } as const;
const EVERY_SECOND = { kind: 'interval', intervalMs: SECOND_MS } as const;
const DISKS = [1, 2, 3];

/** A write with all its votes, whose proposals wait. */
async function voted(
  world: StoreWorld,
  key: string,
  value: string,
): Promise<{ readonly put: Promise<MutationResult> }> {
  world.consensus.mode = 'hold';
  const put = world.put(key, value);
  // Whoever awaits it later hears of a failure then.
  put.catch(() => undefined);
  await world.settle();
  expect(world.consensus.held).toBeGreaterThan(0);
  return { put };
}

/** The error of what must fail without any time passing. */
async function failure(world: StoreWorld, work: Promise<unknown>): Promise<KvError> {
  const error: unknown = await world.run(
    work.then(
      () => null,
      (reason: unknown) => reason,
    ),
  );
  if (error instanceof KvError) return error;
  throw new Error(`no KvError: ${String(error)}`);
}

/** Applies what waits, and everything from now on at once. */
async function release(world: StoreWorld): Promise<void> {
  world.consensus.mode = 'apply';
  world.consensus.release();
  await world.settle();
}

async function powerCycle(world: StoreWorld, disk: number): Promise<void> {
  world.powerOff(disk);
  await world.powerOn(disk);
}

/** When fence and grace have passed the disks hold what records name, and nothing is undecided. */
async function atPeace(world: StoreWorld): Promise<void> {
  world.consensus.mode = 'apply';
  await world.quiesce();
  expect(await world.differences()).toEqual([]);
  for (const { disk } of world.stores()) {
    expect((await world.states(disk)).filter((state) => state !== 'committed')).toEqual([]);
  }
}

describe('a duplicate proposal', () => {
  test.each([
    ['PUT', 'newer'],
    ['DELETE', null],
  ])('over an intervening %s changes nothing', async (_name, newer) => {
    const world = await StoreWorld.start();
    const first = await world.run(world.put('k', 'first'));
    const [command] = world.consensus.commandsOf('commit');
    if (command === undefined) throw new Error('nothing was proposed');
    if (newer === null) await world.run(world.remove('k'));
    else await world.run(world.put('k', newer));
    const { garbage } = world.metadata.counters;
    world.consensus.apply(command);
    expect(world.metadata.counters.garbage).toBe(garbage);
    if (newer === null) expect((await failure(world, world.get('k'))).code).toBe('KEY_NOT_FOUND');
    else expect(await world.get('k')).toBe(newer);
    expect(world.metadata.outcome(first.txnId)).toMatchObject({ kind: 'applied' });
    await atPeace(world);
    // Long after, when its copies are gone and nobody remembers it.
    const fence = world.metadata.appliedIndex;
    world.consensus.apply({ kind: 'advance', fence, reclaim: fence, forget: fence, timeMs: 0 });
    world.consensus.apply(command);
    if (newer === null) expect(world.metadata.record(utf8('k'))).toBeUndefined();
    else expect(await world.get('k')).toBe(newer);
    await atPeace(world);
  });

  test('under a leader that had lost the first one has one effect', async () => {
    const world = await StoreWorld.start();
    const { put } = await voted(world, 'k', 'value');
    await world.clock.advance(2 * SECOND_MS);
    expect(world.consensus.held).toBeGreaterThan(2);
    await release(world);
    expect((await world.run(put)).results[0]?.effect).toBe('created');
    expect(world.metadata.counters.garbage).toBe(0);
    await atPeace(world);
    expect(await world.get('k')).toBe('value');
  });
});

describe('three volumes power-cycled between vote and apply', () => {
  test.each([
    ['interval, which loses the new bytes', EVERY_SECOND, []],
    ['always, which keeps them', ALWAYS, ['staged']],
  ])('under %s: refused, and the old value stands', async (_name, fsync, kept) => {
    const world = await StoreWorld.start({ fsync });
    await world.run(world.put('k', 'old'));
    await world.clock.advance(2 * SECOND_MS);
    const { put } = await voted(world, 'k', 'new');
    for (const disk of DISKS) await powerCycle(world, disk);
    for (const disk of DISKS) {
      expect(await world.states(disk)).toEqual(['committed', ...kept]);
      world.register(disk);
    }
    await release(world);
    const { code, detail } = await failure(world, put);
    expect([code, detail['confirmed']]).toEqual(['NO_REPLICAS', 0]);
    expect(await world.get('k')).toBe('old');
    await atPeace(world);
    expect(await world.get('k')).toBe('old');
  });

  test('and registered only after it: under always every copy that counts is there', async () => {
    const world = await StoreWorld.start();
    const { put } = await voted(world, 'k', 'value');
    for (const disk of DISKS) await powerCycle(world, disk);
    await release(world);
    expect((await world.run(put)).results[0]?.copyCount).toBe(3);
    for (const disk of DISKS) world.register(disk);
    expect(await world.get('k')).toBe('value');
    await atPeace(world);
    expect(await world.get('k')).toBe('value');
  });
});

describe('a volume restarts between vote and apply', () => {
  test('its vote is struck, its copy goes, and repair makes another one', async () => {
    const world = await StoreWorld.start();
    const { put } = await voted(world, 'k', 'value');
    await powerCycle(world, 2);
    world.register(2);
    await release(world);
    expect((await world.run(put)).results[0]?.copyCount).toBe(2);
    await atPeace(world);
    const copies = world.metadata.record(utf8('k'))?.copies ?? [];
    expect(copies.map(({ disk }) => disk).sort()).toEqual([1, 2, 3]);
    expect(new Set(copies.map(({ copyId }) => copyId)).size).toBe(2);
    world.powerOff(1);
    world.powerOff(3);
    expect(await world.get('k')).toBe('value');
  });

  test('after apply and before its Finalize: it asks, and keeps the copy', async () => {
    const world = await StoreWorld.start();
    const { put } = await voted(world, 'k', 'value');
    world.powerOff(2);
    await release(world);
    expect((await world.run(put)).results[0]?.copyCount).toBe(3);
    await world.powerOn(2);
    expect(await world.states(2)).toEqual(['staged']);
    world.register(2);
    await atPeace(world);
    expect(await world.states(2)).toEqual(['committed']);
  });
});

describe('a Drop that is late', () => {
  test('over a move back takes the old copy and not the new one', async () => {
    const world = await StoreWorld.start({ volumes: 4 });
    await world.run(world.put('k', 'value'));
    await world.settle();
    const first = world.metadata.record(utf8('k'))?.copies[0];
    const away = [1, 2, 3, 4].find((disk) => !holders(world).includes(disk));
    if (first === undefined || away === undefined) throw new Error('no place to move to');
    const there = await move(world, first, world.store(away).disk);
    await move(world, there, first.disk);
    expect(holders(world)).toContain(first.disk);
    expect(await world.states(first.disk)).toHaveLength(2);
    expect(await drop(world, first)).toEqual([true]);
    const others = world.stores().filter(({ disk }) => disk !== first.disk);
    for (const { disk } of others) world.powerOff(disk);
    expect(await world.get('k')).toBe('value');
    for (const { disk } of others) {
      await world.powerOn(disk);
      world.register(disk);
    }
    await atPeace(world);
    expect(await world.get('k')).toBe('value');
  });

  test('and a Finalize that finds nothing any more make no key thin', async () => {
    const world = await StoreWorld.start();
    await world.run(world.put('k', 'first'));
    const record = world.metadata.record(utf8('k'));
    if (record === undefined) throw new Error('no record');
    const { put } = await voted(world, 'k', 'second');
    // Another coordinator has applied the overwriting and dropped what it replaced; this one has not.
    for (const copy of record.copies) await drop(world, copy);
    const disks = record.copies.map(({ disk }) => disk);
    world.settler.finalize(utf8('k'), record.blobId, disks);
    await world.clock.advance(LIMITS.settleLingerMs);
    await world.settle();
    expect(world.consensus.commandsOf('suspect')).toHaveLength(3);
    await release(world);
    await world.run(put);
    expect(world.metadata.counters).toMatchObject({ underReplicated: 0, lost: 0 });
    await atPeace(world);
    expect(await world.get('k')).toBe('second');
  });

  async function drop(world: StoreWorld, { disk, copyId }: Copy): Promise<readonly boolean[]> {
    const dropped = world.volumes.settle(disk, 'drop', [copyId]);
    await world.clock.advance(LIMITS.settleLingerMs);
    return world.run(dropped);
  }

  const holders = (world: StoreWorld): readonly number[] =>
    (world.metadata.record(utf8('k'))?.copies ?? []).map(({ disk }) => disk);

  /** Moves one copy of the key to a disk, as repair and drain do. */
  async function move(world: StoreWorld, from: Copy, target: DiskId): Promise<Copy> {
    const record = world.metadata.record(utf8('k'));
    if (record === undefined) throw new Error('no record');
    const copyId = mintCopyId(world.random);
    const id = mintTxnId(world.metadata.appliedIndex, world.random.bytes(10));
    const { session } = await world.run(
      world.volumes.pull(target, {
        copyId,
        txnId: id,
        owner: utf8('k'),
        sizeBytes: record.size,
        digest: record.digest,
        sourceDisk: from.disk,
        sourceCopyId: from.copyId,
      }),
    );
    const to = { disk: target, session, copyId };
    const { blobId } = record;
    const key = utf8('k');
    world.consensus.apply({ kind: 'move', txnId: id, key, blobId, from, to, want: 3 });
    expect(world.metadata.outcome(id)).toMatchObject({ kind: 'applied' });
    return { disk: target, copyId };
  }
});

describe('the fence passes', () => {
  test('during propose: unknown, then never applied, whatever an old leader still has', async () => {
    const world = await StoreWorld.start();
    await world.run(world.put('k', 'old'));
    const { put } = await voted(world, 'k', 'new');
    await world.clock.advance(6 * SECOND_MS);
    const { code, detail } = await failure(world, put);
    expect(code).toBe('DEADLINE_EXCEEDED');
    const id = txnId(String(detail['txnId']));
    const outcome = () => world.run(world.gateway.transaction(id, 1000));
    expect(await outcome()).toEqual({ kind: 'pending' });
    // The rest of the cluster goes on without that leader's log.
    world.consensus.mode = 'apply';
    expect(await world.states(1)).toEqual(['committed', 'staged']);
    await world.clock.advance(2 * FENCE_MS);
    await world.settle();
    expect(await outcome()).toEqual({ kind: 'not-applied' });
    for (const disk of DISKS) expect(await world.states(disk)).toEqual(['committed']);
    await release(world);
    expect(await world.get('k')).toBe('old');
    expect(await outcome()).toEqual({ kind: 'not-applied' });
    await atPeace(world);
  });

  test('while a value is still on its way: it was not born yet, and is written', async () => {
    const world = await StoreWorld.start();
    const before = world.metadata.appliedIndex;
    const fence = logIndex(before + 1);
    world.consensus.apply({
      kind: 'advance',
      fence,
      reclaim: fence,
      forget: logIndex(0),
      timeMs: 0,
    });
    expect((await world.run(world.put('k', 'value'))).results[0]?.effect).toBe('created');
    await atPeace(world);
  });
});
