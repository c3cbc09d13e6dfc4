/**
 * When a request may be sent again. The table of errors decides: what was not applied and may yet
 * succeed is repeated at the next coordinator; what may have been applied is repeated only where a
 * repetition cannot apply it twice (a read, or a write under an Idempotency-Key).
 */
import { Backoff } from '../common/backoff.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { KvError, type Outcome } from '../common/errors.ts';
import type { Random } from '../common/random.ts';

export interface Failure {
  readonly error: KvError;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  /** What the server asked us to wait; 0: nothing said. */
  readonly retryAfterMs: number;
}

export type Attempted<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** `repeatable`: doing it twice is the same as doing it once. */
export function mayRepeat(failure: Failure, repeatable: boolean): boolean {
  if (!failure.retryable) return false;
  return failure.outcome === 'not_applied' || (failure.outcome === 'unknown' && repeatable);
}

export interface RetryOptions {
  /** Base URLs, at least one; the one that answered last is asked first. */
  readonly urls: readonly URL[];
  /** After this long no further attempt starts. */
  readonly deadlineMs: number;
}

const BACKOFF = { minMs: 20, maxMs: 1000 };
/** A server may ask for patience, not for a client that hangs. */
const RETRY_AFTER_MAX_MS = 2000;

export class Retrier {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: RetryOptions;
  #preferred = 0;

  constructor(parts: { readonly clock: Clock; readonly random: Random }, options: RetryOptions) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#options = options;
  }

  /** Asks one coordinator after another until one answers. @throws KvError of the last attempt. */
  async run<T>(
    repeatable: boolean,
    attempt: (url: URL) => Promise<Attempted<T>>,
    signal?: AbortSignal,
  ): Promise<T> {
    const { urls, deadlineMs } = this.#options;
    const endMs = this.#clock.monotonicMs() + deadlineMs;
    const backoff = new Backoff(this.#random, BACKOFF);
    for (let tried = 1; ; tried += 1) {
      const place = this.#preferred % urls.length;
      const url = urls[place];
      if (url === undefined) throw new KvError('INVALID_ARGUMENT', 'no coordinator is named');
      const result = await attempt(url);
      if (result.kind === 'done') return result.value;
      if (this.#preferred === place) this.#preferred = (place + 1) % urls.length;
      const { failure } = result;
      if (!mayRepeat(failure, repeatable)) throw failure.error;
      // The first round over all coordinators does not wait: another one may well be at hand.
      const asked = Math.min(failure.retryAfterMs, RETRY_AFTER_MAX_MS);
      const delayMs = tried < urls.length ? 0 : Math.max(asked, backoff.next());
      if (this.#clock.monotonicMs() + delayMs >= endMs) throw failure.error;
      if (delayMs > 0) await sleep(this.#clock, delayMs, signal);
      signal?.throwIfAborted();
    }
  }
}
