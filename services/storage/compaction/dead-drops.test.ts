/**
 * A drop record is needed as long as a file may hold what it drops, and no longer. Goal: what deletes leave
 * on disk and in the index goes, also beside what stays, and no crash on the way brings a copy back.
 */
import { expect, test } from '@jest/globals';
import { PowerCut } from '../../testing/power-cut.ts';
import { compactAll, outcomeOf, StorageRig, turns, type Value } from '../../testing/storage-rig.ts';
import type { StorageEngine } from '../types.ts';

async function wholes(
  rig: StorageRig,
  engine: StorageEngine,
  { count, bytes }: { count: number; bytes: number },
): Promise<Value[]> {
  const values: Value[] = [];
  for (let i = 0; i < count; i += 1) values.push(await rig.whole(engine, bytes));
  return values;
}

const dropAll = (engine: StorageEngine, values: readonly Value[]): Promise<unknown> =>
  Promise.all(values.map(({ id }) => engine.drop(id)));

/** Fills the active segment, so that what it held before is sealed. */
const seal = (rig: StorageRig, engine: StorageEngine): Promise<Value> => rig.whole(engine, 3900);

test('when all that they drop is gone nothing is left of deletes', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const values = await wholes(rig, engine, { count: 100, bytes: 200 });
  await seal(rig, engine);
  const before = engine.usage();
  await dropAll(engine, values);
  await seal(rig, engine);
  await compactAll(engine);
  expect(await engine.list(null, 1000, ['dropped'])).toEqual([]);
  const after = engine.usage();
  expect(after).toMatchObject({ copies: 2, liveBytes: 7800, segments: 2 });
  expect(after.indexBytes).toBeLessThan(before.indexBytes / 10);
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  for (const { id } of values) expect(await engine.info(id)).toBeUndefined();
  expect(engine.usage()).toMatchObject({ copies: 2, liveBytes: 7800 });
  await engine.close();
});

test('also after a restart from a snapshot, which does not say where drops are', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const values = await wholes(rig, engine, { count: 100, bytes: 200 });
  await seal(rig, engine);
  await dropAll(engine, values);
  await seal(rig, engine);
  await engine.close();
  engine = await rig.open();
  expect(engine.report).toMatchObject({ fromSnapshot: true, replayedRecords: 0 });
  await compactAll(engine);
  expect(await engine.list(null, 1000, ['dropped'])).toEqual([]);
  expect(await engine.compactOnce()).toBe(false);
  await engine.close();
});

test('one cold segment among many keeps no drop of the others', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const engine = await rig.open();
  const values = await wholes(rig, engine, { count: 60, bytes: 700 });
  await seal(rig, engine);
  const kept = values.splice(28, 4);
  const order = values.map((value, i) => values[(i * 17) % values.length] ?? value);
  await dropAll(engine, order.slice(0, 30));
  await compactAll(engine);
  for (const { id } of order.slice(30)) await engine.drop(id);
  await seal(rig, engine);
  await compactAll(engine);
  for (const value of kept) expect(await outcomeOf(engine, value)).toBe('found');
  expect(await engine.list(null, 1000, ['dropped'])).toEqual([]);
  expect(engine.usage()).toMatchObject({ copies: 6, segments: 3 });
  await engine.close();
});

test('a drop stays while one segment of its chunks does', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const chunked = await rig.chunked(engine, 4000, 900);
  const beside = await rig.whole(engine, 3000);
  await seal(rig, engine);
  await dropAll(engine, [chunked]);
  await seal(rig, engine);
  await compactAll(engine);
  expect(await engine.info(chunked.id)).toMatchObject({ state: 'dropped' });
  await dropAll(engine, [beside]);
  await seal(rig, engine);
  await compactAll(engine);
  expect(await engine.info(chunked.id)).toBeUndefined();
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(await engine.info(chunked.id)).toBeUndefined();
  await engine.close();
});

