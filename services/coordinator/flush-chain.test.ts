import { describe, expect, test } from '@jest/globals';
import { logIndex, term } from '../common/ids.ts';
import { FlushChain, META_KEY } from './flush-chain.ts';
import type { TableRow } from './table-rows.ts';

const KEPT = 3;

/** The rows that so many flushes leave, the chain's in byte order, and the one of the newest flush. */
function stored(flushes: number) {
  const chain = new FlushChain([], KEPT);
  const table = new Map<string, TableRow>();
  const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('hex');
  for (let index = 1; index <= flushes; index += 1) {
    const point = { index: logIndex(index), term: term(1) };
    for (const operation of chain.append({ point, digest: 'd', installed: false })) {
      const { key } = operation;
      if (operation.type === 'put') table.set(nameOf(key), [key, operation.value]);
      else table.delete(nameOf(key));
    }
  }
  const meta = table.get(nameOf(META_KEY))?.[1];
  table.delete(nameOf(META_KEY));
  const sorted = [...table].sort(([one], [other]) => (one < other ? -1 : 1));
  return { rows: sorted.map(([, row]) => row), meta };
}

const read = (rows: readonly TableRow[], meta: Uint8Array | undefined) =>
  FlushChain.read(rows, meta, KEPT);

describe('a chain of flushes', () => {
  test.each([1, 2, 3, 4, 9])('of %i is whole, also where the oldest had to go', (flushes) => {
    const { rows, meta } = stored(flushes);
    expect(rows).toHaveLength(Math.min(flushes, KEPT));
    expect(read(rows, meta)).toMatchObject({ kind: 'chain', meta: { point: { index: flushes } } });
  });

  test.each([
    [2, 0],
    [3, 0],
    [3, 1],
    [9, 0],
    [9, 1],
    [9, 2],
  ])('of %i lacks its row %i, and that is seen', (flushes, gone) => {
    const { rows, meta } = stored(flushes);
    expect(read(rows.toSpliced(gone, 1), meta).kind).toBe('void');
  });
});
