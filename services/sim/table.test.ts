import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { seededRandom } from '../common/random.ts';
import type { Table } from '../coordinator/table.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { describeTable } from '../testing/table-conformance.ts';
import { tablesOn } from './table.ts';

const FOLDER = '/data/table';
const FILE = `${FOLDER}/batches.log`;

describeTable('the simulated table', async () => ({
  openTable: tablesOn(new MemoryDisk()),
  folder: FOLDER,
  cleanUp: () => Promise.resolve(),
}));

/** A batch of rows that all say its number. */
function write(table: Table, number: number): Promise<void> {
  const rows = ['a', 'b', 'c'].map((key) => ({
    type: 'put' as const,
    key: utf8(key),
    value: utf8(`${number} ${'x'.repeat(600)}`),
  }));
  return table.batch(rows, { sync: true });
}

const numberOf = (table: Table, key: string): number =>
  Number.parseInt(Buffer.from(table.getSync(utf8(key)) ?? utf8('0')).toString(), 10);

const numbersOf = (table: Table): number[] => ['a', 'b', 'c'].map((key) => numberOf(table, key));

describe('after a power cut the simulated table', () => {
  test('has every batch that was acknowledged, and of the last one all or nothing', async () => {
    const fates = new Set<number>();
    for (let seed = 0; seed < 60; seed += 1) {
      const disk = new MemoryDisk();
      const table = await tablesOn(disk)(FOLDER);
      await write(table, 1);
      const release = disk.holdSyncs();
      const late = write(table, 2);
      late.catch(() => undefined);
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      disk.crash({ random: seededRandom(seed) });
      release();
      const again = await tablesOn(disk)(FOLDER);
      const [first = -1] = numbersOf(again);
      expect(numbersOf(again)).toEqual([first, first, first]);
      fates.add(first);
      await write(again, 3);
      await again.close();
      const third = await tablesOn(disk)(FOLDER);
      expect(numbersOf(third)).toEqual([3, 3, 3]);
    }
    expect([...fates].sort()).toEqual([1, 2]);
  });
});

describe('decay', () => {
  test('of a batch leaves it out in silence, and those behind it stand', async () => {
    const disk = new MemoryDisk();
    const table = await tablesOn(disk)(FOLDER);
    await write(table, 1);
    const [{ sizeBytes } = { sizeBytes: 0 }] = disk.files();
    await table.batch([{ type: 'put', key: utf8('d'), value: utf8('4') }], { sync: true });
    await table.close();
    disk.flipBit(FILE, sizeBytes - 100);
    const again = await tablesOn(disk)(FOLDER);
    expect([numberOf(again, 'a'), numberOf(again, 'd')]).toEqual([0, 4]);
  });

  test('of a length ends the table there, and it can be written on', async () => {
    const disk = new MemoryDisk();
    const table = await tablesOn(disk)(FOLDER);
    await write(table, 1);
    const [{ sizeBytes } = { sizeBytes: 0 }] = disk.files();
    await write(table, 2);
    await table.close();
    disk.flipBit(FILE, sizeBytes + 7, 7);
    const again = await tablesOn(disk)(FOLDER);
    expect(numbersOf(again)).toEqual([1, 1, 1]);
    await write(again, 3);
    await again.close();
    expect(numbersOf(await tablesOn(disk)(FOLDER))).toEqual([3, 3, 3]);
  });
});

test('a table that is much longer than its rows is written anew when it is opened', async () => {
  const disk = new MemoryDisk();
  const table = await tablesOn(disk)(FOLDER);
  for (let number = 1; number <= 300; number += 1) await write(table, number);
  await table.close();
  const again = await tablesOn(disk)(FOLDER);
  expect(numbersOf(again)).toEqual([300, 300, 300]);
  expect(disk.files()).toEqual([{ path: FILE, sizeBytes: expect.any(Number) }]);
  expect(disk.files()[0]?.sizeBytes).toBeLessThan(10_000);
});
