/**
 * Goal: no schedule of losses, doubles, delays, crashes and partitions breaks safety, and every one
 * ends in a working cluster once the faults stop. Method: seeded storms (services/testing/raft-storm.ts).
 * A failing seed is printed and replays exactly.
 */
import { describe, expect, test } from '@jest/globals';
import { survive } from '../testing/raft-storm.ts';

/** Of each cluster size. */
const SEEDS = Number(process.env['RAFT_SEEDS'] ?? 100);
const FIRST_SEED = Number(process.env['RAFT_FIRST_SEED'] ?? 1);

describe('any schedule of faults is safe, and its end is a working cluster', () => {
  test.each([3, 4, 5])('%i nodes', (size) => {
    let commits = 0;
    let terms = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
      const cluster = survive(seed, size);
      commits += cluster.committed.size;
      terms += cluster.leaders.size;
    }
    // The storms are neither so hard that nothing happens nor so mild that one leader lasts.
    expect(commits).toBeGreaterThan(SEEDS * 4);
    expect(terms).toBeGreaterThan(SEEDS);
  });
});
