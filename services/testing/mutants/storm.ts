/**
 * A process of its own for storms on mutated cores: `storm.ts SEEDS` tries seeds in order, on three,
 * five and four nodes in turn, and prints the first that fails as JSON.
 */
import { pathToFileURL } from 'node:url';
import { survive } from '../raft-storm.ts';

export interface StormResult {
  /** Seeds tried, the failing one included. */
  readonly seeds: number;
  readonly nodes: number;
  /** What broke; null: nothing did. */
  readonly why: string | null;
}

const SIZES = [4, 3, 5];

function storm(seedsMax: number): StormResult {
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const nodes = SIZES[seed % SIZES.length] ?? 3;
    try {
      survive(seed, nodes);
    } catch (error) {
      const cause = error instanceof Error ? error.cause : error;
      return { seeds: seed, nodes, why: cause instanceof Error ? cause.message : String(cause) };
    }
  }
  return { seeds: seedsMax, nodes: 0, why: null };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.stdout.write(JSON.stringify(storm(Number(process.argv[2]))));
}
