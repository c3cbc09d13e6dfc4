/** Manifests as LevelDB really writes them: whole, cut, harmed, and left by processes that were killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { NodeDisk } from '../disk/node-disk.ts';
import { valueOr } from '../testing/arbitrary-damage.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { findBadTable } from './table-file.ts';
import { listedTables, tablesOf } from './table-manifest.ts';

afterEach(removeTempDirs);

const TABLE = /^([0-9]+)\.ldb$/;
const disk = new NodeDisk();

async function tablesIn(folder: string): Promise<readonly number[]> {
  const numbers = (await readdir(folder)).map((name) => TABLE.exec(name)?.[1]);
  return numbers.filter((number) => number !== undefined).map(Number);
}

/** A closed store whose small memory has made it write, merge and remove many tables. */
async function store(): Promise<{ folder: string; manifest: string }> {
  const folder = await tempDir();
  const options = { compression: false, writeBufferSize: 16 * 1024, maxFileSize: 32 * 1024 };
  const db = new Level(folder, options);
  await db.open();
  for (let round = 0; round < 40; round += 1) {
    const batch = Array.from({ length: 100 }, (_, i) => ({
      type: 'put' as const,
      key: `key-${(round * 100 + i) % 997}`,
      value: `${round}`.repeat(100),
    }));
    await db.batch(batch);
  }
  await db.close();
  const name = (await readdir(folder)).find((file) => file.startsWith('MANIFEST')) ?? '';
  return { folder, manifest: join(folder, name) };
}

/** What a manifest lists cut anywhere. */
function listsOf(bytes: Uint8Array): ReadonlySet<string> {
  const lists = new Set<string>();
  for (let length = 0; length <= bytes.length; length += 1) {
    lists.add([...tablesOf(bytes.subarray(0, length))].join());
  }
  return lists;
}

describe('a manifest', () => {
  test('lists what all rows rest on, also where a stop has left more', async () => {
    const { folder } = await store();
    const listed = await listedTables(disk, folder);
    expect(listed?.size).toBeGreaterThan(0);
    for (const name of await readdir(folder)) {
      const number = TABLE.exec(name)?.[1];
      if (number !== undefined && listed?.has(Number(number)) !== true)
        await rm(join(folder, name));
    }
    expect([...(await tablesIn(folder))].sort()).toEqual([...(listed ?? [])].sort());
    const db = new Level(folder);
    expect(await db.keys().all()).toHaveLength(997);
    await db.close();
  });

  test('cut anywhere lists what it did at some time before', async () => {
    const bytes = new Uint8Array(await readFile((await store()).manifest));
    const whole = tablesOf(bytes);
    const lists = listsOf(bytes);
    expect(lists.size).toBeGreaterThan(10);
    expect(lists.has([...whole].join())).toBe(true);
    const zeros = new Uint8Array(bytes.length + 5000);
    zeros.set(bytes);
    expect(tablesOf(zeros)).toEqual(whole);
    // Zeros in the midst of it are none that were there before its bytes came.
    expect(() => tablesOf(Buffer.concat([new Uint8Array(40_000), bytes]))).toThrow(
      'there is a hole',
    );
  });

  test('with any bit flipped is refused, or read as one that ends there', async () => {
    const bytes = new Uint8Array(await readFile((await store()).manifest));
    const lists = listsOf(bytes);
    let refusals = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const bit = 1 << (at % 8);
      bytes[at] = (bytes[at] ?? 0) ^ bit;
      const listed = valueOr(['CORRUPT'], () => tablesOf(bytes));
      bytes[at] = (bytes[at] ?? 0) ^ bit;
      if (listed === undefined) refusals += 1;
      else expect(lists.has([...listed].join())).toBe(true);
    }
    expect(refusals).toBeGreaterThan(bytes.length * 0.9);
  });

  test('that is not there, or not named, says nothing', async () => {
    const { folder } = await store();
    await writeFile(join(folder, 'CURRENT'), 'MANIFEST-777777\n');
    expect(await listedTables(disk, folder)).toBeNull();
    await writeFile(join(folder, 'CURRENT'), Buffer.of(0x4d, 0xff, 0x0a));
    expect(await listedTables(disk, folder)).toBeNull();
    expect(await listedTables(disk, join(folder, 'none'))).toBeNull();
  });
});

/** Writes until it is killed, in batches that are on disk. */
const WRITER = `
  import { Level } from '${import.meta.resolve('level')}';
  const db = new Level(process.argv[1], { compression: false, writeBufferSize: 1024 * 1024 });
  await db.open();
  for (let n = 0; ; n += 1) {
    const batch = Array.from({ length: 1000 }, (_, i) => ({
      type: 'put', key: String(Math.imul(n * 1000 + i, 0x9e3779b1) >>> 0), value: 'v'.repeat(200),
    }));
    await db.batch(batch, { sync: true });
  }`;

const isListed = async (folder: string, numbers: readonly number[]): Promise<boolean> => {
  const listed = await listedTables(disk, folder);
  return listed === null || numbers.every((number) => listed.has(number));
};

/** Kills a writer at the sight of a table that no manifest lists yet. */
async function killedInTheMidst(folder: string): Promise<void> {
  const writer = spawn(process.execPath, ['--input-type=module', '-e', WRITER, folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(writer, 'exit');
  while (writer.exitCode === null && (await isListed(folder, await tablesIn(folder))));
  writer.kill('SIGKILL');
  await exited;
}

test('a process that is killed while LevelDB writes a table has harmed nothing', async () => {
  const folder = await tempDir();
  // A table may be finished between the sight and the signal.
  do await killedInTheMidst(folder);
  while (await isListed(folder, await tablesIn(folder)));
  expect(await findBadTable(disk, folder)).toBeNull();
  const db = new Level(folder);
  await db.open();
  await db.close();
  expect(await isListed(folder, await tablesIn(folder))).toBe(true);
}, 60_000);
