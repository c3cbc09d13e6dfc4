/** Goal: what records add up to is either all of the log behind its base, or known not to be. */
import { describe, expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import type { Entry, LogPoint } from '../raft/types.ts';
import type { LogRecord } from './log-codec.ts';
import { LogImage } from './log-image.ts';

const point = (index: number): LogPoint => ({ index: logIndex(index), term: term(1) });
const entry = (index: number): LogRecord => {
  const made: Entry = { ...point(index), kind: 'command', data: new Uint8Array(0) };
  return { kind: 'entry', entry: made };
};
const head = (base: number, last: number): LogRecord => ({
  kind: 'head',
  head: {
    hardState: { term: term(1), vote: nodeId(0) },
    base: point(base),
    last: logIndex(last),
  },
});
const read = (...records: readonly LogRecord[]): LogImage => {
  const image = new LogImage();
  records.forEach((record, i) => image.take(record, i));
  return image;
};

describe('R24: a log', () => {
  test('whose entries follow its base is whole', () => {
    const image = read(head(0, 0), entry(1), entry(2), { kind: 'base', point: point(1) }, entry(3));
    expect(image).toMatchObject({ isWhole: true, last: 3, base: { index: 1 } });
    expect(image.entries.map(({ index }) => index)).toEqual([2, 3]);
  });

  test('goes on behind a snapshot at the very next index', () => {
    const restart: LogRecord = { kind: 'restart', point: point(5) };
    expect(read(head(0, 0), entry(1), restart, entry(6))).toMatchObject({ isWhole: true, last: 6 });
  });

  test.each<[string, readonly LogRecord[], number]>([
    ['an entry leaves an index out', [head(0, 0), entry(1), entry(3), entry(4)], 1],
    ['the first entry leaves a gap behind a snapshot', [head(5, 5), entry(7)], 5],
    ['an entry comes twice', [head(0, 0), entry(1), entry(1), entry(2)], 1],
    ['a segment begins behind a missing one', [head(0, 0), entry(1), head(0, 4), entry(5)], 1],
    ['the base lies beyond the last entry', [head(0, 0), { kind: 'base', point: point(2) }], 0],
    [
      'a truncation begins before what was read',
      [head(0, 3), { kind: 'truncate', from: logIndex(2) }],
      3,
    ],
  ])('is not whole where %s, and ends before that place', (_name, records, last) => {
    const image = read(...records);
    expect(image.isWhole).toBe(false);
    expect(image.last).toBe(last);
  });

  test('is not whole where its first segment begins behind the base', () => {
    expect(read(head(2, 4), entry(5)).isWhole).toBe(false);
  });
});
