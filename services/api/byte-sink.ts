/**
 * Sends a body with back-pressure: one piece is asked for only when the one before has gone into the
 * socket, so the memory of a transfer is one piece whatever its size and however slow the reader.
 */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';

/** The part of a response that sending needs. */
export interface ByteSink {
  readonly destroyed: boolean;
  /** False: wait for `drain` before the next one. */
  write(bytes: Uint8Array): boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

/** How long the reader may take for one piece. */
export interface SendLimits {
  readonly clock: Clock;
  readonly stallMs: number;
}

/**
 * Writes all pieces; answers the bytes written. Does not end the sink.
 * @throws KvError `CLIENT_CLOSED` when the reader goes or stalls; whatever the body throws.
 */
export async function sendPieces(
  sink: ByteSink,
  pieces: AsyncIterable<Uint8Array>,
  limits: SendLimits,
): Promise<number> {
  let sentBytes = 0;
  for await (const piece of pieces) {
    if (sink.destroyed) throw clientClosed();
    sentBytes += piece.length;
    if (!sink.write(piece)) await drained(sink, limits);
  }
  return sentBytes;
}

function drained(sink: ByteSink, limits: SendLimits): Promise<void> {
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
