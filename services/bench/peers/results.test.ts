/** Medians, and what becomes of slices: the first is dropped, errors are added up, costs are of counted ones. */
import { expect, test } from '@jest/globals';
import { figuresOf, median, type Slice } from './results.ts';

const slice = (over: Partial<Slice> = {}): Slice => ({
  perSecond: 100,
  p50Ms: 1,
  p99Ms: 2,
  operations: 1000,
  errors: {},
  cpuSeconds: 1,
  memoryBytes: 10,
  otherCores: 0,
  storedBytes: 0,
  diskBytes: 0,
  ...over,
});

test('the median is the middle one, of an even count the mean of two, of nothing nothing', () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2]), median([7]), median([])]).toEqual([
    2,
    2.5,
    7,
    null,
  ]);
});

test('the first round is dropped, and the middle one of the others counts', () => {
  const rates = [9000, 100, 300, 200];
  const figures = figuresOf(
    'put-1k-64',
    'etcd',
    rates.map((perSecond, i) => slice({ perSecond, p50Ms: i, p99Ms: 10 * i, memoryBytes: i })),
  );
  expect(figures).toMatchObject({
    ...{ perSecond: 200, perSecondLeast: 100, perSecondMost: 300 },
    ...{ p50Ms: 2, p99Ms: 20, memoryBytes: 3 },
  });
});

test('a single round is not dropped', () => {
  expect(figuresOf('put-1k-64', 'etcd', [slice({ perSecond: 5 })]).perSecond).toBe(5);
});

test('errors of counted rounds are added up by their kind', () => {
  const all = [{ a: 100 }, { a: 1, b: 2 }, { a: 3 }].map((errors) => slice({ errors }));
  expect(figuresOf('put-1k-64', 'etcd', all).errors).toEqual({ a: 4, b: 2 });
});

test('CPU is of 1,000 operations, and unknown where nothing was done or nothing is known', () => {
  const of = (...all: Partial<Slice>[]): number | null =>
    figuresOf('get-1k-64', 'minikv', [slice(), ...all.map(slice)]).cpuSeconds;
  expect(of({ cpuSeconds: 3, operations: 2000 })).toBeCloseTo(1.5);
  expect(of({ operations: 0 })).toBeNull();
  expect(of({ cpuSeconds: null })).toBeNull();
});

test('disk by stored byte is over all rounds, for what is written comes late', () => {
  const puts = [
    slice({ storedBytes: 100, diskBytes: 0 }),
    slice({ storedBytes: 100, diskBytes: 700 }),
  ];
  expect(figuresOf('put-1k-64', 'etcd', puts).diskPerByte).toBeCloseTo(3.5);
  expect(figuresOf('get-1k-64', 'etcd', [slice()]).diskPerByte).toBeNull();
});

test('the busiest round says how much other work there was', () => {
  const all = [0.9, 0.1, 0.3, 0.2].map((otherCores) => slice({ otherCores }));
  expect(figuresOf('put-1k-64', 'etcd', all).otherCores).toBe(0.3);
});
