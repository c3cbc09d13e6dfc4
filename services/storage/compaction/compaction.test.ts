/** Compaction frees what is dead and loses nothing: at every step, beside drops, reads and damage. */
import { describe, expect, test } from '@jest/globals';
import { present } from '../../common/assert.ts';
import { KvError } from '../../common/errors.ts';
import { PowerCut } from '../../testing/power-cut.ts';
import { compactAll, outcomeOf, StorageRig, turns, type Value } from '../../testing/storage-rig.ts';
import { MOVES_A_TURN } from '../limits.ts';
import { SEGMENT_HEADER_BYTES } from '../segment/header.ts';
import type { StorageEngine } from '../types.ts';
import { deadRatio, planCompaction, type SegmentShape } from './plan.ts';

const shape = (segment: number, liveShare: number, bytes = 10_000): SegmentShape => ({
  segment,
  bytes: bytes + 304,
  sealed: true,
  liveBytes: bytes * liveShare,
  keptBytes: 0,
});
const limits = { segmentBytes: 10_000, damaged: new Set<number>(), roomBytes: 1_000_000 };

describe('the plan', () => {
  test('takes what the disk has room for, and merges nothing with itself', () => {
    const shapes = [shape(1, 0.2), shape(2, 0.5), shape(3, 0.1), shape(4, 0)];
    expect(planCompaction(shapes, { ...limits, roomBytes: 1_500 })).toEqual([3, 4]);
    expect(planCompaction(shapes, { ...limits, roomBytes: -1 })).toEqual([4]);
    const small = Array.from({ length: 8 }, (_, i) => shape(i + 1, 1, 200));
    expect(planCompaction(small, { ...limits, roomBytes: 300 })).toEqual([]);
    expect(planCompaction(small, { ...limits, roomBytes: 400 })).toEqual([1, 2]);
  });

  test('takes the deadest segments whose live bytes fit one', () => {
    const shapes = [shape(1, 0.9), shape(2, 0.5), shape(3, 0.1), shape(4, 0.3), shape(5, 0.6)];
    expect(planCompaction(shapes, limits)).toEqual([2, 3, 4]);
  });

  test('leaves the active, the damaged and the living alone', () => {
    const active = { ...shape(1, 0), sealed: false };
    const damaged = { ...limits, damaged: new Set([2]) };
    expect(planCompaction([active, shape(2, 0), shape(3, 0.95)], damaged)).toEqual([]);
  });

  test('never takes its own output again', () => {
    expect(deadRatio(shape(1, 1, 56))).toBe(0);
    expect(planCompaction([shape(1, 1, 56)], limits)).toEqual([]);
  });

  test('merges small ones when there are many', () => {
    const small = Array.from({ length: 8 }, (_, i) => shape(i + 1, 1, 200));
    expect(planCompaction(small.slice(1), limits)).toEqual([]);
    expect(planCompaction(small, limits)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

/** A volume of many small segments: kept, committed and dropped copies in each. */
async function mixture(rig: StorageRig): Promise<{
  engine: StorageEngine;
  kept: Value[];
  committed: Set<Value>;
  dropped: Value[];
}> {
  const engine = await rig.open();
  const kept: Value[] = [];
  const committed = new Set<Value>();
  const dropped: Value[] = [];
  for (let i = 0; i < 24; i += 1) {
    const value = i % 6 === 5 ? await rig.chunked(engine, 1800, 600) : await rig.whole(engine, 700);
    if (i % 3 === 0) kept.push(value);
    else dropped.push(value);
    if (i % 2 === 0) {
      await engine.finalize(value.id);
      if (i % 3 === 0) committed.add(value);
    }
  }
  for (const { id } of dropped) await engine.drop(id);
  await rig.whole(engine, 3000);
  return { engine, kept, committed, dropped };
}

async function expectMixture(
  engine: StorageEngine,
  made: { kept: Value[]; committed: Set<Value>; dropped: Value[] },
): Promise<void> {
  for (const value of made.kept) {
    expect(await outcomeOf(engine, value)).toBe('found');
    const state = made.committed.has(value) ? 'committed' : 'staged';
    expect(await engine.info(value.id)).toMatchObject({ state, owner: value.end.owner });
  }
  for (const { id } of made.dropped)
    expect(await engine.read(id, 0, 1)).toEqual({ kind: 'absent' });
}

test('frees the dead bytes, keeps the living and their states, also after a rebuild', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const made = await mixture(rig);
  let { engine } = made;
  const before = engine.usage();
  await compactAll(engine);
  const after = engine.usage();
  expect(after.diskBytes).toBeLessThan(before.diskBytes * 0.7);
  expect(after).toMatchObject({ copies: before.copies, liveBytes: before.liveBytes });
  expect(await rig.metrics.print()).toMatch(/minikv_volume_compaction_bytes_total \d{4}/);
  await expectMixture(engine, made);
  await engine.close();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(engine.report.fromSnapshot).toBe(false);
  expect(engine.usage()).toMatchObject({ copies: before.copies, liveBytes: before.liveBytes });
  await expectMixture(engine, made);
  await compactAll(engine);
  expect(await engine.compactOnce()).toBe(false);
  await engine.close();
});

test('a snapshot older than a compaction is still right', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const made = await mixture(rig);
  let { engine } = made;
  await engine.close();
  engine = await rig.open();
  const late = made.kept.splice(0, 2);
  for (const { id } of late) await engine.drop(id);
  for (let i = 0; i < 8; i += 1) await engine.drop((await rig.whole(engine, 1500)).id);
  await compactAll(engine);
  made.dropped.push(...late);
  const usage = engine.usage();
  rig.disk.crash();
  engine = await rig.open();
  expect(engine.report.fromSnapshot).toBe(true);
  expect(engine.usage()).toMatchObject({ copies: usage.copies, liveBytes: usage.liveBytes });
  await expectMixture(engine, made);
  await compactAll(engine);
  await expectMixture(engine, made);
  await engine.close();
});

test('what was dropped and compacted away does not come back from an older snapshot', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const values: Value[] = [];
  for (let i = 0; i < 10; i += 1) values.push(await rig.whole(engine, 700));
  values.push(await rig.chunked(engine, 2000, 500));
  await engine.close();
  engine = await rig.open();
  for (const { id } of values) await engine.drop(id);
  const last = await rig.whole(engine, 4000);
  await compactAll(engine);
  for (const { id } of values) expect(await engine.info(id)).toBeUndefined();
  rig.disk.crash();
  engine = await rig.open();
  expect(engine.report.fromSnapshot).toBe(true);
  for (const { id } of values) expect(await engine.info(id)).toBeUndefined();
  expect(engine.usage()).toMatchObject({ copies: 1, liveBytes: 4000 });
  expect(await outcomeOf(engine, last)).toBe('found');
  await engine.close();
});

test('S12: power cut at every step leaves the old volume or the new one', async () => {
  const story = async (cutAt: number, seed: number) => {
    const snapshotRecordsMin = seed % 3 === 0 ? 1 : 65_536;
    const rig = new StorageRig({ segmentBytes: 4096, snapshotRecordsMin }, seed);
    const made = await mixture(rig);
    await made.engine.close();
    const cut = new PowerCut(rig.disk, cutAt);
    rig.wrap = () => cut.disk;
    try {
      const engine = await rig.open();
      await compactAll(engine);
      await engine.close();
    } catch (error) {
      expect(error).toMatchObject({ code: 'DISK_FAILED' });
    }
    rig.disk.crash({ random: rig.random });
    if (seed % 2 === 0) await rig.disk.remove('/data/index.snapshot');
    rig.wrap = (disk) => disk;
    let engine = await rig.open();
    expect(engine.report.corruptRecords).toEqual([]);
    await expectMixture(engine, made);
    await compactAll(engine);
    await expectMixture(engine, made);
    rig.disk.crash();
    await rig.disk.remove('/data/index.snapshot');
    engine = await rig.open();
    await expectMixture(engine, made);
    expect(engine.usage().copies).toBe(made.kept.length + 1);
    await engine.close();
    return cut.changes;
  };
  const steps = await story(Number.POSITIVE_INFINITY, 1);
  expect(steps).toBeGreaterThan(15);
  for (let cutAt = 1; cutAt <= steps; cutAt += 1) await story(cutAt, cutAt);
}, 60_000);

test('a drop while records are moving is not undone by them', async () => {
  for (let pause = 0; pause < 40; pause += 2) {
    const rig = new StorageRig({ segmentBytes: 4096 }, pause + 1);
    const made = await mixture(rig);
    let { engine } = made;
    const running = engine.compactOnce();
    for (let i = 0; i < pause; i += 1) await Promise.resolve();
    const late = made.kept.splice(0, 3);
    await Promise.all(late.map(({ id }) => engine.drop(id)));
    await running;
    await compactAll(engine);
    await expectMixture(engine, { ...made, dropped: [...made.dropped, ...late] });
    rig.disk.crash();
    await rig.disk.remove('/data/index.snapshot');
    engine = await rig.open();
    await expectMixture(engine, { ...made, dropped: [...made.dropped, ...late] });
    await engine.close();
  }
}, 30_000);

test('a drop that came between copying and switching covers the new segment too', async () => {
  const rig = new StorageRig({ segmentBytes: 8192 });
  let drop: (() => Promise<unknown>) | null = null;
  const meet = async (change: string, path: string): Promise<void> => {
    const now = drop;
    if (change !== 'rename' || !path.includes('/segments/') || now === null) return;
    drop = null;
    await now();
  };
  rig.wrap = (disk) => new PowerCut(disk, Number.POSITIVE_INFINITY, meet).disk;
  let engine = await rig.open();
  const moved = await rig.whole(engine, 500);
  const beside = await rig.whole(engine, 3500);
  const dead = await rig.whole(engine, 3500);
  await rig.whole(engine, 2000);
  await engine.drop(dead.id);
  drop = () => engine.drop(moved.id);
  expect(await engine.compactOnce()).toBe(true);
  expect(drop).toBeNull();
  /* Now the segment with the drop record goes, while the new one, which holds the bytes, stays. */
  for (let i = 0; i < 5; i += 1) await engine.drop((await rig.whole(engine, 3000)).id);
  await compactAll(engine);
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(await engine.read(moved.id, 0, 1)).toEqual({ kind: 'absent' });
  expect(await outcomeOf(engine, beside)).toBe('found');
  await engine.close();
});

test('while the index is switched others have their turns: what they drop stays dropped', async () => {
  const rig = new StorageRig({ segmentBytes: 1024 * 1024 });
  let isSwitching = false;
  const meet = (change: string, path: string): Promise<void> => {
    if (change === 'rename' && path.includes('/segments/')) isSwitching = true;
    return Promise.resolve();
  };
  let engine = await rig.open();
  const values = Array.from({ length: 3 * MOVES_A_TURN }, () => rig.value(20));
  await engine.stageWholes(values);
  const fill = await rig.whole(engine, 400_000);
  await rig.whole(engine, 500_000);
  await engine.drop(fill.id);
  await engine.close();
  rig.wrap = (disk) => new PowerCut(disk, Number.POSITIVE_INFINITY, meet).disk;
  engine = await rig.open();
  const ends = [values[0], values.at(-1)].map((value) => present(value, 'a value'));
  const later = values.slice(1, 9).concat(values.slice(-9, -1));
  const drops: Promise<unknown>[] = [];
  let seen: readonly string[] = [];
  rig.clock.soon = (fn) => {
    if (isSwitching) {
      isSwitching = false;
      for (const { id } of later) drops.push(engine.drop(id));
      void Promise.all(ends.map((value) => outcomeOf(engine, value))).then((outcomes) => {
        seen = outcomes;
      });
    }
    setImmediate(fn);
  };
  expect(await engine.compactOnce()).toBe(true);
  await Promise.all(drops);
  expect([drops.length, seen]).toEqual([later.length, ['found', 'found']]);
  const kept = values.filter((value) => !later.includes(value));
  for (const again of [false, true]) {
    for (const value of kept) expect(await outcomeOf(engine, value)).toBe('found');
    for (const { id } of later) expect(await engine.read(id, 0, 1)).toEqual({ kind: 'absent' });
    expect(engine.usage().copies).toBe(kept.length + 1);
    if (again) break;
    rig.disk.crash();
    await rig.disk.remove('/data/index.snapshot');
    engine = await rig.open();
  }
  await engine.close();
});

test('a crash before the old files are gone ends with them gone', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const meet = (change: string, path: string): Promise<void> =>
    change === 'remove' && path.endsWith('.seg')
      ? Promise.reject(new KvError('DISK_FAILED', 'killed'))
      : Promise.resolve();
  rig.wrap = (disk) => new PowerCut(disk, Number.POSITIVE_INFINITY, meet).disk;
  const made = await mixture(rig);
  const before = await rig.segments();
  await expect(made.engine.compactOnce()).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(await rig.segments()).toEqual(expect.arrayContaining([...before]));
  rig.disk.crash();
  rig.wrap = (disk) => disk;
  const engine = await rig.open();
  expect(before.filter((path) => path.includes('/segments/'))).not.toHaveLength(0);
  const left = await rig.segments();
  expect(before.filter((path) => left.includes(path)).length).toBeLessThan(before.length);
  await expectMixture(engine, made);
  await engine.close();
});

test('S11: a drop record outlives what it drops, and then goes too', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const first = await rig.whole(engine, 500);
  const beside: Value[] = [];
  for (let i = 0; i < 3; i += 1) beside.push(await rig.whole(engine, 900));
  const fill = await rig.whole(engine, 3000);
  await engine.drop(first.id);
  await rig.whole(engine, 3500);
  await engine.drop(fill.id);
  await compactAll(engine);
  expect(await engine.info(first.id)).toMatchObject({ state: 'dropped' });
  for (const { id } of beside) await engine.drop(id);
  await rig.whole(engine, 3500);
  await compactAll(engine);
  rig.disk.crash();
  await rig.disk.remove('/data/index.snapshot');
  engine = await rig.open();
  expect(await engine.read(first.id, 0, 1)).toEqual({ kind: 'absent' });
  await compactAll(engine);
  await rig.whole(engine, 3500);
  await compactAll(engine);
  expect(await engine.info(first.id)).toBeUndefined();
  await engine.close();
});

