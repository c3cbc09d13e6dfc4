/**
 * The store on a real LevelDB: what a crash keeps, what damage is seen. A crash is a copy of the
 * folder taken while the store is open, or a close without a flush.
 */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { ByteWriter, textOf, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { hexOf, logIndex, type TxnId, term } from '../common/ids.ts';
import { outcomeKey } from '../metadata/keys.ts';
import type { OutcomeRow } from '../metadata/outcomes.ts';
import { encodeOutcome } from '../metadata/record-codec.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { type FlushMeta, META_KEY } from './flush-chain.ts';
import { LevelMetadataStore } from './level-metadata-store.ts';
import { openLevelTable } from './level-table.ts';
import { OutcomePages, PAGES_END, PAGES_FIRST } from './outcome-pages.ts';
import type { OpenTable } from './table.ts';
import { numberedKey, sealed } from './table-rows.ts';

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

/** The newest flush says that it is of another format, with a checksum that fits. */
async function claimVersion(db: Level<Uint8Array, Uint8Array>, version: number): Promise<void> {
  const meta = Buffer.from((await db.get(META_KEY)) ?? []).subarray(0, -4);
  meta.writeUInt8(version, 0);
  await db.put(META_KEY, sealed(META_KEY, meta));
}

function flushRow(index: number): Uint8Array {
  const row = Buffer.alloc(9);
  row.writeUInt8(1, 0);
  row.writeBigUInt64BE(BigInt(index), 1);
  return row;
}

describe('overlay', () => {
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

/** The row of the outcome that was logged at `at`, of a transaction whose id is `id`. */
function outcome(at: number, id = at): OutcomeRow {
  const txn = id.toString(16).padStart(32, '0') as TxnId;
  const applied = { kind: 'applied', index: logIndex(at), results: [] } as const;
  const stored = { loggedAt: logIndex(at), outcome: applied };
  return [outcomeKey(txn), encodeOutcome(new ByteWriter(), stored)];
}

/** Plain arrays, whatever LevelDB hands out. */
const plain = (rows: readonly (readonly [Uint8Array, Uint8Array])[]) =>
  rows.map(([name, value]) => [[...name], [...value]]);

async function pagesIn(folder: string): Promise<number> {
  let count = 0;
  await tamper(folder, async (db) => {
    count = (await db.keys({ gte: PAGES_FIRST, lt: PAGES_END }).all()).length;
  });
  return count;
}

test('metadata of a newer build are left as they are', async () => {
  const folder = await tempDir();
  const { store } = await opened(folder);
  store.put(key('a'), utf8('1'));
  await flush(store, 3);
  await store.close();
  await tamper(folder, (db) => claimVersion(db, 3));
  await expect(LevelMetadataStore.open(quiet, folder)).rejects.toMatchObject({
    code: 'DISK_FAILED',
    message: expect.stringContaining('this one knows up to 2'),
  });
  await tamper(folder, (db) => claimVersion(db, 2));
  expect((await opened(folder)).meta).toEqual(metaAt(3));
});

describe('outcomes', () => {
  test('come back in the order in which they were logged, and their pages go with them', async () => {
    const folder = await tempDir();
    let { store } = await opened(folder);
    for (let at = 1; at <= 5; at += 1) {
      store.pushOutcome(...outcome(at, 100 - at));
      await flush(store, at);
    }
    for (let gone = 0; gone < 3; gone += 1) store.shiftOutcome();
    store.pushOutcome(...outcome(6));
    store.pushOutcome(...outcome(7));
    await flush(store, 6);
    store.shiftOutcome();
    await store.close();
    const again = await opened(folder);
    const left = [outcome(4, 96), outcome(5, 95), outcome(6), outcome(7)];
    expect(plain([...again.outcomes])).toEqual(plain(left));
    ({ store } = again);
    for (let gone = 0; gone < 4; gone += 1) store.shiftOutcome();
    await flush(store, 7);
    await store.close();
    expect([...(await opened(folder)).outcomes]).toEqual([]);
  });

  test('leave no pages behind them', async () => {
    const folder = await tempDir();
    const { store } = await opened(folder);
    for (let at = 1; at <= 40; at += 1) {
      store.pushOutcome(...outcome(at));
      if (at > 3) store.shiftOutcome();
      await flush(store, at);
    }
    await store.close();
    expect(await pagesIn(folder)).toBe(3);
  });

  test('stand among the rows of a view by their keys, as of the newest flush', async () => {
    const { store } = await opened(await tempDir());
    const late = outcome(1, 9);
    const early = outcome(2, 8);
    store.pushOutcome(...late);
    store.pushOutcome(...early);
    store.put(utf8('n'), utf8('below'));
    store.put(utf8('p'), utf8('above'));
    store.put(key('a'), utf8('far above'));
    await flush(store, 2);
    store.pushOutcome(...outcome(3));
    const view = store.view();
    const all = [[utf8('n'), utf8('below')] as const, early, late];
    const above = [
      [utf8('p'), utf8('above')],
      [key('a'), utf8('far above')],
    ] as const;
    const range = async (first: Uint8Array, end: string, limit: number) =>
      plain(await view.range(first, utf8(end), limit));
    expect(await range(utf8('a'), 'z', 10)).toEqual(plain([...all, ...above]));
    for (const limit of [1, 2, 3, 4]) {
      const expected = [...all, ...above].slice(0, limit);
      expect(await range(utf8('a'), 'z', limit)).toEqual(plain(expected));
    }
    expect(await range(late[0], 'q', 10)).toEqual(plain([late, above[0]]));
    expect(await range(utf8('a'), 'o', 10)).toEqual(plain(all.slice(0, 1)));
    await view.close();
    await store.close();
  });

  test('of the format that had a row for each become a page, once', async () => {
    const folder = await tempDir();
    const { store } = await opened(folder);
    store.put(key('a'), utf8('1'));
    await flush(store, 3);
    await store.close();
    await tamper(folder, async (db) => {
      for (const [name, value] of [outcome(2, 7), outcome(1, 8), outcome(3, 9)]) {
        await db.put(name, sealed(name, value));
      }
      await claimVersion(db, 1);
    });
    const expected = plain([outcome(1, 8), outcome(2, 7), outcome(3, 9)]);
    for (let round = 0; round < 2; round += 1) {
      const again = await opened(folder);
      expect(plain([...again.outcomes])).toEqual(expected);
      expect(again.meta).toEqual(metaAt(3));
      await again.store.close();
    }
    expect(await pagesIn(folder)).toBe(1);
    await tamper(folder, async (db) => {
      expect(await db.keys({ gte: utf8('o'), lt: utf8('p') }).all()).toEqual([]);
    });
  });

  test('of which a page is missing make the state void', async () => {
    const folder = await tempDir();
    const { store } = await opened(folder);
    for (let at = 1; at <= 3; at += 1) {
      store.pushOutcome(...outcome(at));
      await flush(store, at);
    }
    await store.close();
    await tamper(folder, (db) => db.del(numberedKey(2, 2)));
    expect(await LevelMetadataStore.open(quiet, folder)).toMatchObject({
      kind: 'void',
      why: 'outcome page 2 is missing',
    });
  });

  test('have pages of these bytes', () => {
    const pages = new OutcomePages();
    pages.push(...outcome(1));
    pages.push(...outcome(2));
    pages.take();
    pages.push(...outcome(3));
    pages.shift();
    const bytes = pages.take().map((operation) => ({
      ...operation,
      key: hexOf(operation.key),
      ...('value' in operation ? { value: hexOf(operation.value) } : {}),
    }));
    expect(bytes).toEqual([
      {
        type: 'put',
        key: '020000000000000002',
        value:
          '01010000000000000001000000110000006f000000000000000000000000000000031400000001030000000000000000030000000000000000002d992785',
      },
    ]);
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

  test('a row that is not there needs no look-up once the keys have been read', async () => {
    const folder = await tempDir();
    const first = await opened(folder);
    first.store.put(key('stored'), utf8('1'));
    await flush(first.store, 1);
    await first.store.close();
    const asked: string[] = [];
    const openTable: OpenTable = async (path) => {
      const table = await openLevelTable(path);
      const getSync = table.getSync.bind(table);
      table.getSync = (row) => {
        asked.push(textOf(row));
        return getSync(row);
      };
      return table;
    };
    const result = await LevelMetadataStore.open({ openTable, onFatal: () => undefined }, folder);
    if (result.kind === 'void') throw new Error(result.why);
    const { store } = result;
    asked.length = 0;
    const get = (name: string): string | null => {
      const value = store.get(key(name));
      return value === undefined ? null : textOf(value);
    };
    store.put(key('frozen'), utf8('2'));
    store.freeze(metaAt(2));
    store.put(key('young'), utf8('3'));
    store.put(key('gone'), utf8('4'));
    store.delete(key('gone'));
    expect(get('absent')).toBeNull();
    expect(asked).toEqual(['rabsent']);
    await store.learnKeys(() => Promise.resolve());
    await store.writeFrozen();
    await flush(store, 3);
    asked.length = 0;
    expect(['absent', 'stored', 'frozen', 'young', 'gone'].map(get)).toEqual([
      null,
      '1',
      '2',
      '3',
      null,
    ]);
    expect(asked.filter((name) => name === 'rabsent')).toEqual([]);
    await store.close();
  });

  test('a row that was read shows every later change, before and after its flush', async () => {
    const { store } = await opened(await tempDir());
    const get = (): string | null => {
      const value = store.get(key('k'));
      return value === undefined ? null : textOf(value);
    };
    store.put(key('k'), utf8('1'));
    await flush(store, 1);
    expect([get(), get()]).toEqual(['1', '1']);
    store.put(key('k'), utf8('2'));
    expect(get()).toBe('2');
    store.freeze(metaAt(2));
    expect(get()).toBe('2');
    await store.writeFrozen();
    expect([get(), get()]).toEqual(['2', '2']);
    store.delete(key('k'));
    expect(get()).toBeNull();
    await flush(store, 3);
    expect(get()).toBeNull();
    await store.close();
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
