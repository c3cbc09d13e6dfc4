/** The index against a Map, and the catalog against every order of a copy's records. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bloomAdd, bloomMayHave, bloomWords } from '../../common/bloom.ts';
import { type CopyId, copyId, digest } from '../../common/ids.ts';
import { mintCopyId, seededRandom } from '../../common/random.ts';
import { TXN } from '../../testing/storage-rig.ts';
import { encodeChunkMeta, encodeCopyMeta, encodeDropRange, KIND, type Kind } from '../record.ts';
import { Catalog, type PlacedRecord } from './catalog.ts';
import { packChunk, packCopy, unpackChunk, unpackCopy } from './entry.ts';
import { idOf, keyOf } from './key.ts';
import { Table } from './table.ts';

const slot = (n: number) => ({ segment: n, offset: n * 2, size: n + 1, extra: -n });

describe('a table', () => {
  test('holds what a map holds, under sets, deletes, growth and freezing', () => {
    const random = seededRandom(3);
    const ids = Array.from({ length: 3000 }, () => mintCopyId(random));
    /* Small numbers all fall into one partition: the probing and shifting is theirs. */
    const dense = Array.from({ length: 300 }, (_, i) => copyId(String(i).padStart(32, '0')));
    const table = new Table();
    const model = new Map<CopyId, number>();
    for (let step = 0; step < 20_000; step += 1) {
      const from = random.below(2) === 0 ? ids : dense;
      const id = from[random.below(from.length)]!;
      if (random.below(3) === 0) {
        table.delete(keyOf(id));
        model.delete(id);
      } else {
        table.set(keyOf(id), slot(step));
        model.set(id, step);
      }
      if (step % 5000 === 0) table.freeze();
    }
    for (const id of [...ids, ...dense]) {
      const known = model.get(id);
      expect(table.get(keyOf(id))).toEqual(known === undefined ? undefined : slot(known));
    }
    expect(table.used).toBe(model.size);
    const order = [...model.keys()].sort();
    expect(table.page(null, 1e6, () => true).map(([key]) => idOf(key))).toEqual(order);
    const middle = order[Math.floor(order.length / 2)]!;
    const page = table.page(keyOf(middle), 10, () => true).map(([key]) => idOf(key));
    expect(page).toEqual(order.slice(order.indexOf(middle) + 1).slice(0, 10));
  });

  test('frozen words do not see later changes', () => {
    const table = new Table();
    const random = seededRandom(4);
    const ids = Array.from({ length: 200 }, () => mintCopyId(random));
    for (const id of ids) table.set(keyOf(id), slot(1));
    const frozen = table.freeze();
    const textOf = () => frozen.words.map((words) => words.join()).join();
    const before = textOf();
    for (const id of ids) table.set(keyOf(id), slot(2));
    for (const id of ids.slice(0, 100)) table.delete(keyOf(id));
    expect(textOf()).toBe(before);
  });

  test('costs less than 60 bytes an entry once it is large', () => {
    const table = new Table();
    const random = seededRandom(5);
    for (let i = 0; i < 60_000; i += 1) table.set(keyOf(mintCopyId(random)), slot(i));
    expect(table.bytes / table.used).toBeLessThan(60);
  });

  test('gives memory back when most of its entries have gone, and frozen words stay', () => {
    const table = new Table();
    const random = seededRandom(8);
    const ids = Array.from({ length: 60_000 }, () => mintCopyId(random));
    for (const id of ids) table.set(keyOf(id), slot(1));
    const before = table.bytes;
    const frozen = table.freeze();
    const wordsOf = () => frozen.words.reduce((sum, words) => sum + words.join().length, 0);
    const text = wordsOf();
    const kept = ids.splice(0, 6_000);
    for (const id of ids) table.delete(keyOf(id));
    expect(table.bytes).toBeLessThan(before / 5);
    expect(wordsOf()).toBe(text);
    for (const id of kept) expect(table.get(keyOf(id))).toEqual(slot(1));
    for (const id of kept) table.delete(keyOf(id));
    expect([table.bytes, table.used]).toEqual([0, 0]);
    table.set(keyOf(ids[0]!), slot(2));
    expect(table.get(keyOf(ids[0]!))).toEqual(slot(2));
  });

  test('denies what is not there', () => {
    const table = new Table();
    const random = seededRandom(6);
    for (let i = 0; i < 20_000; i += 1) table.set(keyOf(mintCopyId(random)), slot(i));
    let wrong = 0;
    for (let i = 0; i < 20_000; i += 1) {
      if (table.get(keyOf(mintCopyId(random))) !== undefined) wrong += 1;
    }
    expect(wrong).toBe(0);
  });
});

