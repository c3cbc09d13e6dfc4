/** The identity of a folder: raised and synced at each open, refused to strangers. */
import { describe, expect, test } from '@jest/globals';
import { clusterId, diskId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VolumeFolder } from './volume-folder.ts';

const CLUSTER = clusterId('c'.repeat(32));
const OTHER = clusterId('d'.repeat(32));
const code = (error: string) => expect.objectContaining({ code: error });

function folders(disk: MemoryDisk, random = seededRandom(1)) {
  return (name = 'volume-0', cluster: typeof CLUSTER | null = null) =>
    VolumeFolder.open(
      { disk, random, logger: silentLogger },
      { dataPath: '/data', name, clusterId: cluster },
    );
}

describe('a volume folder', () => {
  test('counts boots, draws a nonce each time, remembers disk and cluster', async () => {
    const disk = new MemoryDisk();
    const open = folders(disk);
    const first = await open();
    expect(first.identity).toMatchObject({ clusterId: null, disk: 0, boots: 1, cleanStop: true });
    await first.setRegistered(CLUSTER, diskId(3));
    await first.setRegistered(CLUSTER, diskId(3));
    expect(first.identity).toMatchObject({ clusterId: CLUSTER, disk: 3 });
    await first.close();
    const second = await open('volume-0', CLUSTER);
    expect(second.identity).toMatchObject({
      clusterId: CLUSTER,
      disk: 3,
      boots: 2,
      cleanStop: true,
    });
    expect(second.identity.nonce).not.toBe(first.identity.nonce);
    await second.close();
  });

  test('knows a crash from a stop, and has synced boots before the crash', async () => {
    const disk = new MemoryDisk();
    const open = folders(disk);
    const first = await open();
    await first.setRegistered(CLUSTER, diskId(3));
    disk.crash();
    const second = await open();
    expect(second.identity).toMatchObject({ disk: 3, boots: 2, cleanStop: false });
    disk.crash();
    const third = await open();
    expect(third.identity).toMatchObject({ boots: 3, cleanStop: false });
    await third.close();
    const fourth = await open();
    expect(fourth.identity).toMatchObject({ boots: 4, cleanStop: true });
    await fourth.abandon();
    expect((await open()).identity).toMatchObject({ boots: 5, cleanStop: false });
  });

  test('an older image goes on behind the starts that it does not know, as after a crash', async () => {
    const disk = new MemoryDisk();
    const open = folders(disk);
    const first = await open();
    expect(await first.raiseBoots(10)).toBe(11);
    expect(first.identity).toMatchObject({ boots: 11, cleanStop: false });
    disk.crash();
    const second = await open();
    expect(second.identity).toMatchObject({ boots: 12, cleanStop: false });
    expect(second.identity.nonce).not.toBe(first.identity.nonce);
    // Boots never fall, whatever the cluster says.
    expect(await second.raiseBoots(3)).toBe(13);
    await second.close();
  });

  test('refuses another name, another cluster and a second owner', async () => {
    const disk = new MemoryDisk();
    const open = folders(disk);
    const first = await open();
    await expect(open()).rejects.toEqual(code('LOCKED'));
    await first.setRegistered(CLUSTER, diskId(3));
    await expect(first.setRegistered(OTHER, diskId(3))).rejects.toEqual(code('IDENTITY_MISMATCH'));
    await expect(first.setRegistered(CLUSTER, diskId(4))).rejects.toEqual(
      code('IDENTITY_MISMATCH'),
    );
    await first.close();
    await expect(open('volume-1')).rejects.toEqual(code('IDENTITY_MISMATCH'));
    await expect(open('volume-0', OTHER)).rejects.toEqual(code('IDENTITY_MISMATCH'));
    const again = await open('volume-0', CLUSTER);
    expect(again.identity.boots).toBe(2);
    await again.close();
  });

  test('survives damage to one slot and refuses to guess after damage to both', async () => {
    const disk = new MemoryDisk();
    const open = folders(disk);
    const first = await open();
    await first.setRegistered(CLUSTER, diskId(3));
    await first.close();
    disk.flipBit('/data/volume.identity', 20);
    const second = await open();
    expect(second.identity).toMatchObject({ disk: 3, boots: 2 });
    await second.close();
    disk.flipBit('/data/volume.identity', 20);
    disk.flipBit('/data/volume.identity', 4096 + 20);
    await expect(open()).rejects.toEqual(code('CORRUPT'));
    await expect(open()).rejects.toEqual(code('CORRUPT'));
  });
});
