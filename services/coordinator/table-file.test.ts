/** Table files as LevelDB really writes them, harmed at every byte. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { NodeDisk } from '../disk/node-disk.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { faultOf, findBadTable, findDecayedTable } from './table-file.ts';

afterEach(removeTempDirs);

interface Compactable {
  compactRange(start: string, end: string): Promise<void>;
}

/** A folder with one table file of some blocks, as the metadata store makes it. */
async function table(rows: number): Promise<{ folder: string; path: string }> {
  const folder = await tempDir();
  const db = new Level(folder, { compression: false });
  await db.open();
  const batch = Array.from({ length: rows }, (_, i) => ({
    type: 'put' as const,
    key: `key-${i}`,
    value: `${i}`.repeat(20),
  }));
  await db.batch(batch);
  await (db as unknown as Compactable).compactRange('', '~');
  await db.close();
  const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.ldb'));
  return { folder, path: join(folder, name) };
}

describe('a table file', () => {
  test('as LevelDB wrote it verifies', async () => {
    for (const rows of [1, 10, 1000, 50_000]) {
      const { folder } = await table(rows);
      expect(await findBadTable(new NodeDisk(), folder)).toBeNull();
    }
  });

  test('does not verify with any bit flipped, but for the padding of its footer', async () => {
    const bytes = new Uint8Array(await readFile((await table(300)).path));
    const unnoticed: number[] = [];
    for (let at = 0; at < bytes.length; at += 1) {
      const bit = 1 << (at % 8);
      bytes[at] = (bytes[at] ?? 0) ^ bit;
      if (faultOf(bytes) === null) unnoticed.push(bytes.length - at);
      bytes[at] = (bytes[at] ?? 0) ^ bit;
    }
    expect(unnoticed.filter((fromEnd) => fromEnd > 44 || fromEnd <= 8)).toEqual([]);
  });

  test('cut anywhere does not verify', async () => {
    const bytes = new Uint8Array(await readFile((await table(20)).path));
    for (let length = 0; length < bytes.length; length += 1) {
      expect(faultOf(bytes.subarray(0, length))).not.toBeNull();
    }
  });

  test('that is harmed hides a key from LevelDB without a word, and is named here', async () => {
    const { folder, path } = await table(300);
    const whole = await readFile(path);
    // The last byte of the key: eight bytes of LevelDB's own stand between it and the value.
    const at = whole.indexOf('200'.repeat(20)) - 9;
    const harmed = await tempDir();
    await cp(folder, harmed, { recursive: true });
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const name = path.slice(folder.length + 1);
    await writeFile(join(harmed, name), bytes);
    const db = new Level(harmed);
    expect(await db.get('key-200')).toBeUndefined();
    await db.close();
    await writeFile(join(folder, name), bytes);
    expect(await findBadTable(new NodeDisk(), folder)).toMatchObject({ file: name });
  });

  test('that is still being written is not bad: it is whole a moment later', async () => {
    const { folder, path } = await table(300);
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(0, 1000));
    const disk = new NodeDisk();
    expect(await findDecayedTable(disk, folder, () => writeFile(path, whole))).toBeNull();
    await writeFile(path, whole.subarray(0, 1000));
    const noChange = (): Promise<void> => Promise.resolve();
    expect(await findDecayedTable(disk, folder, noChange)).not.toBeNull();
    expect(await findDecayedTable(disk, folder, () => rm(path))).toBeNull();
  });

  test('that a crash has left half written is not needed, and so not bad', async () => {
    const { folder, path } = await table(300);
    const half = (await readFile(path)).subarray(0, 1000);
    await writeFile(join(folder, '000999.ldb'), half);
    await writeFile(join(folder, '001000.ldb'), '');
    const disk = new NodeDisk();
    expect(await findBadTable(disk, folder)).toBeNull();
    // What the manifest lists is needed, and without a manifest anything may be.
    await writeFile(path, half);
    const file = path.slice(folder.length + 1);
    expect(await findBadTable(disk, folder)).toMatchObject({ file });
    await rm(path);
    await rm(join(folder, 'CURRENT'));
    expect(await findBadTable(disk, folder)).toMatchObject({ file: '000999.ldb' });
  });

  test('that is gone, or a folder that is not there, is nobody’s fault', async () => {
    const { folder, path } = await table(5);
    await rm(path);
    expect(await findBadTable(new NodeDisk(), folder)).toBeNull();
    expect(await findBadTable(new NodeDisk(), join(folder, 'none'))).toBeNull();
  });
});
