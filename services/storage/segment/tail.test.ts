/** A torn tail on a disk that has no room to keep it aside. */
import { expect, test } from '@jest/globals';
import { KvError } from '../../common/errors.ts';
import type { Disk } from '../../disk/disk.ts';
import { PowerCut } from '../../testing/power-cut.ts';
import { outcomeOf, StorageRig, turns, type Value } from '../../testing/storage-rig.ts';

const FIRST = '/data/wal/0000000001.seg';
const TORN = Buffer.from('half a record, never synced');

async function torn(): Promise<{ rig: StorageRig; kept: Value }> {
  const rig = new StorageRig();
  const kept = await rig.whole(await rig.open(), 500);
  rig.disk.crash();
  await rig.replace(FIRST, Buffer.concat([await rig.bytesOf(FIRST), TORN]));
  return { rig, kept };
}

test('a full disk still opens: the torn bytes go, and what was acknowledged is read', async () => {
  const { rig, kept } = await torn();
  rig.disk.fill(10);
  let engine = await rig.open();
  expect(engine.report.tornBytes).toBe(TORN.length);
  expect(await outcomeOf(engine, kept)).toBe('found');
  expect(await rig.disk.list('/data/broken')).toEqual([]);
  rig.disk.fill(1e9);
  await rig.clock.advance(2000);
  engine.usage();
  await turns(2);
  const later = await rig.whole(engine, 500);
  rig.disk.crash();
  engine = await rig.open();
  expect(engine.report).toMatchObject({ tornBytes: 0, corruptRecords: [] });
  for (const value of [kept, later]) expect(await outcomeOf(engine, value)).toBe('found');
  await engine.close();
});

/** A disk that makes no folder for what is torn. */
const withoutFolder = (code: 'NO_SPACE' | 'DISK_FAILED') => (disk: Disk) =>
  new PowerCut(disk, Number.POSITIVE_INFINITY, async (change, path) => {
    if (change === 'makeFolder' && path === '/data/broken') throw new KvError(code, 'no folder');
  }).disk;

test('so does one that is too full for the folder', async () => {
  const { rig, kept } = await torn();
  rig.wrap = withoutFolder('NO_SPACE');
  const engine = await rig.open();
  expect(engine.report.tornBytes).toBe(TORN.length);
  expect(await outcomeOf(engine, kept)).toBe('found');
  await engine.close();
});

test('one that fails does not open, and nothing is cut', async () => {
  const { rig } = await torn();
  const { length } = await rig.bytesOf(FIRST);
  rig.wrap = withoutFolder('DISK_FAILED');
  await expect(rig.open()).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(await rig.bytesOf(FIRST)).toHaveLength(length);
});
