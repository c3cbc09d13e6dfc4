/**
 * One end of a simulated TCP connection, in the form of Node's: bytes in order and without loss, an end,
 * a reset. Invariant: what a socket emits is a step of the life that owns it, and nothing follows 'close'.
 */
import { EventEmitter } from 'node:events';
import type { Timer } from '../common/clock.ts';
import type { StreamSocket } from '../rpc/network.ts';
import type { Life } from './life.ts';
import type { Pipe } from './pipe.ts';
import { EVENT, type Scheduler } from './scheduler.ts';

/** Bytes that the kernels at both ends take; what is above waits in the process that sends. */
const WINDOW_BYTES = 1024 * 1024;

export interface Segment {
  readonly kind: 'connect' | 'data' | 'end' | 'reset';
  readonly parts: readonly Uint8Array[];
  readonly sizeBytes: number;
}

export const signal = (kind: Segment['kind']): Segment => ({ kind, parts: [], sizeBytes: 0 });

export interface SocketParts {
  readonly scheduler: Scheduler;
  readonly life: Life;
  readonly remote: { readonly address: string; readonly port: number };
}

export class SimSocket extends EventEmitter implements StreamSocket {
  readonly life: Life;
  readonly remoteAddress: string;
  readonly remotePort: number;
  destroyed = false;
  writableEnded = false;
  closed = false;
  readonly #scheduler: Scheduler;
  #out: Pipe | null = null;
  #corked: Uint8Array[] | null = null;
  /** Sent and not taken by the process at the other end. */
  #unreadBytes = 0;
  #waiting: (() => void)[] = [];
  #hasHeardEnd = false;
  #idle: { readonly timeoutMs: number; readonly fn: () => void; timer: Timer } | null = null;
  #activeMs = 0;

  constructor({ scheduler, life, remote }: SocketParts) {
    super();
    this.life = life;
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
    this.#scheduler = scheduler;
  }

  /** The way to the other end. */
  attach(out: Pipe): void {
    this.#out = out;
  }

  write(bytes: Uint8Array, written?: () => void): boolean {
    if (this.destroyed || this.writableEnded || this.life.isOver) return false;
    this.#activeMs = this.#scheduler.nowMs;
    this.#unreadBytes += bytes.length;
    if (this.#corked !== null) this.#corked.push(bytes);
    else this.#send([bytes], bytes.length);
    const isTaken = this.#unreadBytes <= WINDOW_BYTES;
    if (written !== undefined) {
      if (isTaken) queueMicrotask(written);
      else this.#waiting.push(written);
    }
    return isTaken;
  }

  cork(): void {
    this.#corked ??= [];
  }

  uncork(): void {
    const parts = this.#corked ?? [];
    this.#corked = null;
    if (parts.length > 0)
      this.#send(
        parts,
        parts.reduce((sum, { length }) => sum + length, 0),
      );
  }

  end(): this {
    if (this.destroyed || this.writableEnded) return this;
    this.writableEnded = true;
    this.#out?.send(signal('end'));
    if (this.#hasHeardEnd) this.#closeSoon();
    return this;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    if (!this.writableEnded) this.#out?.send(signal('end'));
    this.#closeSoon();
    return this;
  }

  resume(): this {
    return this;
  }

  setTimeout(timeoutMs: number, idle?: () => void): this {
    this.#idle?.timer.cancel();
    this.#idle = null;
    if (timeoutMs > 0 && idle !== undefined) {
      this.#activeMs = this.#scheduler.nowMs;
      this.#watch(timeoutMs, idle);
    }
    return this;
  }

  /** The other end has taken so many bytes. */
  taken(sizeBytes: number): void {
    this.#unreadBytes -= sizeBytes;
    if (this.#waiting.length === 0 || this.#unreadBytes > WINDOW_BYTES) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#scheduler.schedule(0, this.life, EVENT.network, () => {
      for (const written of waiting) written();
    });
  }

  /** A segment has arrived; a step of this socket's life. */
  receive(segment: Segment): void {
    switch (segment.kind) {
      case 'connect':
        return;
      case 'data':
        this.#hear(segment);
        return;
      case 'end':
        this.#hearEnd();
        return;
      case 'reset':
        this.reset();
    }
  }

  reset(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('error', new Error('ECONNRESET: the connection was reset'));
    this.#closeSoon();
  }

  /** Resets it in a step of its own life. */
  resetSoon(): void {
    this.#scheduler.schedule(0, this.life, EVENT.network, () => this.reset());
  }

  #hear({ parts }: Segment): void {
    this.#activeMs = this.#scheduler.nowMs;
    for (const part of parts) {
      if (this.destroyed) return;
      this.emit('data', bufferOf(part));
    }
  }

  #hearEnd(): void {
    if (this.destroyed || this.#hasHeardEnd) return;
    this.#hasHeardEnd = true;
    this.emit('end');
    // As Node does unless it is told otherwise.
    if (!this.writableEnded) this.end();
    else this.#closeSoon();
  }

  #send(parts: readonly Uint8Array[], sizeBytes: number): void {
    for (const part of parts) this.#scheduler.trace.bytes(part);
    this.#out?.send({ kind: 'data', parts, sizeBytes });
  }

  #closeSoon(): void {
    this.destroyed = true;
    this.#idle?.timer.cancel();
    this.#scheduler.schedule(0, this.life, EVENT.network, () => {
      if (this.closed) return;
      this.closed = true;
      this.#out?.closed();
      this.emit('close');
    });
  }

  #watch(timeoutMs: number, fn: () => void): void {
    // An instant and not a difference: (since + timeout) - since may be less than the timeout for ever.
    const atMs = this.#activeMs + timeoutMs;
    const leftMs = Math.max(0, atMs - this.#scheduler.nowMs);
    const timer = this.#scheduler.schedule(leftMs, this.life, EVENT.timer, () => {
      this.#idle = null;
      if (this.#scheduler.nowMs >= this.#activeMs + timeoutMs) fn();
      else this.#watch(timeoutMs, fn);
    });
    this.#idle = { timeoutMs, fn, timer };
  }
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
