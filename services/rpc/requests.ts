/**
 * Requests on a multiplexed stream that wait for their replies. Ids are unique while unanswered.
 * Deadlines are looked at by one shared timer, so that a request costs a map entry and no timer.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { InFlight } from '../common/in-flight.ts';

export interface PendingRequestsOptions {
  /** Requests that may wait at once; more are refused as `OVERLOADED`. */
  readonly requestsMax: number;
  /** A deadline is noticed at most this much late. */
  readonly sweepMs: number;
  /** Called once requests have failed by their deadlines: what is kept for them may go. */
  readonly onExpired?: () => void;
}

export interface OpenRequest<Reply> {
  readonly requestId: number;
  readonly reply: Promise<Reply>;
}

/** Whoever waits for a reply; one of the two is called, once. */
export interface Asker<Reply> {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

interface Waiting<Reply> {
  readonly deadlineMs: number;
  readonly asker: Asker<Reply>;
}

const ID_LIMIT = 2 ** 32;

export class PendingRequests<Reply> {
  readonly #clock: Clock;
  readonly #options: PendingRequestsOptions;
  readonly #waiting = new InFlight<number, Waiting<Reply>>();
  #lastId = 0;
  #sweep: Timer | null = null;

  constructor(clock: Clock, options: PendingRequestsOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether somebody waits for the reply. */
  has(requestId: number): boolean {
    return this.#waiting.has(requestId);
  }

  /**
   * An id to send with (1 and up, 32 bits) and the reply to wait for. The promise rejects with
   * `DEADLINE_EXCEEDED` after `timeoutMs`. @throws KvError `OVERLOADED` when too many wait.
   */
  open(timeoutMs: number): OpenRequest<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    return { requestId: this.add({ resolve, reject }, timeoutMs), reply: promise };
  }

  /** Likewise without a promise: the id to send with. @throws KvError `OVERLOADED`. */
  add(asker: Asker<Reply>, timeoutMs: number): number {
    if (this.#waiting.size >= this.#options.requestsMax) {
      throw new KvError('OVERLOADED', 'too many requests wait for an answer of this peer');
    }
    const requestId = this.#freeId();
    this.#waiting.set(requestId, { deadlineMs: this.#clock.monotonicMs() + timeoutMs, asker });
    this.#sweepLater();
    return requestId;
  }

  /** False where nobody waits (any more) for this id: a late or unknown reply. */
  resolve(requestId: number, reply: Reply): boolean {
    const waiting = this.#waiting.take(requestId);
    waiting?.asker.resolve(reply);
    return waiting !== undefined;
  }

  reject(requestId: number, error: Error): boolean {
    const waiting = this.#waiting.take(requestId);
    waiting?.asker.reject(error);
    return waiting !== undefined;
  }

  /** The stream is gone: everyone who waits is told. */
  failAll(error: Error): void {
    const all = this.#waiting.drain();
    this.#sweep?.cancel();
    this.#sweep = null;
    for (const { asker } of all) asker.reject(error);
  }

  #freeId(): number {
    do {
      this.#lastId = (this.#lastId + 1) % ID_LIMIT;
    } while (this.#lastId === 0 || this.#waiting.has(this.#lastId));
    return this.#lastId;
  }

  #sweepLater(): void {
    if (this.#sweep !== null) return;
    this.#sweep = this.#clock.after(this.#options.sweepMs, () => {
      this.#sweep = null;
      this.#failExpired();
      if (this.#waiting.size > 0) this.#sweepLater();
    });
  }

  #failExpired(): void {
    const nowMs = this.#clock.monotonicMs();
    let hasExpired = false;
    for (const [requestId, waiting] of this.#waiting.entries()) {
      if (waiting.deadlineMs > nowMs || this.#waiting.take(requestId) === undefined) continue;
      hasExpired = true;
      waiting.asker.reject(new KvError('DEADLINE_EXCEEDED', 'the peer did not answer in time'));
    }
    if (hasExpired) this.#options.onExpired?.();
  }
}
