import { expect, test } from '@jest/globals';
import { RowCache } from './row-cache.ts';

const row = (byte: number): Uint8Array => Uint8Array.of(byte);

test('keeps what is read, and no more than it may', () => {
  // Ten rows: five in each half.
  const cache = new RowCache(10 * (200 + 1 + 1));
  const names = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
  for (const [i, name] of names.entries()) {
    cache.keep(name, row(i));
    cache.find('a');
  }
  const kept = names.filter((name) => cache.find(name) !== undefined);
  expect(kept).toContain('a');
  expect(kept).toContain('z');
  expect(kept.length).toBeLessThanOrEqual(11);
});

test('a row that changes is forgotten in both halves', () => {
  const cache = new RowCache(4 * (200 + 1 + 1));
  cache.keep('a', row(1));
  cache.keep('b', row(2));
  cache.keep('c', row(3));
  expect(cache.find('a')).toEqual(row(1));
  cache.forget('a');
  cache.forget('c');
  expect(['a', 'b', 'c'].map((name) => cache.find(name))).toEqual([undefined, row(2), undefined]);
});
