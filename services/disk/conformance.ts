/** What every Disk must do. `NodeDisk` and `MemoryDisk` run the same file. */

import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../common/bytes.ts';
import type { Disk } from './disk.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** A folder that exists and is empty. */
  readonly root: string;
  cleanUp(): Promise<void>;
}

export function describeDisk(name: string, make: () => Promise<DiskUnderTest>): void {
  describe(`${name} as a Disk`, () => {
    let under: DiskUnderTest;
    const at = (file: string): string => join(under.root, file);

    beforeEach(async () => {
      under = await make();
    });
    afterEach(() => under.cleanUp());

    async function put(file: string, text: string): Promise<void> {
      const opened = await under.disk.open(at(file), 'create');
      await opened.write(0, [utf8(text)]);
      await opened.sync();
      await opened.close();
    }

    async function get(file: string): Promise<string> {
      const opened = await under.disk.open(at(file), 'read');
      const bytes = await opened.read(0, await opened.size());
      await opened.close();
      return textOf(bytes);
    }

    describeReads(() => ({ ...under, at, put, get }));
    describeFiles(() => ({ ...under, at, put, get }));
    describeNames(() => ({ ...under, at, put, get }));
  });
}

interface Bench extends DiskUnderTest {
  readonly at: (file: string) => string;
  readonly put: (file: string, text: string) => Promise<void>;
  readonly get: (file: string) => Promise<string>;
}

function describeReads(bench: () => Bench): void {
  test('reads fewer bytes only where the file ends', async () => {
    const { disk, at, put } = bench();
    await put('a', 'hello');
    const file = await disk.open(at('a'), 'read');
    expect(textOf(await file.read(3, 10))).toBe('lo');
    expect((await file.read(5, 10)).length).toBe(0);
    await file.close();
  });

  test('reads into memory of any kind, and says how much there was', async () => {
    const { disk, at, put } = bench();
    await put('a', 'hello');
    const file = await disk.open(at('a'), 'read');
    for (const memory of [new ArrayBuffer(8), new SharedArrayBuffer(8)]) {
      const target = new Uint8Array(memory, 1, 6).fill(46);
      expect(await file.readInto(2, target)).toBe(3);
      expect(textOf(target.slice())).toBe('llo...');
      expect(await file.readInto(0, target.subarray(0, 2))).toBe(2);
      expect(textOf(target.slice())).toBe('heo...');
      expect(await file.readInto(5, target)).toBe(0);
    }
    await file.close();
  });
}

function describeFiles(bench: () => Bench): void {
  test('writes all parts in order and reads them back', async () => {
    const { disk, at, get } = bench();
    const file = await disk.open(at('a'), 'create');
    await file.write(0, [utf8('one '), new Uint8Array(0), utf8('two '), utf8('three')]);
    await file.write(4, [utf8('TWO')]);
    await file.sync();
    expect(await file.size()).toBe(13);
    await file.close();
    expect(await get('a')).toBe('one TWO three');
  });

  test('writes that carry their sync go to the same file as all others', async () => {
    const { disk, at, get } = bench();
    const file = await disk.open(at('a'), 'create');
    await file.writeSynced(0, [utf8('one '), new Uint8Array(0), utf8('two')]);
    await file.write(7, [utf8(' three')]);
    await file.writeSynced(4, [utf8('TWO')]);
    await file.writeSynced(13, [utf8(' four')]);
    expect(await file.size()).toBe(18);
    expect(textOf(await file.read(0, 18))).toBe('one TWO three four');
    await file.close();
    expect(await get('a')).toBe('one TWO three four');
  });

  test('writes more parts than one system call takes', async () => {
    const { disk, at } = bench();
    const file = await disk.open(at('a'), 'create');
    const parts = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i & 0xff));
    await file.write(0, parts);
    const bytes = await file.read(0, 3000);
    expect(bytes.length).toBe(3000);
    expect(bytes[2999]).toBe(2999 & 0xff);
    await file.close();
  });

  test('fills a gap with zeros and cuts a file', async () => {
    const { disk, at } = bench();
    const file = await disk.open(at('a'), 'create');
    await file.write(4, [utf8('x')]);
    expect([...(await file.read(0, 5))]).toEqual([0, 0, 0, 0, 120]);
    await file.truncate(2);
    expect(await file.size()).toBe(2);
    await file.write(3, [utf8('y')]);
    expect([...(await file.read(0, 9))]).toEqual([0, 0, 0, 121]);
    await file.close();
  });

  test('create refuses a name that exists, read and write an absent one', async () => {
    const { disk, at, put } = bench();
    await put('a', '1');
    await expect(disk.open(at('a'), 'create')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(disk.open(at('b'), 'read')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(disk.open(at('b'), 'write')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a file open for reading cannot be changed', async () => {
    const { disk, at, put } = bench();
    await put('a', '1');
    const file = await disk.open(at('a'), 'read');
    await expect(file.write(0, [utf8('2')])).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await file.close();
  });

  test('a closed file cannot be used', async () => {
    const { disk, at, put } = bench();
    await put('a', '1');
    const file = await disk.open(at('a'), 'write');
    await file.close();
    await expect(file.read(0, 1)).rejects.toMatchObject({ code: 'DISK_FAILED' });
  });
}

function describeNames(bench: () => Bench): void {
  test('makes a folder with its parents, twice without harm, and lists names in order', async () => {
    const { disk, at, put } = bench();
    await disk.makeFolder(at('x/y'));
    await disk.makeFolder(at('x/y'));
    await put('x/b', '1');
    await put('x/a', '1');
    expect(await disk.list(at('x'))).toEqual(['a', 'b', 'y']);
    await expect(disk.list(at('none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('rename replaces the target', async () => {
    const { disk, at, put, get, root } = bench();
    await put('a', 'new');
    await put('b', 'old');
    await disk.rename(at('a'), at('b'));
    await disk.syncFolder(root);
    expect(await get('b')).toBe('new');
    expect(await disk.exists(at('a'))).toBe(false);
    await expect(disk.rename(at('a'), at('c'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a folder can be renamed with what it holds', async () => {
    const { disk, at, put, get } = bench();
    await disk.makeFolder(at('x'));
    await put('x/a', '1');
    await disk.rename(at('x'), at('y'));
    expect(await get('y/a')).toBe('1');
    expect(await disk.exists(at('x'))).toBe(false);
  });

  test('removing what is absent is fine', async () => {
    const { disk, at, put } = bench();
    await put('a', '1');
    await disk.remove(at('a'));
    await disk.remove(at('a'));
    await disk.makeFolder(at('x/y'));
    await put('x/y/a', '1');
    await disk.removeFolder(at('x'));
    await disk.removeFolder(at('x'));
    expect(await disk.exists(at('a'))).toBe(false);
    expect(await disk.exists(at('x'))).toBe(false);
  });

  test('tells the space', async () => {
    const { disk, root } = bench();
    const { freeBytes, totalBytes } = await disk.space(root);
    expect(freeBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
  });

  test('a lock is exclusive until released', async () => {
    const { disk, root } = bench();
    const lock = await disk.lock(root);
    await expect(disk.lock(root)).rejects.toMatchObject({ code: 'LOCKED' });
    await lock.release();
    await (await disk.lock(root)).release();
    await expect(disk.lock(join(root, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
}
