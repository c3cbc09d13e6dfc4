/**
 * Keys to look at, with the semantics of client-go: a key waits at most once, is worked on by one worker
 * at a time, and one that is added while it is worked on comes again afterwards. Keys carry nothing else,
 * so ten changes in a row cost one look.
 *
 *     add -> dirty, waiting -> take -> processing -> done -> (waiting again if dirty)
 */
import type { Clock, Timer } from '../../services/common/clock.ts';
import type { Random } from '../../services/common/random.ts';
import { MINUTE_MS, SECOND_MS } from '../../services/common/units.ts';
import type { QueueMetrics } from './metrics.ts';

export interface WorkQueueComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: QueueMetrics;
}

const RETRY_MS = { min: 5, max: 5 * MINUTE_MS };
/** All retries together: ten a second, a hundred at once. */
const RETRIES_PER_SECOND = 10;
const RETRY_BURST = 100;

export class WorkQueue {
  readonly #parts: WorkQueueComponents;
  readonly #dirty = new Set<string>();
  readonly #processing = new Set<string>();
  /** Keys that wait, oldest first, and since when. */
  readonly #waiting = new Map<string, number>();
  readonly #delayed = new Map<string, { readonly atMs: number; readonly timer: Timer }>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | null) => void)[] = [];
  readonly #bucket: { tokens: number; atMs: number };
  #isClosed = false;

  constructor(parts: WorkQueueComponents) {
    this.#parts = parts;
    this.#bucket = { tokens: RETRY_BURST, atMs: parts.clock.monotonicMs() };
  }

  /** Keys that wait to be taken. */
  get depth(): number {
    return this.#waiting.size;
  }

  /** To be looked at as soon as a worker is free; an earlier `addAfter` of the key still stands. */
  add(key: string): void {
    if (this.#isClosed || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    if (!this.#processing.has(key)) this.#wait(key);
  }

  /** To be looked at after `delayMs`, or earlier if it was so said before. */
  addAfter(key: string, delayMs: number): void {
    if (this.#isClosed) return;
    const atMs = this.#parts.clock.monotonicMs() + delayMs;
    const planned = this.#delayed.get(key);
    if (planned !== undefined && planned.atMs <= atMs) return;
    planned?.timer.cancel();
    const timer = this.#parts.clock.after(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { atMs, timer });
  }

  /** To be looked at again after a failure: later each time, and not faster than all may together. */
  retry(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#parts.metrics.retries.add();
    const ceilingMs = Math.min(RETRY_MS.max, RETRY_MS.min * 2 ** Math.min(failures, 30));
    const ownMs = ceilingMs / 2 + this.#parts.random.below(Math.ceil(ceilingMs / 2));
    this.addAfter(key, Math.max(ownMs, this.#reserve()));
  }

  /** The key is well: its next failure is its first. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, or null once the queue is closed. To be followed by `done`. */
  async take(): Promise<string | null> {
    if (this.#isClosed) return null;
    const [next] = this.#waiting;
    if (next === undefined) return new Promise((resolve) => this.#takers.push(resolve));
    const [key, sinceMs] = next;
    this.#waiting.delete(key);
    this.#begin(key, sinceMs);
    return key;
  }

  /** The worker has ended with a key that it took. */
  done(key: string): void {
    this.#processing.delete(key);
    if (this.#dirty.has(key)) this.#wait(key);
  }

  /** Nothing is taken or added any more; workers that wait get null. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    for (const taker of this.#takers.splice(0)) taker(null);
  }

  #wait(key: string): void {
    const nowMs = this.#parts.clock.monotonicMs();
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#waiting.set(key, nowMs);
      return;
    }
    this.#begin(key, nowMs);
    taker(key);
  }

  #begin(key: string, sinceMs: number): void {
    this.#dirty.delete(key);
    this.#processing.add(key);
    const waitedMs = this.#parts.clock.monotonicMs() - sinceMs;
    this.#parts.metrics.waits.observe(waitedMs / SECOND_MS);
  }

  /** Takes a token of the common bucket; answers how long until it is there. */
  #reserve(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    const gained = ((nowMs - this.#bucket.atMs) / SECOND_MS) * RETRIES_PER_SECOND;
    this.#bucket.tokens = Math.min(RETRY_BURST, this.#bucket.tokens + gained) - 1;
    this.#bucket.atMs = nowMs;
    return Math.max(0, (-this.#bucket.tokens / RETRIES_PER_SECOND) * SECOND_MS);
  }
}
