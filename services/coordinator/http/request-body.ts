/**
 * A request body as pieces, with back-pressure on the socket: at most one queue of bytes waits for the
 * reader. A client that stays below the minimum rate while it is waited for gets 408; a piece that never
 * comes because the client has gone is an error, never a clean end.
 */
import type { IncomingMessage } from 'node:http';
import { type Clock, nextTurn, type Timer } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import { BODY_QUEUE_BYTES } from './limits.ts';

export interface BodyLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly progressBytes: number;
}

type Step = IteratorResult<Uint8Array, undefined>;

const END: Step = { value: undefined, done: true };
const NOTHING = new Uint8Array(0);

export class RequestBody implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #req: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #start: () => void;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #started = false;
  #ended = false;
  #error: KvError | null = null;
  #waiting: { resolve: (step: Step) => void; reject: (error: Error) => void } | null = null;
  #receivedBytes = 0;
  /** Bytes at which the clock of the waiting starts anew, and what is left on it. */
  #nextMark: number;
  #leftMs: number;
  #timer: Timer | null = null;
  #waitStartedMs = 0;

  /** `start` runs before the first byte is asked for: the place of `100 Continue`. */
  constructor(req: IncomingMessage, limits: BodyLimits, start: () => void) {
    this.#req = req;
    this.#limits = limits;
    this.#start = start;
    this.#nextMark = limits.progressBytes;
    this.#leftMs = limits.timeoutMs;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * The whole body where all of it came with the headers, as that of a small value does; null: it has to
   * be read in pieces, which needs much more. Known once the turn is over in which the headers came.
   */
  async atHand(): Promise<Uint8Array | null> {
    if (!this.#req.complete) await nextTurn(this.#limits.clock);
    if (this.#started || this.#error !== null || !this.#req.complete) return null;
    this.#started = true;
    this.#ended = true;
    this.#start();
    const whole: unknown = this.#req.read();
    const bytes = whole instanceof Uint8Array ? whole : NOTHING;
    this.#receivedBytes = bytes.length;
    return bytes;
  }

  next(): Promise<Step> {
    if (!this.#started) this.#begin();
    const piece = this.#queue.shift();
    if (piece !== undefined) {
      this.#queuedBytes -= piece.length;
      if (this.#req.isPaused() && this.#queuedBytes < BODY_QUEUE_BYTES / 2) this.#req.resume();
      return Promise.resolve({ value: piece, done: false });
    }
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(END);
    return this.#wait();
  }

  /** The reader wants no more; what still comes is left to whoever ends the exchange. */
  return(): Promise<Step> {
    this.fail(new KvError('CLIENT_CLOSED', 'the body is no longer read'));
    this.#queue = [];
    return Promise.resolve(END);
  }

  /** Ends the reading with `error`, at once for a reader that waits. */
  fail(error: KvError): void {
    if (this.#ended || this.#error !== null) return;
    this.#error = error;
    this.#stopWaiting()?.reject(error);
    this.#req.off('data', this.#onData);
    if (this.#started) this.#req.pause();
  }

  #begin(): void {
    this.#started = true;
    this.#start();
    // Node ends a request that has no body before anybody can listen.
    this.#ended = this.#req.readableEnded;
    if (this.#ended) return;
    this.#req.on('data', this.#onData);
    this.#req.once('end', this.#onEnd);
    this.#req.once('error', this.#onGone);
    this.#req.once('close', this.#onGone);
  }

  readonly #onData = (piece: Uint8Array): void => {
    this.#receivedBytes += piece.length;
    if (this.#receivedBytes >= this.#nextMark) {
      this.#nextMark = this.#receivedBytes + this.#limits.progressBytes;
      this.#leftMs = this.#limits.timeoutMs;
    }
    const waiting = this.#stopWaiting();
    if (waiting !== null) {
      waiting.resolve({ value: piece, done: false });
      return;
    }
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
    if (this.#queuedBytes >= BODY_QUEUE_BYTES) this.#req.pause();
  };

  readonly #onEnd = (): void => {
    if (!this.#req.complete) {
      this.#onGone();
      return;
    }
    this.#ended = true;
    this.#stopWaiting()?.resolve(END);
  };

  readonly #onGone = (): void => {
    // Every request closes; an error object is made only for one that closed too early.
    if (this.#ended || this.#error !== null) return;
    this.fail(new KvError('CLIENT_CLOSED', 'the client went away before the body was complete'));
  };

  #wait(): Promise<Step> {
    const { clock } = this.#limits;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#waitStartedMs = clock.monotonicMs();
      this.#timer = clock.after(this.#leftMs, () =>
        this.fail(new KvError('REQUEST_TIMEOUT', 'the body did not arrive in time')),
      );
    });
  }

  #stopWaiting(): { resolve: (step: Step) => void; reject: (error: Error) => void } | null {
    const waiting = this.#waiting;
    if (waiting === null) return null;
    this.#waiting = null;
    this.#timer?.cancel();
    const waitedMs = this.#limits.clock.monotonicMs() - this.#waitStartedMs;
    this.#leftMs = Math.max(1, this.#leftMs - waitedMs);
    return waiting;
  }
}
