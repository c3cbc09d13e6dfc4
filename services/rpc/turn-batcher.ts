/**
 * Items pushed in one loop turn leave together in one call, after the turn's I/O: one stream write a
 * turn instead of one an item. A batch that is full leaves at once, so nothing grows without bound.
 */
import type { Clock } from '../common/clock.ts';

export interface BatchLimits {
  readonly itemsMax: number;
  readonly bytesMax: number;
}

export class TurnBatcher<T> {
  readonly #clock: Clock;
  readonly #flush: (items: T[]) => void;
  readonly #limits: BatchLimits;
  #items: T[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(clock: Clock, flush: (items: T[]) => void, limits: BatchLimits) {
    this.#clock = clock;
    this.#flush = flush;
    this.#limits = limits;
  }

  /** Adds an item of about `bytes` bytes; order is kept, no batch exceeds the limits but by one item alone. */
  push(item: T, bytes = 0): void {
    if (this.#bytes + bytes > this.#limits.bytesMax) this.flush();
    this.#items.push(item);
    this.#bytes += bytes;
    if (this.#items.length >= this.#limits.itemsMax) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#clock.soon(() => {
        this.#isScheduled = false;
        this.flush();
      });
    }
  }

  /** Sends what waits now. */
  flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.clear();
    this.#flush(items);
  }

  /** Forgets what waits: its stream is gone. */
  clear(): void {
    this.#items = [];
    this.#bytes = 0;
  }
}
