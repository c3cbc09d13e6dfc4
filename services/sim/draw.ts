/**
 * Draws from one seed. Each purpose has a stream of its own, so that one more draw for one purpose does not
 * shift the draws of all others.
 */
import { type Random, seededRandom } from '../common/random.ts';

export class Draw {
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** The stream of `purpose` under `seed`. */
  static of(seed: number, purpose: string): Draw {
    let state = (seed ^ 0x5bd1e995) >>> 0;
    for (let i = 0; i < purpose.length; i += 1) {
      state = Math.imul(state ^ purpose.charCodeAt(i), 0x01000193) >>> 0;
    }
    const draw = new Draw(seededRandom(state));
    // Neighbouring seeds begin alike: what comes after a few draws does not.
    for (let i = 0; i < 4; i += 1) draw.below(2);
    return draw;
  }

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return this.random.below(bound);
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.random.below(max - min + 1);
  }

  /** A number in [0, 1). */
  share(): number {
    return this.random.below(2 ** 30) / 2 ** 30;
  }

  chance(probability: number): boolean {
    return this.share() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.random.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  /** As many whole milliseconds as an exponential of that mean gives, at most ten times the mean. */
  exponential(mean: number): number {
    return Math.round(Math.min(10 * mean, -mean * Math.log(1 - this.share())));
  }

  shuffled<T>(from: readonly T[]): readonly T[] {
    const all = [...from];
    for (let i = all.length - 1; i > 0; i -= 1) {
      const j = this.random.below(i + 1);
      const [a, b] = [all[i], all[j]];
      if (a === undefined || b === undefined) continue;
      all[i] = b;
      all[j] = a;
    }
    return all;
  }
}
