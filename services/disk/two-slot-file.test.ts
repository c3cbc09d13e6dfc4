import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../common/bytes.ts';
import { seededRandom } from '../common/random.ts';
import { sealFrame } from './frame.ts';
import { MemoryDisk } from './memory-disk.ts';
import { TwoSlotFile, type TwoSlotRead } from './two-slot-file.ts';

const OPTIONS = { path: '/d/record', slotBytes: 4096 };
/** Behind CRC and length; with the sequence. */
const VERSION_AT = 8;
const VERSION_BYTES = 9;

async function diskWithFolder(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeFolder('/d');
  return disk;
}

const shown = (read: TwoSlotRead): string =>
  read.kind === 'record' ? `${textOf(read.record)}/${read.damagedSlots}` : read.kind;

async function reopened(disk: MemoryDisk): Promise<string> {
  const file = await TwoSlotFile.open(disk, OPTIONS);
  await file.close();
  return shown(file.found);
}

describe('a two-slot file', () => {
  test('is absent before its first write and then holds the newest record', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    expect(file.found.kind).toBe('absent');
    for (const text of ['one', 'two', 'three']) {
      await file.write(utf8(text));
      expect(await reopened(disk)).toBe(`${text}/0`);
    }
  });

  test('a write that tears at a crash leaves the old record or the new one', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 60; seed += 1) {
      const disk = await diskWithFolder();
      const file = await TwoSlotFile.open(disk, OPTIONS);
      await file.write(utf8('old'));
      const release = disk.holdSyncs();
      const write = file.write(utf8(`new${'.'.repeat(2000)}`)).catch(() => 'crashed');
      await new Promise((resolve) => setImmediate(resolve));
      disk.crash({ random: seededRandom(seed) });
      release();
      expect(await write).toBe('crashed');
      seen.add((await reopened(disk)).slice(0, 3));
    }
    expect([...seen].sort()).toEqual(['new', 'old']);
  });

  test('a first write that crashes leaves no file', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    disk.failNext('syncFolder');
    await expect(file.write(utf8('one'))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    disk.crash();
    expect(await reopened(disk)).toBe('absent');
  });

  test('decay of the newest slot shows the record before it, and counts the damage', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    await file.write(utf8('one'));
    await file.write(utf8('two'));
    disk.flipBit('/d/record', 18);
    expect(await reopened(disk)).toBe('one/1');
  });

  test('a record in both slots survives the decay of either', async () => {
    for (const at of [18, 4096 + 18]) {
      const disk = await diskWithFolder();
      const file = await TwoSlotFile.open(disk, OPTIONS);
      await file.write(utf8('one'));
      await file.writeBoth(utf8('two'));
      disk.flipBit('/d/record', at);
      expect(await reopened(disk)).toBe('two/1');
    }
  });

  test('decay of both slots is damage, never absence', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    await file.write(utf8('one'));
    disk.flipBit('/d/record', 18);
    disk.flipBit('/d/record', 4096 + 18);
    expect(await reopened(disk)).toBe('damaged');
  });

  test('a damaged slot is written again by the next record', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    await file.write(utf8('one'));
    await file.write(utf8('two'));
    disk.flipBit('/d/record', 18);
    const again = await TwoSlotFile.open(disk, OPTIONS);
    await again.write(utf8('three'));
    expect(await reopened(disk)).toBe('three/0');
  });

  test('refuses a record that does not fit', async () => {
    const file = await TwoSlotFile.open(await diskWithFolder(), OPTIONS);
    await expect(file.write(new Uint8Array(file.recordBytesMax + 1))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
  });

  test('of a newer build is refused and stays as it is', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    await file.write(utf8('kept'));
    await file.close();
    const raw = await disk.open(OPTIONS.path, 'write');
    const bytes = (await raw.read(0, await raw.size())).slice();
    bytes[VERSION_AT] = 2;
    sealFrame(bytes, 0, VERSION_BYTES + 'kept'.length, 0);
    await raw.write(0, [bytes]);
    await raw.close();
    await expect(reopened(disk)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    const after = await (await disk.open(OPTIONS.path, 'read')).read(0, bytes.length);
    expect(Buffer.from(after).equals(bytes)).toBe(true);
  });

  test('writes the bytes of the format page', async () => {
    const disk = await diskWithFolder();
    const file = await TwoSlotFile.open(disk, OPTIONS);
    await file.write(utf8('first'));
    await file.write(utf8('second'));
    const written = await (await disk.open('/d/record', 'read')).read(0, 9000);
    const golden = await readFile(join(import.meta.dirname, 'testdata/two-slot-file-v1.bin'));
    expect(Buffer.from(written).equals(golden)).toBe(true);
  });
});
