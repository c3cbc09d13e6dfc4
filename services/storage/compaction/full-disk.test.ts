/** A full disk ends nothing: what needs no room is freed, the rest waits, and nobody else pays for it. */
import { expect, test } from '@jest/globals';
import { KvError } from '../../common/errors.ts';
import { PowerCut } from '../../testing/power-cut.ts';
import { compactAll, outcomeOf, StorageRig, turns, type Value } from '../../testing/storage-rig.ts';
import type { StorageEngine } from '../types.ts';

/** Sealed segments: some wholly dead, one of which a third lives. */
async function halfDead(
  rig: StorageRig,
  deadSegments: number,
): Promise<{ engine: StorageEngine; kept: Value }> {
  const engine = await rig.open();
  const dead: Value[] = [];
  for (let i = 0; i < deadSegments; i += 1) dead.push(await rig.whole(engine, 3900));
  const kept = await rig.whole(engine, 1000);
  dead.push(await rig.whole(engine, 2000));
  await rig.whole(engine, 1000);
  for (const { id } of dead) await engine.drop(id);
  return { engine, kept };
}

const litter = (rig: StorageRig): readonly string[] =>
  rig.disk
    .files()
    .map(({ path }) => path)
    .filter((path) => path.endsWith('.new'));

test('a dead segment goes without a byte of room', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const engine = await rig.open();
  const dead = await rig.whole(engine, 3900);
  await rig.whole(engine, 1000);
  await engine.drop(dead.id);
  rig.disk.fill(0);
  expect(await engine.compactOnce()).toBe(true);
  expect(engine.usage().segments).toBe(1);
  expect(rig.failures).toEqual([]);
  await engine.close();
});

test('what needs room waits for it, dead segments beside it do not', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const { engine, kept } = await halfDead(rig, 3);
  const before = engine.usage().segments;
  rig.disk.fill(0);
  await compactAll(engine);
  expect(engine.usage().segments).toBe(before - 3);
  expect([rig.failures, litter(rig)]).toEqual([[], []]);
  expect(await outcomeOf(engine, kept)).toBe('found');
  rig.disk.fill(100_000_000);
  expect(await engine.compactOnce()).toBe(true);
  expect(engine.usage().diskBytes).toBeLessThan(4000);
  expect(await outcomeOf(engine, kept)).toBe('found');
  await engine.close();
});

test('a disk that has no room even for a removal ends the volume, since the index has let the segment go', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  rig.wrap = (disk) =>
    new PowerCut(disk, Number.POSITIVE_INFINITY, async (change, path) => {
      const isRemoval = change === 'remove' && path.endsWith('.seg');
      if (isRemoval) await Promise.reject(new KvError('NO_SPACE', 'no room to remove it'));
    }).disk;
  const engine = await rig.open();
  const dead = await rig.whole(engine, 3900);
  await rig.whole(engine, 1000);
  await engine.drop(dead.id);
  await expect(engine.compactOnce()).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(rig.failures).toHaveLength(1);
});

test('nor is there a way back once the output may have its name', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let isCompacting = false;
  rig.wrap = (disk) =>
    new PowerCut(disk, Number.POSITIVE_INFINITY, async (change, path) => {
      const isNaming = isCompacting && change === 'syncFolder' && path.endsWith('/segments');
      if (isNaming) await Promise.reject(new KvError('NO_SPACE', 'no room for its name'));
    }).disk;
  const { engine } = await halfDead(rig, 0);
  isCompacting = true;
  await expect(compactAll(engine)).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(rig.failures).toHaveLength(1);
});

test.each(['open', 'write', 'sync'] as const)(
  'a disk that is found full by the %s of an output is no failure',
  async (call) => {
    const rig = new StorageRig({ segmentBytes: 4096 });
    const meet = (change: string, path: string): Promise<void> =>
      change === call && path.endsWith('.seg.new')
        ? Promise.reject(new KvError('NO_SPACE', 'the disk is full'))
        : Promise.resolve();
    let isFull = true;
    rig.wrap = (disk) =>
      new PowerCut(disk, Number.POSITIVE_INFINITY, async (change, path) => {
        if (isFull && path.includes('/segments/')) await meet(change, path);
      }).disk;
    const { engine, kept } = await halfDead(rig, 2);
    const before = engine.usage().segments;
    await compactAll(engine);
    expect([rig.failures, litter(rig)]).toEqual([[], []]);
    expect(engine.usage().segments).toBe(before - 2);
    isFull = false;
    await compactAll(engine);
    expect(await outcomeOf(engine, kept)).toBe('found');
    expect(engine.usage().diskBytes).toBeLessThan(4000);
    await engine.close();
  },
);

test('half an output on a full disk leaves nothing behind', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const { engine, kept } = await halfDead(rig, 0);
  rig.disk.failNext('write', '.seg.new', 'NO_SPACE');
  expect(await engine.compactOnce()).toBe(false);
  expect([rig.failures, litter(rig)]).toEqual([[], []]);
  expect(await engine.compactOnce()).toBe(true);
  expect(await outcomeOf(engine, kept)).toBe('found');
  await engine.close();
});

test('commits of copies elsewhere are not taken away with a dead segment', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const committed = await rig.whole(engine, 3000);
  const staged = await rig.whole(engine, 3000);
  const dead = await rig.whole(engine, 800);
  await engine.finalize(committed.id);
  await rig.whole(engine, 3000);
  await engine.drop(dead.id);
  await engine.drop(staged.id);
  rig.disk.fill(0);
  await compactAll(engine);
  rig.disk.fill(1_000_000);
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(await engine.info(committed.id)).toMatchObject({ state: 'committed' });
  await engine.close();
});

test('an index snapshot takes no room that the journal lives on', async () => {
  const rig = new StorageRig({ segmentBytes: 64 * 1024, snapshotRecordsMin: 1 });
  let snapshots = 0;
  rig.wrap = (disk) =>
    new PowerCut(disk, Number.POSITIVE_INFINITY, (change, path) => {
      if (change === 'open' && path.includes('index.snapshot')) snapshots += 1;
      return Promise.resolve();
    }).disk;
  const engine = await rig.open();
  await rig.whole(engine, 100);
  await turns(20);
  expect(snapshots).toBeGreaterThan(0);
  snapshots = 0;
  rig.disk.fill(60_000);
  const value = await rig.whole(engine, 100);
  await engine.drop(value.id);
  await turns(20);
  expect([snapshots, rig.failures]).toEqual([0, []]);
  rig.disk.fill(1_000_000_000);
  await rig.whole(engine, 100);
  await turns(20);
  expect(snapshots).toBeGreaterThan(0);
  await engine.close();
});

test('an index snapshot that finds the disk full is no failure, and the one before it stays', async () => {
  const rig = new StorageRig({ segmentBytes: 64 * 1024, snapshotRecordsMin: 1 });
  const engine = await rig.open();
  await rig.whole(engine, 100);
  await turns(20);
  const before = await rig.bytesOf('/data/index.snapshot');
  rig.disk.failNext('write', 'index.snapshot', 'NO_SPACE');
  const value = await rig.whole(engine, 100);
  await turns(20);
  expect([rig.failures, litter(rig)]).toEqual([[], []]);
  expect(await rig.bytesOf('/data/index.snapshot')).toEqual(before);
  expect(await outcomeOf(engine, value)).toBe('found');
  await engine.close();
});
