/**
 * The store on a real LevelDB: what a crash keeps, what damage is seen. A crash is a copy of the
 * folder taken while the store is open, or a close without a flush.
 */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { textOf, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { logIndex, term } from '../common/ids.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import type { FlushMeta } from './flush-chain.ts';
import { LevelMetadataStore } from './level-metadata-store.ts';
import { openLevelTable } from './level-table.ts';
import type { OpenTable } from './table.ts';

const quiet = { openTable: openLevelTable, onFatal: () => undefined };

afterEach(removeTempDirs);

const TABLE = 'r'.charCodeAt(0);
const key = (name: string): Uint8Array => utf8(`r${name}`);

function metaAt(index: number): FlushMeta {
  return {
    point: { index: logIndex(index), term: term(1) },
    digest: index.toString(16).padStart(16, '0'),
    installed: false,
  };
}

async function opened(folder: string, onFatal: (error: Error) => void = () => undefined) {
  const result = await LevelMetadataStore.open({ openTable: openLevelTable, onFatal }, folder);
  if (result.kind === 'void') throw new Error(`void: ${result.why}`);
  return result;
}

async function flush(store: LevelMetadataStore, index: number): Promise<void> {
  store.freeze(metaAt(index));
  await store.writeFrozen();
}

/** What the LevelDB of Node can do besides. */
interface Compactable {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>;
}

/** Changes the database behind the store's back. */
async function tamper(
  folder: string,
  change: (db: Level<Uint8Array, Uint8Array>) => Promise<void>,
): Promise<void> {
  const db = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  await db.open();
  await change(db);
  await db.close();
}

function flushRow(index: number): Uint8Array {
  const row = Buffer.alloc(9);
  row.writeUInt8(1, 0);
  row.writeBigUInt64BE(BigInt(index), 1);
  return row;
}

describe('overlay', () => {
  test('a row of a young command is found wherever its flush stands', async () => {
    const folder = await tempDir();
    let { store } = await opened(folder);
    const since = (index: number): string | undefined => {
      const row = store.getSince(logIndex(index), key('a'));
      return row === undefined ? undefined : textOf(row);
    };
    store.put(key('a'), utf8('of 7'));
    expect(since(7)).toBe('of 7');
    store.freeze(metaAt(9));
    expect(since(7)).toBe('of 7');
    await store.writeFrozen();
    expect([since(7), since(9)]).toEqual(['of 7', 'of 7']);
    await store.close();
    ({ store } = await opened(folder));
    expect(since(9)).toBe('of 7');
    // Stored by a command of 9 or before: whoever asks for a later one is not shown it.
    expect(since(10)).toBeUndefined();
    store.delete(key('a'));
    expect(since(7)).toBeUndefined();
    await store.close();
  });

  test('reads what was written before, during and after its flush', async () => {
    const { store } = await opened(await tempDir());
    store.put(key('a'), utf8('1'));
    store.put(key('b'), utf8('1'));
    await flush(store, 1);
    store.put(key('a'), utf8('2'));
    store.delete(key('b'));
    store.freeze(metaAt(2));
    store.put(key('c'), utf8('3'));
    const writing = store.writeFrozen();
    const read = () => ['a', 'b', 'c', 'd'].map((name) => store.get(key(name)));
    const expected = [utf8('2'), undefined, utf8('3'), undefined];
    expect(read()).toEqual(expected);
    await writing;
    expect(read().map((value) => value && Uint8Array.from(value))).toEqual(expected);
    expect(store.unflushedBytes).toBe(3);
    await store.close();
  });

  test('a view shows young rows over stored ones in byte order, and stays as it was', async () => {
    const { store } = await opened(await tempDir());
    for (const name of ['a', 'c', 'e', 'g']) store.put(key(name), utf8('old'));
    await flush(store, 1);
    store.put(key('b'), utf8('new'));
    store.delete(key('c'));
    store.freeze(metaAt(2));
    store.put(key('e'), utf8('new'));
    store.delete(key('a'));
    const view = store.view(TABLE);
    const durable = store.view();
    await store.writeFrozen();
    store.put(key('z'), utf8('late'));
    const names = async (of: typeof view, limit: number) =>
      (await of.range(key(''), key('~'), limit)).map(([name]) => String.fromCharCode(...name));
    expect(await names(view, 10)).toEqual(['rb', 're', 'rg']);
    expect(await names(view, 1)).toEqual(['rb']);
    expect(await names(view, 2)).toEqual(['rb', 're']);
    expect(await names(durable, 10)).toEqual(['ra', 'rc', 're', 'rg']);
    await view.close();
    await durable.close();
    await store.close();
  });
});

describe('after a crash', () => {
  test('holds exactly its last flush', async () => {
    const folder = await tempDir();
    const image = await tempDir();
    const { store } = await opened(folder);
    store.put(key('a'), utf8('1'));
    await flush(store, 5);
    store.put(key('a'), utf8('2'));
    await cp(folder, image, { recursive: true });
    await store.close();
    const again = await opened(image);
    expect(again.meta).toEqual(metaAt(5));
    expect(textOf(again.store.get(key('a')) ?? new Uint8Array(0))).toBe('1');
    await again.store.close();
  });

  test('R31: that comes between any two batches finds rows and index of one flush', async () => {
    const folder = await tempDir();
    const images: string[] = [];
    const openTable: OpenTable = async (path) => {
      const table = await openLevelTable(path);
      const batch = table.batch.bind(table);
      table.batch = async (operations, options) => {
        await batch(operations, options);
        const image = await tempDir();
        await cp(path, image, { recursive: true });
        images.push(image);
      };
      return table;
    };
    const result = await LevelMetadataStore.open({ openTable, onFatal: () => undefined }, folder);
    if (result.kind === 'void') throw new Error(result.why);
    for (let index = 1; index <= 3; index += 1) {
      result.store.put(key('a'), utf8(String(index)));
      await flush(result.store, index);
    }
    await result.store.close();
    expect(images.length).toBeGreaterThanOrEqual(3);
    for (const image of images) {
      const { store, meta } = await opened(image);
      const row = textOf(store.get(key('a')) ?? new Uint8Array(0));
      expect(row).toBe(String(meta?.point.index));
      await store.close();
    }
  });

  test('an empty folder is an empty store', async () => {
    const { store, meta } = await opened(await tempDir());
    expect(meta).toBeNull();
    await store.close();
  });

  test('a bit flipped in the log of LevelDB loses flushes, and that is seen', async () => {
    const folder = await tempDir();
    const image = await tempDir();
    const { store } = await opened(folder);
    for (let index = 1; index <= 200; index += 1) {
      store.put(key(`${index}`), new Uint8Array(1000).fill(index));
      await flush(store, index);
    }
    await cp(folder, image, { recursive: true });
    await store.close();
    const [log] = (await readdir(image)).filter((name) => name.endsWith('.log'));
    const path = join(image, log ?? '');
    const bytes = await readFile(path);
    bytes[40_000] = (bytes[40_000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const result = await LevelMetadataStore.open(quiet, image);
    expect(result).toMatchObject({ kind: 'void', why: /flush before \d+ is missing/ as never });
  });
});

describe('damage', () => {
  async function flushed(): Promise<string> {
    const folder = await tempDir();
    const { store } = await opened(folder);
    for (let index = 1; index <= 4; index += 1) {
      store.put(key('a'), utf8(`value ${index}`));
      await flush(store, index);
    }
    await store.close();
    return folder;
  }

  test.each([
    ['a hole in the flush chain', flushRow(2)],
    ['the first flush missing', flushRow(1)],
    ['the newest flush row missing', flushRow(4)],
    ['the present flush missing', Uint8Array.of(0)],
  ])('%s makes the state void', async (_name, row) => {
    const folder = await flushed();
    await tamper(folder, (db) => db.del(row));
    const result = await LevelMetadataStore.open(quiet, folder);
    expect(result.kind).toBe('void');
  });

  test('a flipped bit in the present flush makes the state void', async () => {
    const folder = await flushed();
    await tamper(folder, async (db) => {
      const stored = await db.get(Uint8Array.of(0));
      stored[3] = (stored[3] ?? 0) ^ 1;
      await db.put(Uint8Array.of(0), stored);
    });
    const result = await LevelMetadataStore.open(quiet, folder);
    expect(result.kind).toBe('void');
  });

  test('a flipped bit in a value is found by a read and by a view, and is final', async () => {
    const folder = await flushed();
    await tamper(folder, async (db) => {
      const stored = await db.get(key('a'));
      stored[0] = (stored[0] ?? 0) ^ 1;
      await db.put(key('a'), stored);
    });
    const failures: Error[] = [];
    const { store } = await opened(folder, (error) => failures.push(error));
    expect(() => store.get(key('a'))).toThrow(KvError);
    const view = store.view();
    await expect(view.range(key(''), key('~'), 10)).rejects.toThrow(/checksum/);
    await view.close();
    expect(failures.map((error) => error instanceof KvError && error.code)).toEqual([
      'CORRUPT',
      'CORRUPT',
    ]);
    await store.close();
  });

  test('a value in the place of another is found', async () => {
    const folder = await flushed();
    await tamper(folder, async (db) => db.put(key('b'), await db.get(key('a'))));
    const { store } = await opened(folder);
    expect(() => store.get(key('b'))).toThrow(/checksum/);
    await store.close();
  });

  test('a lock says nothing of the rows: they are not void', async () => {
    const folder = await flushed();
    const { store } = await opened(folder);
    await expect(LevelMetadataStore.open(quiet, folder)).rejects.toMatchObject({
      code: 'DISK_FAILED',
    });
    await store.close();
  });

  test.each(['MANIFEST', '.ldb'])(
    'a lost or emptied %s file makes the state void',
    async (part) => {
      const folder = await flushed();
      await tamper(folder, (db) =>
        (db as unknown as Compactable).compactRange(Uint8Array.of(0), Uint8Array.of(255)),
      );
      const [name] = (await readdir(folder)).filter((file) => file.includes(part));
      if (part === '.ldb') await rm(join(folder, name ?? ''));
      else await writeFile(join(folder, name ?? ''), new Uint8Array(0));
      const result = await LevelMetadataStore.open(quiet, folder);
      expect(result.kind).toBe('void');
    },
  );
});