test('a drop that is being written when compaction begins holds for what is moved then', async () => {
  const rig = new StorageRig({ segmentBytes: 8192 });
  let engine = await rig.open();
  const moved = await rig.whole(engine, 500);
  const beside = await rig.whole(engine, 3500);
  const dead = await rig.whole(engine, 3500);
  await rig.whole(engine, 2000);
  await engine.drop(dead.id);
  const release = rig.disk.holdSyncs();
  const dropping = engine.drop(moved.id);
  await turns(5);
  const compacting = engine.compactOnce();
  await turns(50);
  release();
  await dropping;
  expect(await compacting).toBe(true);
  /* The segment with the drop record goes; the one that compaction wrote stays. */
  for (let i = 0; i < 5; i += 1) await engine.drop((await rig.whole(engine, 3000)).id);
  await compactAll(engine);
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(await engine.read(moved.id, 0, 1)).toEqual({ kind: 'absent' });
  expect(await outcomeOf(engine, beside)).toBe('found');
  await engine.close();
});

test('S11: power cut at every step: what was dropped stays dropped', async () => {
  const story = async (cutAt: number, seed: number) => {
    const snapshotRecordsMin = seed % 3 === 0 ? 1 : 65_536;
    const rig = new StorageRig({ segmentBytes: 4096, snapshotRecordsMin }, seed);
    let engine = await rig.open();
    const values = await wholes(rig, engine, { count: 24, bytes: 700 });
    values.push(await rig.chunked(engine, 3000, 900));
    const sealing = await seal(rig, engine);
    const kept = [...values.splice(8, 4), sealing];
    const [first, second] = [values.slice(0, 10), values.slice(10)];
    await dropAll(engine, first);
    await engine.close();
    const cut = new PowerCut(rig.disk, cutAt);
    rig.wrap = () => cut.disk;
    const dropped = [...first];
    try {
      engine = await rig.open();
      await compactAll(engine);
      await dropAll(engine, second);
      dropped.push(...second);
      await seal(rig, engine);
      await compactAll(engine);
      await engine.close();
    } catch (error) {
      expect(error).toMatchObject({ code: 'DISK_FAILED' });
    }
    rig.wrap = (disk) => disk;
    for (const withoutSnapshot of [seed % 2 === 0, true]) {
      rig.disk.crash({ random: rig.random });
      if (withoutSnapshot) await rig.disk.remove('/data/index.snapshot');
      engine = await rig.open();
      for (const { id } of dropped) expect(await engine.read(id, 0, 1)).toEqual({ kind: 'absent' });
      for (const value of kept) expect(await outcomeOf(engine, value)).toBe('found');
      expect(engine.report.corruptRecords).toEqual([]);
      await compactAll(engine);
    }
    await engine.close();
    return cut.changes;
  };
  const steps = await story(Number.POSITIVE_INFINITY, 1);
  expect(steps).toBeGreaterThan(30);
  for (let cutAt = 1; cutAt <= steps; cutAt += 1) await story(cutAt, cutAt);
}, 120_000);

test('an index of dropped copies is worth no snapshot for each delete', async () => {
  const rig = new StorageRig({ segmentBytes: 64 * 1024, snapshotRecordsMin: 1 });
  let snapshots = 0;
  rig.wrap = (disk) =>
    new PowerCut(disk, Number.POSITIVE_INFINITY, (change, _, to) => {
      if (change === 'rename' && to.endsWith('index.snapshot')) snapshots += 1;
      return Promise.resolve();
    }).disk;
  const engine = await rig.open();
  const values = Array.from({ length: 200 }, () => rig.value(20));
  await engine.stageWholes(values);
  await dropAll(engine, values);
  await turns(20);
  snapshots = 0;
  for (let i = 0; i < 10; i += 1) await engine.drop((await rig.whole(engine, 20)).id);
  await turns(20);
  expect(snapshots).toBeLessThan(2);
  await engine.close();
});
