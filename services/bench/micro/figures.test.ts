import { describe, expect, test } from '@jest/globals';
import type { Baseline } from './baseline.ts';
import { type Figure, forgotten, judge, median, middleOf } from './figures.ts';

const figure = (passes: number, onDisk = false): Figure => ({
  name: 'raft: a step',
  of: 'entry',
  onDisk,
  eachNs: passes * 5000,
  passes,
  passNs: 5000,
});
const baseline: Baseline = {
  machine: { cores: 2, cpu: 'a cpu', kernel: '6.1', node: '24.0.0' },
  passes: { 'raft: a step': 2, 'raft: that is no more': 1 },
};

describe('the median', () => {
  test('is the value in the middle, whatever the order and however far the others are', () => {
    expect(median([5, 1, 900])).toBe(5);
    expect(median([4])).toBe(4);
  });

  test('of an even number of values is the lower one of the two', () => {
    expect(median([10, 4, 3, 1])).toBe(3);
  });

  test('does not change what it is given, and orders by number', () => {
    const values = [100, 20, 3];
    expect(median(values)).toBe(20);
    expect(values).toEqual([100, 20, 3]);
  });

  test('nothing has none', () => {
    expect(() => median([])).toThrow('nothing has no median');
  });
});

test('of several takes the one in the middle is kept', () => {
  expect(middleOf([figure(3), figure(1), figure(2)])).toEqual(figure(2));
});

describe('the verdict', () => {
  test.each([
    [2, 'same', 1],
    [3.98, 'same', 1.99],
    [4, 'slower', 2],
    [20, 'slower', 10],
    [1.02, 'same', 0.51],
    [1, 'faster', 0.5],
  ])('%d passes where the baseline has 2: %s', (passes, verdict, change) => {
    const judged = judge(figure(passes), baseline);
    expect(judged.verdict).toBe(verdict);
    expect(judged.change).toBeCloseTo(change);
  });

  test('a case that the baseline does not know is new, and so are all without a baseline', () => {
    const unknown = { ...figure(2), name: 'raft: another step' };
    expect(judge(unknown, baseline)).toEqual({ ...unknown, verdict: 'new', change: null });
    expect(judge(figure(2), null).verdict).toBe('new');
  });

  test('what the disk decides is not judged, however slow it is', () => {
    expect(judge(figure(200, true), baseline)).toMatchObject({ verdict: 'disk', change: null });
  });

  test('names that only the baseline knows are said', () => {
    expect(forgotten(baseline, ['raft: a step'])).toEqual(['raft: that is no more']);
    expect(forgotten(null, ['raft: a step'])).toEqual([]);
  });
});
