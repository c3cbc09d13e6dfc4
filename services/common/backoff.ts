/** Delays between attempts: doubling from `minMs` to `maxMs`, each drawn from the upper half. */
import type { Random } from './random.ts';

export class Backoff {
  readonly #random: Random;
  readonly #minMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(random: Random, options: { minMs: number; maxMs: number }) {
    this.#random = random;
    this.#minMs = options.minMs;
    this.#maxMs = options.maxMs;
    this.#nextMs = options.minMs;
  }

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    const ceiling = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, ceiling * 2);
    return ceiling / 2 + this.#random.below(Math.max(1, Math.ceil(ceiling / 2)));
  }

  /** Start over after a success. */
  reset(): void {
    this.#nextMs = this.#minMs;
  }
}