test('a filter never denies what was added and rarely grants what was not', () => {
  const random = seededRandom(7);
  const word = () => random.below(2 ** 32) | 0;
  const words = new Int32Array(bloomWords(5_000));
  const added = Array.from({ length: 5_000 }, () => [word(), word() | 1] as const);
  for (const [hash, step] of added) bloomAdd(words, hash, step);
  expect(added.filter(([hash, step]) => !bloomMayHave(words, hash, step))).toEqual([]);
  let granted = 0;
  for (let i = 0; i < 10_000; i += 1) if (bloomMayHave(words, word(), word() | 1)) granted += 1;
  expect(granted).toBeLessThan(300);
});

test('entries are packed without loss', () => {
  fc.assert(
    fc.property(
      fc.record({
        segment: fc.nat(2 ** 31 - 1),
        offset: fc.nat(2 ** 31 - 1),
        recordBytes: fc.integer({ min: 48, max: 2 ** 21 - 1 }),
        metaBytes: fc.nat(2 ** 11 - 1),
        state: fc.integer({ min: 1, max: 3 }),
        whole: fc.boolean(),
        unsound: fc.boolean(),
        settled: fc.boolean(),
        chunkCount: fc.nat(2 ** 27 - 1),
      }),
      fc.nat(2 ** 42),
      (copy, valueOffset) => {
        expect(unpackCopy(packCopy(copy))).toEqual(copy);
        const { segment, offset, recordBytes } = copy;
        const chunk = { segment, offset, recordBytes, valueOffset };
        expect(unpackChunk(packChunk(chunk))).toEqual(chunk);
      },
    ),
  );
});

describe('the state of a copy', () => {
  const ID = copyId('00000000000000000000000000000001');
  const common = { txnId: TXN, digest: digest('0'.repeat(64)), owner: new Uint8Array(0) };
  const place = (kind: Kind, at: number, meta: Uint8Array, dataBytes = 0): PlacedRecord => ({
    kind,
    flags: 0,
    copyId: ID,
    segment: at,
    offset: at * 100,
    meta,
    dataBytes,
    recordBytes: 48 + meta.length + dataBytes,
  });
  const records: PlacedRecord[] = [
    place(KIND.chunk, 1, encodeChunkMeta({ chunkNo: 0, valueOffset: 0 }), 10),
    place(KIND.chunk, 2, encodeChunkMeta({ chunkNo: 1, valueOffset: 10 }), 10),
    place(KIND.end, 3, encodeCopyMeta(KIND.end, { ...common, sizeBytes: 20, chunkCount: 2 })),
    place(KIND.commit, 4, new Uint8Array(0)),
    place(KIND.drop, 5, encodeDropRange({ lowest: 1, highest: 5 })),
  ];

  const summaryOf = (order: readonly PlacedRecord[]) => {
    const catalog = new Catalog();
    for (let segment = 1; segment <= 5; segment += 1) catalog.segments.add(segment, 0);
    for (const record of order) catalog.apply(record, true, 0);
    catalog.recount();
    const copy = catalog.copy(ID);
    return {
      state: copy?.state,
      unsound: copy?.unsound,
      copies: catalog.copyCount,
      bytes: catalog.valueBytes,
      staged: catalog.stagedAt.size,
      live: catalog.segments.all().map((info) => info.liveBytes),
    };
  };

  test('S11: is the maximum of its records in any order and with any repeats', () => {
    for (const count of [3, 4, 5]) {
      const some = records.slice(0, count);
      const expected = summaryOf(some);
      expect(expected.state).toBe(count - 2);
      fc.assert(
        fc.property(
          fc.shuffledSubarray(some, { minLength: count, maxLength: count }),
          fc.array(fc.nat(count - 1), { maxLength: 6 }),
          (order, repeats) => {
            const replay = [...order, ...repeats.map((at) => some[at]!)];
            expect(summaryOf(replay)).toEqual(expected);
          },
        ),
        { numRuns: 150 },
      );
    }
  });

  test('counts live as it goes exactly as a recount does', () => {
    const catalog = new Catalog();
    for (let segment = 1; segment <= 5; segment += 1) catalog.segments.add(segment, 0);
    for (const record of records.slice(0, 4)) catalog.apply(record, true, 0);
    const live = () => catalog.segments.all().map(({ liveBytes }) => liveBytes);
    const before = live();
    catalog.recount();
    expect(live()).toEqual(before);
    catalog.apply(records[4]!, true, 0);
    expect(live()).toEqual([0, 0, 0, 0, 56]);
  });

  test('a copy that lacks a chunk is bad, not absent', () => {
    expect(summaryOf([records[0]!, records[2]!])).toMatchObject({ state: 1, unsound: true });
  });
});
