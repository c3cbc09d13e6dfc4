/** Names that no sync has covered: a start that trusts them must make them durable first. */
import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { PowerCut } from '../testing/power-cut.ts';
import { outcomeOf, StorageRig, turns, type Value } from '../testing/storage-rig.ts';

const REFUSED = new KvError('DISK_FAILED', 'rename failed', {
  cause: Object.assign(new Error('cross-device link'), { code: 'EXDEV' }),
});

/** A process that is killed between the rename of its first segment into `folder` and the sync of that name. */
function killedBeforeSync(inner: Disk, folder: string, isTwoDevices = false): Disk {
  let isRenamed = false;
  return new PowerCut(inner, Number.POSITIVE_INFINITY, async (change, path, to) => {
    const isAcross = path.startsWith('/fast') !== to.startsWith('/fast');
    if (change === 'rename' && isTwoDevices && isAcross) throw REFUSED;
    if (isRenamed) throw new KvError('DISK_FAILED', 'the process is killed');
    isRenamed = change === 'rename' && to.startsWith(`${folder}/`) && to.endsWith('.seg');
  }).disk;
}

/** Stages until the process is killed; what it voted for. */
async function votedUntilKilled(rig: StorageRig): Promise<Value[]> {
  const engine = await rig.open();
  const voted: Value[] = [];
  for (let i = 0; i < 3 && rig.failures.length === 0; i += 1) {
    const staged = rig.whole(engine, 1500).then((value) => voted.push(value));
    await staged.catch(() => undefined);
  }
  await turns(10);
  expect(rig.failures).toHaveLength(1);
  rig.disk.endProcess();
  rig.wrap = (disk) => disk;
  return voted;
}

describe('a power cut of the life after a process was killed before a name was synced', () => {
  test.each([
    ['one device', false],
    ['two devices', true],
  ])('takes no sealed segment, on %s', async (_, isTwoDevices) => {
    const rig = new StorageRig({ segmentBytes: 4096, walPath: '/fast/wal' });
    rig.wrap = (disk) => killedBeforeSync(disk, '/data/segments', isTwoDevices);
    const voted = await votedUntilKilled(rig);
    expect(voted).toHaveLength(2);
    expect(await rig.disk.list('/data/segments')).toEqual(['0000000001.seg']);
    let engine = await rig.open();
    // The next active segment syncs the folder of the log, and so that the old one has left it.
    voted.push(await rig.whole(engine, 1500));
    rig.disk.crash();
    engine = await rig.open();
    for (const value of voted) expect(await outcomeOf(engine, value)).toBe('found');
    await engine.close();
  });

  test('takes no active segment', async () => {
    const rig = new StorageRig();
    rig.wrap = (disk) => killedBeforeSync(disk, '/data/wal');
    expect(await votedUntilKilled(rig)).toEqual([]);
    expect(await rig.segments()).toEqual(['/data/wal/0000000001.seg']);
    let engine = await rig.open();
    const value = await rig.whole(engine, 1500);
    rig.disk.crash();
    engine = await rig.open();
    expect(await outcomeOf(engine, value)).toBe('found');
    await engine.close();
  });
});