test('running reads keep their bytes', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const made = await mixture(rig);
  const { engine, kept } = made;
  let reading = true;
  const reads = (async () => {
    while (reading) {
      await turns(1);
      for (const value of kept) {
        expect(await outcomeOf(engine, value)).toBe('found');
      }
    }
  })();
  await compactAll(engine);
  reading = false;
  await reads;
  await engine.close();
});

test.each([
  ['value', 300],
  ['head', 20],
])('S12: a bad bit in the %s of a live record stops the move: kept and told', async (_, at) => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const [bad, good, dead] = [
    await rig.whole(engine, 700),
    await rig.whole(engine, 700),
    await rig.whole(engine, 2000),
  ];
  await rig.whole(engine, 3000);
  await engine.drop(dead.id);
  await engine.close();
  rig.disk.flipBit('/data/segments/0000000001.seg', SEGMENT_HEADER_BYTES + at);
  engine = await rig.open();
  expect(await engine.compactOnce()).toBe(false);
  expect(await engine.read(bad.id, 0, 1)).toMatchObject({ kind: 'corrupt' });
  expect(engine.usage().corruptRecords).toBe(1);
  expect(await outcomeOf(engine, good)).toBe('found');
  expect(await rig.disk.exists('/data/segments/0000000001.seg')).toBe(true);
  await engine.drop(bad.id);
  await engine.close();
  engine = await rig.open();
  expect(await engine.compactOnce()).toBe(true);
  expect(await outcomeOf(engine, good)).toBe('found');
  await engine.close();
});

