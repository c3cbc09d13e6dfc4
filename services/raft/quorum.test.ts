/** Goal: majority arithmetic holds for every cluster size and every order of values. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { majority, quorumValue, voteResult } from './quorum.ts';

const values = fc.array(fc.nat(1000), { minLength: 1, maxLength: 9 });

describe('majority', () => {
  test('two majorities always meet, and one voter fewer may not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), (voterCount) => {
        expect(2 * majority(voterCount)).toBeGreaterThan(voterCount);
        expect(2 * (majority(voterCount) - 1)).toBeLessThanOrEqual(voterCount);
      }),
    );
  });
});

describe('quorumValue', () => {
  test('a majority has reached it, and no majority has reached more', () => {
    fc.assert(
      fc.property(values, (reached) => {
        const quorum = quorumValue([...reached]);
        expect(reached.filter((value) => value >= quorum).length).toBeGreaterThanOrEqual(
          majority(reached.length),
        );
        expect(reached.filter((value) => value > quorum).length).toBeLessThan(
          majority(reached.length),
        );
      }),
    );
  });

  test('is the highest value of all that a majority has, for every cluster of up to five', () => {
    const all = (count: number): number[][] =>
      count === 0 ? [[]] : all(count - 1).flatMap((rest) => [0, 1, 2, 3].map((n) => [...rest, n]));
    for (let voters = 1; voters <= 5; voters += 1) {
      for (const reached of all(voters)) {
        const isReached = (value: number): boolean =>
          reached.filter((each) => each >= value).length * 2 > voters;
        const highest = Math.max(...[0, 1, 2, 3].filter(isReached));
        expect([reached, quorumValue([...reached])]).toEqual([reached, highest]);
      }
    }
  });

  test('one voter that advances never lowers it', () => {
    fc.assert(
      fc.property(values, fc.nat(), fc.nat(100), (reached, pick, more) => {
        const later = [...reached];
        const at = pick % reached.length;
        later[at] = (later[at] ?? 0) + more;
        expect(quorumValue(later)).toBeGreaterThanOrEqual(quorumValue([...reached]));
      }),
    );
  });
});

describe('voteResult', () => {
  test('is won or lost exactly when no further vote can change it', () => {
    const votes = fc.array(fc.constantFrom('granted', 'rejected', 'silent'), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(votes, (cast) => {
        const granted = cast.filter((vote) => vote === 'granted').length;
        const rejected = cast.filter((vote) => vote === 'rejected').length;
        const silent = cast.length - granted - rejected;
        const isWon = granted >= majority(cast.length);
        const canWin = granted + silent >= majority(cast.length);
        expect(voteResult(granted, rejected, cast.length)).toBe(
          isWon ? 'won' : canWin ? 'pending' : 'lost',
        );
      }),
    );
  });
});
