/** What every table under the metadata must do. LevelDB and the simulated table run the same file. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../common/bytes.ts';
import type { OpenTable, Table, TableOperation, TableRange } from '../coordinator/table.ts';

export interface TablesUnderTest {
  readonly openTable: OpenTable;
  /** A folder that does not exist yet. */
  readonly folder: string;
  cleanUp(): Promise<void>;
}

const put = (key: string, value: string): TableOperation => ({
  type: 'put',
  key: utf8(key),
  value: utf8(value),
});
const del = (key: string): TableOperation => ({ type: 'del', key: utf8(key) });
const SYNCED = { sync: true } as const;
const ALL = { gte: utf8(''), lt: utf8('~') };

export function describeTable(name: string, make: () => Promise<TablesUnderTest>): void {
  describe(`${name} as a Table`, () => {
    let under: TablesUnderTest;
    let table: Table;

    beforeEach(async () => {
      under = await make();
      table = await under.openTable(under.folder);
    });
    afterEach(async () => {
      await table.close();
      await under.cleanUp();
    });

    const get = (key: string): string | null => {
      const value = table.getSync(utf8(key));
      return value === undefined ? null : textOf(value);
    };

    async function rows(range: TableRange): Promise<readonly string[]> {
      const found = await table.iterator(range).all();
      return found.map(([key, value]) => `${textOf(key)}=${textOf(value)}`);
    }

    test('puts and deletes in the order of a batch', async () => {
      await table.batch([put('a', '1'), put('b', '1'), put('a', '2')], SYNCED);
      expect([get('a'), get('b'), get('c')]).toEqual(['2', '1', null]);
      await table.batch([del('a'), put('c', '3'), del('b'), put('b', '4')], SYNCED);
      expect([get('a'), get('b'), get('c')]).toEqual([null, '4', '3']);
    });

    test('tells about how much a range takes, of what was not written just now', async () => {
      const value = 'v'.repeat(1000);
      await table.batch(
        Array.from({ length: 8000 }, (_, i) => put(`k${10_000 + i}`, value)),
        SYNCED,
      );
      await table.batch([put('l', value)], SYNCED);
      let all = 0;
      while (all < 4_000_000) all = await table.approximateSize(utf8('k'), utf8('l'));
      expect(all).toBeLessThan(16_000_000);
      const half = await table.approximateSize(utf8('k'), utf8('k14'));
      expect(half).toBeLessThan(0.7 * all);
      expect(await table.approximateSize(utf8('m'), utf8('n'))).toBe(0);
    });

    test('has the rows of a range in byte order, as many as are wanted', async () => {
      await table.batch(
        ['b', 'a', 'ab', 'c', 'B'].map((key) => put(key, key)),
        SYNCED,
      );
      expect(await rows(ALL)).toEqual(['B=B', 'a=a', 'ab=ab', 'b=b', 'c=c']);
      expect(await rows({ gte: utf8('a'), lt: utf8('b') })).toEqual(['a=a', 'ab=ab']);
      expect(await rows({ gte: utf8('aa'), lt: utf8('z'), limit: 2 })).toEqual(['ab=ab', 'b=b']);
    });

    test('has the keys of a range alone', async () => {
      await table.batch([put('b', '1'), put('a', '1'), put('c', '1')], SYNCED);
      const keys = await table.keys({ gte: utf8('a'), lt: utf8('z'), limit: 2 }).all();
      expect(keys.map(textOf)).toEqual(['a', 'b']);
    });

    test('shows in a snapshot what stood when it was taken', async () => {
      await table.batch([put('a', '1'), put('b', '1')], SYNCED);
      const snapshot = table.snapshot();
      await table.batch([put('a', '2'), del('b'), put('c', '2')], SYNCED);
      expect(await rows({ ...ALL, snapshot })).toEqual(['a=1', 'b=1']);
      expect(await rows(ALL)).toEqual(['a=2', 'c=2']);
      await snapshot.close();
    });

    test('keeps everything when it is opened again', async () => {
      await table.batch([put('a', '1'), put('b', '1')], SYNCED);
      await table.batch([del('a'), put('empty', '')], SYNCED);
      await table.close();
      table = await under.openTable(under.folder);
      expect(await rows(ALL)).toEqual(['b=1', 'empty=']);
      await table.batch([put('d', '1')], SYNCED);
      expect(get('d')).toBe('1');
    });

    test('is opened once at a time', async () => {
      await expect(under.openTable(under.folder)).rejects.toThrow();
      await table.close();
      table = await under.openTable(under.folder);
    });

    test('answers nothing once it is closed', async () => {
      await table.batch([put('a', '1')], SYNCED);
      await table.close();
      expect(() => table.getSync(utf8('a'))).toThrow();
      await expect(table.batch([put('b', '1')], SYNCED)).rejects.toThrow();
    });
  });
}