test('keeps to its rate, and an abort leaves everything as it was', async () => {
  const rig = new StorageRig({ segmentBytes: 4096, compactionBytesPerSecond: 1_000 });
  const made = await mixture(rig);
  const { engine } = made;
  const files = await rig.segments();
  const abort = new AbortController();
  const running = engine.compactOnce(abort.signal);
  await turns(20);
  expect(await rig.segments()).toEqual(files);
  abort.abort();
  expect(await running).toBe(false);
  expect(await rig.segments()).toEqual(files);
  await expectMixture(engine, made);
  await engine.close();
});

test('a new rate holds within a second, for the run under way too', async () => {
  const rig = new StorageRig({ segmentBytes: 4096, compactionBytesPerSecond: 1 });
  const made = await mixture(rig);
  const { engine } = made;
  let isDone = false;
  const running = engine.compactOnce().then((worked) => {
    isDone = true;
    return worked;
  });
  await turns(20);
  await rig.clock.advance(1000);
  engine.setCompactionRate(0);
  await turns(20);
  expect(isDone).toBe(false);
  await rig.clock.advance(1000);
  expect(await running).toBe(true);
  await expectMixture(engine, made);
  await engine.close();
});

test('a failed write of compaction is final', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const { engine } = await mixture(rig);
  rig.disk.failNext('sync', '.seg.new');
  await expect(engine.compactOnce()).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(rig.failures).toHaveLength(1);
  await engine.close();
});

test('a read that is under way when its segment goes is answered, and is no damage', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let gate: Promise<undefined> | null = null;
  const begun = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<undefined>();
  const open = rig.disk.open.bind(rig.disk);
  rig.disk.open = async (path, mode) => {
    const file = await open(path, mode);
    const read = file.read.bind(file);
    file.read = async (offset, length) => {
      const bytes = await read(offset, length);
      begun.resolve(undefined);
      await gate;
      return bytes;
    };
    return file;
  };
  const { engine, kept } = await mixture(rig);
  const value = present(kept[0], 'a value');
  gate = ended.promise;
  const reading = outcomeOf(engine, value);
  const asking = engine.info(value.id);
  await begun.promise;
  await turns(2);
  gate = null;
  await compactAll(engine);
  ended.resolve(undefined);
  expect(await reading).toBe('found');
  expect(await asking).toMatchObject({ sound: true });
  expect(engine.usage().corruptRecords).toBe(0);
  expect(await engine.info(value.id)).toMatchObject({ sound: true });
  await engine.close();
});
