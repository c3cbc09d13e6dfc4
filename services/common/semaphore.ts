/** Bounds how many of a kind of work run at once; the waiting line is bounded too. */
import { KvError } from './errors.ts';

export class Semaphore {
  #free: number;
  readonly #waitersMax: number;
  readonly #waiters: (() => void)[] = [];

  constructor(permits: number, waitersMax = Number.POSITIVE_INFINITY) {
    this.#free = permits;
    this.#waitersMax = waitersMax;
  }

  /** Runs `work` with a permit. @throws KvError `OVERLOADED` when the waiting line is full. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.acquire();
    try {
      return await work();
    } finally {
      this.release();
    }
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    if (this.#waiters.length >= this.#waitersMax) {
      throw new KvError('OVERLOADED', 'too many requests are waiting; try again shortly');
    }
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  release(): void {
    const next = this.#waiters.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
