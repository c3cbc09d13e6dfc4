/**
 * One end of an open stream, the same for the dialling and the accepting side: counts the bytes that
 * wait, signals above the high-water mark and again below half of it, cuts off at the hard limit.
 * Invariant: `onClosed` is called once, and nothing is delivered after it.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { type OnOpen, type Outgoing, type Parts, RPC_LIMITS, type StreamEvents } from './types.ts';

/** The transport below; whatever ends it, `StreamEnd.closed` must be called in the end. */
export interface Wire {
  /** host:port of the other end. */
  readonly remote: string;
  /** `written` once the bytes, all parts of a message, have left this process. */
  write(parts: Parts, byteCount: number, written: () => void): void;
  /** Ends the stream behind what is queued. */
  finish(reason: KvError | undefined): void;
  /** Ends it now; what is queued is lost. */
  cut(): void;
}

export interface StreamCodec<Out, In> {
  readonly encode: (message: Out) => Parts;
  readonly decode: (bytes: Buffer) => In;
}

export class StreamEnd<Out, In> implements Outgoing<Out> {
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #codec: StreamCodec<Out, In>;
  #events: StreamEvents<In> | null = null;
  #queuedBytes = 0;
  #isWaitingForDrain = false;
  #isEnding = false;
  #isClosed = false;
  /** Why this end gave up; wins over what the transport says afterwards. */
  #ownReason: KvError | null = null;
  #cutTimer: Timer | null = null;

  constructor(clock: Clock, wire: Wire, codec: StreamCodec<Out, In>) {
    this.#clock = clock;
    this.#wire = wire;
    this.#codec = codec;
  }

  get remote(): string {
    return this.#wire.remote;
  }

  /** Hands the stream to its user; call before the first message is read. */
  open(onOpen: OnOpen<Out, In>): void {
    this.#events = onOpen(this);
  }

  send(message: Out): boolean {
    if (this.#isEnding || this.#isClosed) return false;
    const parts = this.#codec.encode(message);
    let byteCount = 0;
    for (const part of parts) byteCount += part.length;
    if (byteCount > RPC_LIMITS.messageBytesMax) {
      throw new KvError('TOO_LARGE', `a message of ${byteCount} bytes exceeds the wire's limit`);
    }
    if (this.#queuedBytes + byteCount > RPC_LIMITS.queuedBytesMax) {
      this.#isEnding = true;
      this.#ownReason = new KvError('OVERLOADED', `${this.remote} does not read; it was cut off`);
      this.#wire.cut();
      return false;
    }
    this.#queuedBytes += byteCount;
    this.#wire.write(parts, byteCount, () => this.#written(byteCount));
    if (this.#queuedBytes <= RPC_LIMITS.queuedBytesHigh) return true;
    this.#isWaitingForDrain = true;
    return false;
  }

  close(reason?: KvError): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#ownReason = reason ?? null;
    // A peer that neither reads nor leaves must not hold the stream open.
    this.#cutTimer = this.#clock.after(RPC_LIMITS.closeGraceMs, () => this.#wire.cut());
    this.#wire.finish(reason);
  }

  /** The transport has a message. */
  received(bytes: Buffer): void {
    if (this.#isClosed || this.#ownReason !== null) return;
    let message: In;
    try {
      message = this.#codec.decode(bytes);
    } catch (thrown) {
      const cause = asError(thrown);
      this.close(new KvError('INVALID_ARGUMENT', 'a message cannot be decoded', { cause }));
      return;
    }
    try {
      this.#events?.onMessage(message);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.close(error);
    }
  }

  /** The transport has ended; only the first call counts. */
  closed(reason: KvError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cutTimer?.cancel();
    this.#events?.onClosed(this.#ownReason ?? reason);
  }

  #written(byteCount: number): void {
    this.#queuedBytes -= byteCount;
    if (!this.#isWaitingForDrain || this.#isClosed) return;
    if (this.#queuedBytes > RPC_LIMITS.queuedBytesHigh / 2) return;
    this.#isWaitingForDrain = false;
    this.#events?.onDrain?.();
  }
}
