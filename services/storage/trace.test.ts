/**
 * A short life of a volume, cut at every change and torn at every sector: staging, chunks, commits,
 * drops, a roll of segments, a compaction and a clean stop with its snapshot. Goal: what was acknowledged
 * is there, what was not is there whole or not at all, and nothing unsynced is taken for decay.
 */
import { expect, test } from '@jest/globals';
import type { Disk } from '../disk/disk.ts';
import { DiskTrace } from '../testing/disk-trace.ts';
import { outcomeOf, StorageRig, type Value } from '../testing/storage-rig.ts';
import type { StorageEngine } from './types.ts';

type Fate = 'found' | 'absent' | 'either';

const isAbsent = (outcome: string): boolean => outcome === 'absent' || outcome === 'torn';

test('a volume, cut at every change and torn at every sector', async () => {
  const trace = new DiskTrace();
  const rig = new StorageRig({ segmentBytes: 4096, snapshotRecordsMin: 1 }, 5);
  rig.wrap = () => trace.disk;
  let engine: StorageEngine = await rig.open();
  const fates = new Map<Value, Fate>();
  let compacted = false;
  const phases = [{ from: trace.length, fates: new Map(fates) }];
  /** While `run` goes on the value may be there or not; then it is as `fate` says. */
  const deed = async (value: Value | null, fate: Fate, run: () => Promise<unknown>) => {
    if (value !== null) fates.set(value, 'either');
    phases.push({ from: trace.length, fates: new Map(fates) });
    await run();
    if (value !== null) fates.set(value, fate);
    phases.push({ from: trace.length, fates: new Map(fates) });
  };
  const values = [1400, 1300, 700, 900].map((bytes) => rig.value(bytes));
  for (const value of values) {
    await deed(value, 'found', () => engine.stageWhole(value.end, value.data));
  }
  const [first, second] = values;
  for (const value of [first, second]) {
    if (value !== undefined) await deed(value, 'absent', () => engine.drop(value.id));
  }
  await deed(null, 'found', () =>
    Promise.all(values.slice(2).map(({ id }) => engine.finalize(id))),
  );
  await deed(null, 'found', async () => {
    while (await engine.compactOnce()) compacted = true;
  });
  await deed(null, 'found', () => engine.close());
  await deed(null, 'found', async () => {
    engine = await rig.open();
  });
  const last = rig.value(800);
  await deed(last, 'found', () => engine.stageWhole(last.end, last.data));
  await engine.close();
  let cuts = 0;
  for await (const { disk, step, fate } of trace.cuts(phases[0]?.from)) {
    const where = `${String(step)} ${fate}`;
    const now = phases.filter(({ from }) => from <= step).at(-1);
    // The first change of a deed that is torn has begun already.
    const begun = phases.findLast(({ from }) => from <= step + (fate.endsWith('bytes') ? 1 : 0));
    const failures: unknown[] = [];
    const again = await openOn(rig, disk, failures);
    expect([where, again.report.corruptRecords, failures]).toEqual([where, [], []]);
    for (const [value, wanted] of now?.fates ?? []) {
      const outcome = await outcomeOf(again, value);
      const expected = begun?.fates.get(value) === wanted ? wanted : 'either';
      const isRight =
        expected === 'either'
          ? outcome === 'found' || isAbsent(outcome)
          : expected === 'found'
            ? outcome === 'found'
            : isAbsent(outcome);
      if (!isRight) throw new Error(`${where}: ${value.id} should be ${expected}, is ${outcome}`);
    }
    cuts += 1;
  }
  expect(cuts).toBeGreaterThan(100);
  expect(compacted).toBe(true);
}, 60_000);

/** An engine on what a cut has left; it writes no snapshot of its own, which would take most of the time. */
function openOn(rig: StorageRig, disk: Disk, failures: unknown[]): Promise<StorageEngine> {
  rig.wrap = () => disk;
  const onFailure = (error: unknown): void => void failures.push(error);
  return rig.open({ snapshotRecordsMin: 65_536, onFailure });
}
