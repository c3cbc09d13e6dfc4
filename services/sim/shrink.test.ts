/** Shrinking must keep the failure and leave out what has no part in it. */
import { describe, expect, it } from '@jest/globals';
import { shrink } from './shrink.ts';

const numbers = Array.from({ length: 40 }, (_, n) => n);

describe('shrink', () => {
  it('finds the two elements that fail together', async () => {
    const fails = async (part: readonly number[]): Promise<boolean> =>
      part.includes(3) && part.includes(31);
    expect(await shrink(numbers, fails, 500)).toEqual([3, 31]);
  });

  it('answers nothing where nothing is needed', async () => {
    expect(await shrink(numbers, async () => true, 10)).toEqual([]);
  });

  it('answers something that fails when its runs are used up', async () => {
    let runs = 0;
    const fails = async (part: readonly number[]): Promise<boolean> => {
      runs += 1;
      return part.includes(7) && part.includes(8);
    };
    const found = await shrink(numbers, fails, 5);
    expect(runs).toBe(5);
    expect(found).toEqual(expect.arrayContaining([7, 8]));
    expect(found.length).toBeLessThan(numbers.length);
  });
});
