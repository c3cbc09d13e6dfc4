/** Draws of a simulation. Each purpose has a stream of its own, so that a change in one shifts no other. */

import { utf8 } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { type Random, seededRandom } from '../common/random.ts';

export const streamOf = (seed: number, purpose: string): Random =>
  seededRandom(crc32(utf8(purpose), seed >>> 0));

/** An exponential of that mean. */
export function exponential(random: Random, mean: number): number {
  return mean <= 0 ? 0 : -mean * Math.log(1 - random.below(2 ** 32) / 2 ** 32);
}

export const chance = (random: Random, share: number): boolean =>
  share > 0 && random.below(1_000_000) < share * 1_000_000;
