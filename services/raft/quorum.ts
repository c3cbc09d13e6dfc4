/**
 * Majority arithmetic (Raft paper, 5.2 and 5.3). A majority is more than half: of four voters three,
 * never two. Everything that needs a quorum (votes, commit, read rounds) asks here.
 */
import { assert } from '../common/assert.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

/** The fewest voters that any other majority of `voterCount` must meet. */
export function majority(voterCount: number): number {
  assert(Number.isInteger(voterCount), 'voter count is not whole');
  assert(voterCount >= 1, 'a cluster has at least one voter');
  return Math.floor(voterCount / 2) + 1;
}

/** Whether the voters other than these can have elected anybody. */
export const couldElectWithout = (voters: number, voterCount: number): boolean =>
  voterCount - voters >= majority(voterCount);

/**
 * The highest value that a majority has reached, one value a voter. Sorts `values` in place: the
 * caller hands over a scratch array, so that the hot path allocates nothing.
 */
export function quorumValue(values: number[]): number {
  // Insertion sort, descending: for the three to seven values of a cluster it beats Array.sort.
  for (let i = 1; i < values.length; i += 1) {
    const value = values[i] ?? 0;
    let at = i;
    while (at > 0 && (values[at - 1] ?? 0) < value) {
      values[at] = values[at - 1] ?? 0;
      at -= 1;
    }
    values[at] = value;
  }
  const reached = values[majority(values.length) - 1];
  assert(reached !== undefined, 'a majority is within the voters');
  return reached;
}

/** What the votes of one election say so far. */
export function voteResult(granted: number, rejected: number, voterCount: number): VoteResult {
  assert(granted >= 0 && rejected >= 0, 'votes are counted from zero');
  assert(granted + rejected <= voterCount, 'a voter votes once');
  if (granted >= majority(voterCount)) return 'won';
  if (voterCount - rejected < majority(voterCount)) return 'lost';
  return 'pending';
}
