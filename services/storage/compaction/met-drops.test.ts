/** Drops that a run of compaction meets are forgotten without a walk over the index, unless they are too many. */
import { afterEach, expect, jest, test } from '@jest/globals';
import { type CopyId, copyId } from '../../common/ids.ts';
import { StorageRig, TurningClock, turns, type Value } from '../../testing/storage-rig.ts';
import { Catalog } from '../index/catalog.ts';
import { Table } from '../index/table.ts';
import { DROPS_LISTED_MAX, MOVES_A_TURN } from '../limits.ts';
import { encodeDropRange, KIND } from '../record.ts';
import { MetDrops } from './met-drops.ts';

afterEach(() => {
  jest.restoreAllMocks();
});

const idAt = (i: number): CopyId =>
  copyId(((i * 0x9e3779b1) >>> 0).toString(16).padStart(8, '0').padEnd(32, '0'));

const place = (segment: number, i: number) => ({ copyId: idAt(i), segment, offset: 304 + i * 56 });

const OTHERS = 100;

/** A catalog of drops, so many in segment 1 and some in segment 2. */
function dropsIn(count: number): Catalog {
  const catalog = new Catalog();
  for (const segment of [1, 2]) catalog.segments.add(segment, 7);
  const meta = encodeDropRange({ lowest: 1, highest: 1 });
  for (let i = 0; i < count + OTHERS; i += 1) {
    const record = { kind: KIND.drop, flags: 0, meta, dataBytes: 0, recordBytes: 56 };
    catalog.apply({ ...record, ...place(i < count ? 1 : 2, i) }, true, 0);
  }
  return catalog;
}

test.each([
  ['listed', 4 * MOVES_A_TURN],
  ['too many to be listed', DROPS_LISTED_MAX + 1],
])('%s: what was met is forgotten in turns, and nothing else is', async (kind, count) => {
  const catalog = dropsIn(count);
  const clock = new TurningClock();
  const portions = jest.spyOn(Table.prototype, 'portions');
  let turnsTaken = 0;
  clock.soon = (fn) => {
    turnsTaken += 1;
    setImmediate(fn);
  };
  const met = new MetDrops();
  expect(met.isEmpty).toBe(true);
  for (let i = 0; i < count; i += 1) met.add(place(1, i));
  expect(met.isEmpty).toBe(false);
  await met.forget({ catalog, clock }, new Set([1]));
  expect(portions).toHaveBeenCalledTimes(kind === 'listed' ? 0 : 1);
  expect(turnsTaken).toBeGreaterThan(1);
  expect(catalog.copyEntries).toBe(OTHERS);
  expect(catalog.segments.get(1)).toMatchObject({ liveRecords: 0, liveBytes: 0 });
  expect(catalog.segments.get(2)?.liveRecords).toBe(OTHERS);
  expect(catalog.copy(idAt(count))).toBeDefined();
});

test.each([false, true])(
  'a run walks no index to forget them; on a full disk: %s',
  async (isFull) => {
    const rig = new StorageRig({ segmentBytes: 4096 });
    const engine = await rig.open();
    const values: Value[] = [];
    for (let i = 0; i < 40; i += 1) values.push(await rig.whole(engine, 200));
    await rig.whole(engine, 3900);
    for (const { id } of values) await engine.drop(id);
    await rig.whole(engine, 3900);
    if (isFull) rig.disk.fill(0);
    const portions = jest.spyOn(Table.prototype, 'portions');
    const walks: number[] = [];
    while ((await engine.list(null, 1000, ['dropped'])).length > 0 && walks.length < 20) {
      expect(await engine.compactOnce()).toBe(true);
      await turns(1);
      walks.push(portions.mock.calls.length);
    }
    // One to find the segment of drops, none to forget them.
    expect(walks.at(-1)).toBeLessThanOrEqual(1);
    await engine.close();
  },
);
