import { describe, expect, test } from '@jest/globals';
import { nodeId } from '../common/ids.ts';
import { agreementOf } from './state-agreement.ts';

/** What node 1 concludes when nodes 1, 2, … have said these; a dot has said nothing. */
const conclude = (said: string, voters: number) =>
  agreementOf(
    nodeId(1),
    voters,
    new Map(
      Array.from(said).flatMap((digest, i) => (digest === '.' ? [] : [[nodeId(i + 1), digest]])),
    ),
  );

describe('what follows from digests of one index', () => {
  test.each([
    ['a', 1, 'agreed'],
    ['a.', 2, 'open'],
    ['aa', 2, 'agreed'],
    ['ab', 2, 'split'],
    ['a..', 3, 'open'],
    ['.bb', 3, 'open'],
    ['aa.', 3, 'agreed'],
    ['aab', 3, 'agreed'],
    ['ab.', 3, 'split'],
    ['abb', 3, 'outvoted'],
    ['abc', 3, 'split'],
    ['aabb', 4, 'split'],
    ['aaab', 4, 'agreed'],
    ['abb..', 5, 'split'],
    ['abbb.', 5, 'outvoted'],
    ['aabbc', 5, 'split'],
  ] as const)('%s of %i voters: %s', (said, voters, expected) => {
    expect(conclude(said, voters)).toBe(expected);
  });
});
