/** Quantiles against the sorted values: never below the true one, and at most 1.6 % above it. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Histogram } from './histogram.ts';

test('a quantile is at most a bucket above the value that sorting finds', () => {
  const values = fc.array(fc.nat(2 ** 31), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(values, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, share) => {
      const histogram = new Histogram();
      for (const value of all) histogram.record(value);
      const sorted = [...all].sort((a, b) => a - b);
      const exact = sorted[Math.ceil(all.length * share) - 1] ?? 0;
      const found = histogram.quantileUs(share);
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * (1 + 1 / 64) + 1);
      expect(histogram.quantileUs(1)).toBe(sorted.at(-1));
    }),
  );
});

test('is empty at first and after clearing', () => {
  const histogram = new Histogram();
  expect(histogram.quantileUs(0.5)).toBe(0);
  histogram.record(77);
  expect([histogram.count, histogram.maxUs, histogram.quantileUs(0.5)]).toEqual([1, 77, 77]);
  histogram.clear();
  expect([histogram.count, histogram.maxUs, histogram.quantileUs(0.5)]).toEqual([0, 0, 0]);
});
