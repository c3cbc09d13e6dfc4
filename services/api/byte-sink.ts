/**
 * Sends a body with back-pressure: no piece is asked for while too much of those before waits for the socket,
 * so the memory of a transfer has a bound whatever its size and however slow the reader.
 */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';

/** Bytes of one transfer that may wait for the socket before the next piece is asked for. */
const WAITING_BYTES_MAX = MIB;

/** The part of a response that sending needs. */
export interface ByteSink {
  readonly destroyed: boolean;
  /** Bytes that wait for the socket. */
  readonly writableLength: number;
  /** A `drain` follows once nothing waits any more. */
  readonly writableNeedDrain: boolean;
  write(bytes: Uint8Array): boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

export interface SendOptions {
  readonly clock: Clock;
  /** How long the reader may take for what waits. */
  readonly stallMs: number;
  /** Called once, before the first byte: where the first piece fails, nothing was said yet. */
  readonly begin: () => void;
}

/**
 * Writes all pieces; answers the bytes written once the socket has them. Does not end the sink.
 * @throws KvError `CLIENT_CLOSED` when the reader goes or stalls; whatever the body throws.
 */
export async function sendPieces(
  sink: ByteSink,
  pieces: AsyncIterable<Uint8Array>,
  options: SendOptions,
): Promise<number> {
  let sentBytes = 0;
  let hasBegun = false;
  for await (const piece of pieces) {
    if (sink.destroyed) throw clientClosed();
    if (!hasBegun) options.begin();
    hasBegun = true;
    sentBytes += piece.length;
    sink.write(piece);
    if (sink.writableLength >= WAITING_BYTES_MAX) await drained(sink, options);
  }
  if (!hasBegun) options.begin();
  if (sink.writableNeedDrain) await drained(sink, options);
  return sentBytes;
}

function drained(sink: ByteSink, limits: SendOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: KvError | null): void => {
      timer.cancel();
      sink.off('drain', onDrain);
      sink.off('close', onClose);
      if (error === null) resolve();
      else reject(error);
    };
    const onDrain = (): void => settle(null);
    const onClose = (): void => settle(clientClosed());
    const timer = limits.clock.after(limits.stallMs, () =>
      settle(new KvError('CLIENT_CLOSED', 'the client stopped reading')),
    );
    sink.once('drain', onDrain);
    sink.once('close', onClose);
  });
}

const clientClosed = (): KvError => new KvError('CLIENT_CLOSED', 'the client has gone');
