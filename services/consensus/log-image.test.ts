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
const truncate = (from: number): LogRecord => ({ kind: 'truncate', from: logIndex(from) });
const base = (index: number): LogRecord => ({ kind: 'base', point: point(index) });
const restart = (index: number): LogRecord => ({ kind: 'restart', point: point(index) });
const vote = (inTerm: number): LogRecord => ({
  kind: 'hard-state',
  hardState: { term: term(inTerm), vote: nodeId(2) },
});
const read = (...records: readonly LogRecord[]): LogImage => {
  const image = new LogImage();
  records.forEach((record, i) => image.take(record, i));
  return image;
};

describe('R24: a log', () => {
  test('whose entries follow its base is whole', () => {
    const image = read(head(0, 0), entry(1), entry(2), base(1), entry(3));
    expect(image).toMatchObject({ isWhole: true, last: 3, base: { index: 1 } });
    expect(image.entries.map(({ index }) => index)).toEqual([2, 3]);
  });

  test('goes on behind a snapshot at the very next index', () => {
    const image = read(head(0, 0), entry(1), restart(5), entry(6));
    expect(image).toMatchObject({ isWhole: true, last: 6 });
  });

  test.each<[string, readonly LogRecord[], number]>([
    ['an entry leaves an index out', [head(0, 0), entry(1), entry(3), entry(4)], 1],
    ['the first entry leaves a gap behind a snapshot', [head(5, 5), entry(7)], 5],
    ['an entry comes twice', [head(0, 0), entry(1), entry(1), entry(2)], 1],
    ['a segment begins behind a missing one', [head(0, 0), entry(1), head(0, 4), entry(5)], 1],
    ['the base lies beyond the last entry', [head(0, 0), base(2)], 0],
    ['what is committed is voided', [head(2, 2), entry(3), truncate(2), entry(2)], 3],
    [
      'what was voided before its first segment is needed',
      [head(1, 5), truncate(4), entry(4), entry(5)],
      5,
    ],
  ])('is not whole where %s, and ends before that place', (_name, records, last) => {
    const image = read(...records);
    expect(image.isWhole).toBe(false);
    expect(image.last).toBe(last);
  });

  test('is not whole where its first segment begins behind the base', () => {
    expect(read(head(2, 4), entry(5)).isWhole).toBe(false);
  });

  test.each<[string, readonly LogRecord[], number]>([
    ['as the first record of its segment', [head(1, 5), truncate(3)], 2],
    ['behind entries that are voided too', [head(1, 5), entry(6), head(1, 6), truncate(3)], 2],
    ['twice, ever lower', [head(1, 5), truncate(4), entry(4), truncate(3)], 2],
    ['down to the base', [head(2, 5), truncate(3)], 2],
  ])('whose front is voided is whole again once its base is reached: %s', (_name, records, at) => {
    const cut = read(...records, entry(at + 1), entry(at + 2), base(at + 1));
    expect(cut).toMatchObject({ isWhole: true, last: at + 2, base: { index: at + 1 } });
    expect(cut.entries.map(({ index }) => index)).toEqual([at + 2]);
    expect(cut.termAt(logIndex(at + 2))).toBe(1);
  });

  test('goes on behind a restart, whatever gap came before it', () => {
    const image = read(head(0, 0), entry(1), entry(3), vote(4), base(2), restart(7), entry(8));
    expect(image).toMatchObject({ isWhole: true, last: 8, base: { index: 7 } });
    expect(image.entries.map(({ index }) => index)).toEqual([8]);
    expect(read(head(0, 0), entry(3), restart(7), entry(9)).isWhole).toBe(false);
  });

  test('tells the newest vote, also one behind a gap', () => {
    const image = read(head(0, 0), entry(3), vote(4));
    expect(image).toMatchObject({ isWhole: false, hardState: { term: 4, vote: 2 } });
  });

  test('that was restarted behind a gap begins its next segment with what it holds now', () => {
    const image = read(head(0, 0), entry(3), vote(4), restart(7), entry(8));
    expect(image.beginSegment(100)).toMatchObject({
      kind: 'head',
      head: { hardState: { term: 4 }, base: point(7), last: 8 },
    });
  });
});
