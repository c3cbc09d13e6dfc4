/**
 * A clock that stands until a test turns it. `soon` calls wait in their own queue and run first;
 * timers run in the order of their due times, ties in the order of their making.
 */
import type { Clock, Timer } from '../common/clock.ts';

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly fn: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #soon: (() => void)[] = [];
  readonly #due = new Set<Due>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, fn: () => void): Timer {
    this.#order += 1;
    const due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, fn };
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }

  soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  /** Runs what `soon` has collected, and what that collects, letting promises settle in between. */
  async flush(): Promise<void> {
    for (let turns = 0; turns < 10_000; turns += 1) {
      await settle();
      const batch = this.#soon;
      if (batch.length === 0) return;
      this.#soon = [];
      for (const fn of batch) fn();
    }
    throw new Error('the soon queue never empties');
  }

  /** Moves time forward, running each timer at its own time. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.flush();
    for (let next = this.#earliest(endMs); next !== null; next = this.#earliest(endMs)) {
      this.#due.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fn();
      await this.flush();
    }
    this.#nowMs = endMs;
    await this.flush();
  }

  /** Time passes and nothing runs, as while the event loop is stalled: timers that are due come late. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  #earliest(limitMs: number): Due | null {
    let best: Due | null = null;
    for (const due of this.#due) {
      if (due.atMs > limitMs) continue;
      const earlier = best === null || due.atMs < best.atMs;
      if (earlier || (best !== null && due.atMs === best.atMs && due.order < best.order))
        best = due;
    }
    return best;
  }
}

/** Lets all promises that can settle do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}
