import { describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../common/bytes.ts';
import { seededRandom } from '../common/random.ts';
import { describeDisk } from './conformance.ts';
import type { DiskFile } from './disk.ts';
import { MemoryDisk } from './memory-disk.ts';

describeDisk('MemoryDisk', async () => {
  const disk = new MemoryDisk();
  await disk.makeFolder('/d');
  return { disk, root: '/d', cleanUp: () => Promise.resolve() };
});

async function durableFile(disk: MemoryDisk, text: string): Promise<DiskFile> {
  await disk.makeFolder('/d');
  const file = await disk.open('/d/a', 'create');
  await file.write(0, [utf8(text)]);
  await file.sync();
  await disk.syncFolder('/d');
  return file;
}

async function content(disk: MemoryDisk, path: string): Promise<string> {
  const file = await disk.open(path, 'read');
  return textOf(await file.read(0, await file.size()));
}

describe('MemoryDisk in a crash', () => {
  test('forgets unsynced bytes and keeps synced ones', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 'synced');
    await file.write(6, [utf8(' unsynced')]);
    expect(await content(disk, '/d/a')).toBe('synced unsynced');
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('synced');
    await expect(file.read(0, 1)).rejects.toMatchObject({ code: 'DISK_FAILED' });
  });

  test('a write that carries its sync keeps what was written before it too', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 'one');
    await file.write(3, [utf8(' two')]);
    await file.writeSynced(7, [utf8(' three')]);
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('one two three');
  });

  test('forgets names whose folder was not synced', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 'old');
    await file.close();
    const other = await disk.open('/d/b', 'create');
    await other.write(0, [utf8('new')]);
    await other.sync();
    await disk.rename('/d/b', '/d/a');
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('old');
    expect(await disk.exists('/d/b')).toBe(false);
  });

  test('a synced rename survives', async () => {
    const disk = new MemoryDisk();
    await durableFile(disk, 'value');
    await disk.rename('/d/a', '/d/b');
    await disk.syncFolder('/d');
    disk.crash();
    expect(await disk.list('/d')).toEqual(['b']);
  });

  test('keeps, loses or tears unsynced writes by sectors, as the random says', async () => {
    const fates = new Set<string>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const disk = new MemoryDisk();
      const file = await durableFile(disk, '');
      await file.write(0, [new Uint8Array(2048).fill(7)]);
      disk.crash({ random: seededRandom(seed) });
      const bytes = await (await disk.open('/d/a', 'read')).read(0, 4096);
      const sectors = [0, 512, 1024, 1536].map((at) => (bytes[at] ?? 0) === 7);
      fates.add(sectors.every(Boolean) ? 'kept' : sectors.some(Boolean) ? 'torn' : 'lost');
    }
    expect([...fates].sort()).toEqual(['kept', 'lost', 'torn']);
  });
});

describe('MemoryDisk under faults', () => {
  test('a failed sync never becomes durable by a later one', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 'a');
    await file.write(1, [utf8('b')]);
    disk.failNext('sync', '/d/a');
    await expect(file.sync()).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await file.sync();
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('a');
  });

  test('a full disk takes what fits and says so', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, '');
    disk.fill(3);
    await expect(file.write(0, [utf8('12345')])).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(await content(disk, '/d/a')).toBe('123');
  });

  test('a failed write has written half', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, '');
    disk.failNext('write');
    await expect(file.write(0, [utf8('1234')])).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(await content(disk, '/d/a')).toBe('12');
  });

  test('held syncs wait, and cover only what was written before them', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, '');
    const release = disk.holdSyncs();
    await file.write(0, [utf8('1')]);
    const sync = file.sync();
    await file.write(1, [utf8('2')]);
    release();
    await sync;
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('1');
  });

  test('a flipped bit stays flipped', async () => {
    const disk = new MemoryDisk();
    await durableFile(disk, 'a');
    disk.flipBit('/d/a', 0, 1);
    disk.crash();
    expect(await content(disk, '/d/a')).toBe('c');
  });

  test('refuses reads that touch a bad sector, whatever the file is called, and no others', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, '0123456789');
    disk.refuse('/d/a', 4, 2);
    await disk.rename('/d/a', '/d/b');
    expect(textOf(await file.read(0, 4))).toBe('0123');
    expect(textOf(await file.read(6, 4))).toBe('6789');
    await expect(file.read(3, 2)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await expect(file.readInto(5, new Uint8Array(9))).rejects.toMatchObject({
      code: 'DISK_FAILED',
    });
    const again = await disk.open('/d/b', 'read');
    await expect(again.read(0, 10)).rejects.toMatchObject({ code: 'DISK_FAILED' });
  });

  test('a file without a name takes space until its last handle is closed', async () => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, 'value');
    const second = await disk.open('/d/a', 'read');
    expect(disk.unlinkedBytes).toBe(0);
    await disk.remove('/d/a');
    await file.close();
    expect(disk.unlinkedBytes).toBe(5);
    await second.close();
    expect(disk.unlinkedBytes).toBe(0);
  });
});
