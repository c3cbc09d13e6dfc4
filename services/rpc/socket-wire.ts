/**
 * A stream on a TCP connection of its own, the same at both ends: frames out, frames in, and a ping each
 * second so that a peer which fell silent is noticed. Invariant: `ended` is called once, nothing after it.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import {
  decodeFailure,
  encodeFailure,
  FRAME,
  type FrameKind,
  FrameReader,
  frameOf,
  headerOf,
} from './frames.ts';
import type { StreamSocket } from './network.ts';
import type { Wire } from './stream-end.ts';
import { type Parts, RPC_LIMITS } from './types.ts';

/** Up to here a copy is cheaper than a second buffer in the write. */
const COPIED_BYTES_MAX = 16 * 1024;
const NOTHING = new Uint8Array(0);

export interface WireEvents {
  /** The accepting end has taken the stream; at the dialling end only. */
  opened?(): void;
  message(payload: Buffer): void;
  ended(reason: KvError): void;
}

export class SocketWire implements Wire {
  readonly remote: string;
  readonly #socket: StreamSocket;
  readonly #clock: Clock;
  readonly #events: WireEvents;
  readonly #reader = new FrameReader((kind, payload) => this.#take(kind, payload));
  #isOver = false;
  #pulse: Timer | null = null;
  #heardMs: number;

  constructor(
    { clock, socket, remote }: { clock: Clock; socket: StreamSocket; remote: string },
    events: WireEvents,
  ) {
    this.remote = remote;
    this.#socket = socket;
    this.#clock = clock;
    this.#events = events;
    this.#heardMs = clock.monotonicMs();
    socket.on('data', (bytes: Buffer) => this.received(bytes));
    socket.on('error', (cause) => {
      this.#end(new KvError('UNAVAILABLE', `the connection to ${remote} failed`, { cause }));
    });
    // The end of what comes is the end of the stream, whatever still waits to leave.
    socket.on('end', () => this.#end(this.#left()));
    socket.on('close', () => this.#end(this.#left()));
    this.#beat();
  }

  /** Bytes that arrived. */
  received(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#heardMs = this.#clock.monotonicMs();
    try {
      this.#reader.push(bytes);
    } catch (thrown) {
      const error = asError(thrown);
      if (!(error instanceof KvError)) throw error;
      this.finish(error);
      this.#end(error);
    }
  }

  /** Says that the stream is taken. */
  accept(): void {
    this.#write(FRAME.open);
  }

  write(parts: Parts, byteCount: number, written: () => void): void {
    const [only] = parts;
    if (parts.length === 1 && only !== undefined && byteCount <= COPIED_BYTES_MAX) {
      this.#write(FRAME.message, only, written);
      return;
    }
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    socket.cork();
    socket.write(headerOf(FRAME.message, byteCount));
    const last = parts.at(-1);
    for (const part of parts) socket.write(part, part === last ? written : undefined);
    socket.uncork();
  }

  finish(reason: KvError | undefined): void {
    if (reason === undefined) this.#write(FRAME.end);
    else this.#write(FRAME.failure, encodeFailure(reason));
    this.#socket.end();
  }

  cut(): void {
    this.#socket.destroy();
  }

  #write(kind: FrameKind, payload: Uint8Array = NOTHING, written?: () => void): void {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(frameOf(kind, payload), written);
  }

  #take(kind: number, payload: Buffer): void {
    if (this.#isOver) return;
    switch (kind) {
      case FRAME.message:
        this.#events.message(payload);
        return;
      case FRAME.ping:
        this.#write(FRAME.pong);
        return;
      case FRAME.open:
        this.#events.opened?.();
        return;
      case FRAME.end:
        this.#socket.end();
        this.#end(this.#left());
        return;
      case FRAME.failure:
        this.#socket.end();
        this.#end(decodeFailure(payload));
        return;
      default:
        // A pong, or what a newer peer has to say besides.
        return;
    }
  }

  /** Once a second: whoever was silent is asked, whoever stays silent is given up. */
  #beat(): void {
    this.#pulse = this.#clock.after(RPC_LIMITS.keepaliveMs, () => {
      const silentMs = this.#clock.monotonicMs() - this.#heardMs;
      if (silentMs >= RPC_LIMITS.keepaliveMs + RPC_LIMITS.keepaliveTimeoutMs) {
        this.#end(new KvError('UNAVAILABLE', `${this.remote} has fallen silent`));
        this.cut();
        return;
      }
      if (silentMs >= RPC_LIMITS.keepaliveMs) this.#write(FRAME.ping);
      this.#beat();
    });
  }

  #left(): KvError {
    return new KvError('UNAVAILABLE', `${this.remote} ended the stream`);
  }

  #end(reason: KvError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pulse?.cancel();
    this.#events.ended(reason);
  }
}
