/** Handles of segment files while these are sealed and removed, on one device and on two. */
import { describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import type { Disk } from '../../disk/disk.ts';
import { MemoryDisk } from '../../disk/memory-disk.ts';
import { PowerCut } from '../../testing/power-cut.ts';
import { outcomeOf, StorageRig, turns, type Value } from '../../testing/storage-rig.ts';
import { SegmentFiles } from './files.ts';
import { SEGMENT_HEADER_BYTES } from './header.ts';
import { pathsOf } from './names.ts';

const AT = SEGMENT_HEADER_BYTES;

/** What is below /fast is on another device. */
function onTwoDevices(inner: Disk): Disk {
  const refuse = (change: string, from: string, to: string): Promise<void> => {
    if (change !== 'rename' || from.startsWith('/fast') === to.startsWith('/fast')) {
      return Promise.resolve();
    }
    const cause = Object.assign(new Error('cross-device link'), { code: 'EXDEV' });
    return Promise.reject(new KvError('DISK_FAILED', 'rename failed', { cause }));
  };
  return new PowerCut(inner, Number.POSITIVE_INFINITY, refuse).disk;
}

async function written(walPath: string): Promise<{ disk: MemoryDisk; files: SegmentFiles }> {
  const disk = new MemoryDisk();
  await disk.makeFolder('/data/segments');
  await disk.makeFolder(walPath);
  const files = new SegmentFiles(onTwoDevices(disk), pathsOf('/data', walPath));
  const file = await files.createActive({ segment: 1, salt: 7, replaces: [] });
  await file.write(AT, [utf8('bytes')]);
  await file.sync();
  return { disk, files };
}

/** A read that goes on until it is let go, with what it then reads. */
function slowRead(files: SegmentFiles): { letGo: () => void; text: Promise<string> } {
  const gate = Promise.withResolvers<undefined>();
  const text = files.use(1, async (file) => {
    await gate.promise;
    return textOf(await file.read(AT, 5));
  });
  return { letGo: () => gate.resolve(undefined), text };
}

describe('a sealed segment', () => {
  test('whose bytes went to another device is read there, and its old file takes no space', async () => {
    const { disk, files } = await written('/fast/wal');
    await files.sealActive();
    await turns(2);
    expect(disk.unlinkedBytes).toBe(0);
    expect(textOf(await files.read(1, AT, 5))).toBe('bytes');
    disk.flipBit(files.sealedPath(1), AT);
    expect(textOf(await files.read(1, AT, 5))).toBe('cytes');
    await files.close();
  });

  test.each(['/fast/wal', '/data/wal'])(
    'is read to the end by who began while it was active in %s',
    async (walPath) => {
      const { disk, files } = await written(walPath);
      const slow = slowRead(files);
      await files.sealActive();
      await files.remove([1]);
      await turns(2);
      slow.letGo();
      expect(await slow.text).toBe('bytes');
      await turns(2);
      expect(disk.unlinkedBytes).toBe(0);
      await expect(files.read(1, AT, 5)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await files.close();
    },
  );

  test('of an engine leaves nothing on the device of the log', async () => {
    const rig = new StorageRig({ segmentBytes: 4096, walPath: '/fast/wal' });
    rig.wrap = onTwoDevices;
    const engine = await rig.open();
    const values: Value[] = [];
    for (let i = 0; i < 9; i += 1) values.push(await rig.whole(engine, 1500));
    await turns(5);
    expect(rig.disk.unlinkedBytes).toBe(0);
    expect(await rig.disk.list('/fast/wal')).toHaveLength(1);
    for (const value of values) expect(await outcomeOf(engine, value)).toBe('found');
    await engine.close();
  });
});
