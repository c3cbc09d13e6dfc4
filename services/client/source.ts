/**
 * Where the bytes of a request come from. A source of ours that fails is no fault of the connection:
 * asking again would only fail again, and the request never reached its end, so nothing was applied.
 */
import { Readable } from 'node:stream';
import { asError, KvError } from '../common/errors.ts';
import type { Failure } from './retry.ts';

type Bytes = Uint8Array | AsyncIterable<Uint8Array> | null;

export class Source {
  /** What is sent. */
  readonly body: Uint8Array | Readable | null;
  #fault: Error | null = null;

  constructor(bytes: Bytes) {
    this.body =
      bytes === null || bytes instanceof Uint8Array ? bytes : Readable.from(this.#watched(bytes));
  }

  /** Why a request failed, where that is for its source; null where it is not. */
  failure(thrown: unknown): Failure | null {
    const cause = this.#fault ?? (isOtherLength(thrown) ? asError(thrown) : null);
    if (cause === null) return null;
    const error = new KvError('INVALID_ARGUMENT', sentenceOf(cause), { cause });
    return { error, outcome: 'not_applied', retryable: false, retryAfterMs: 0 };
  }

  /** By hand: a broken connection throws into the loop as well, and only what `next` throws is ours. */
  async *#watched(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const pieces = bytes[Symbol.asyncIterator]();
    const next = (): Promise<IteratorResult<Uint8Array>> =>
      pieces.next().catch((error: unknown) => {
        this.#fault = asError(error);
        throw error;
      });
    try {
      for (let piece = await next(); piece.done !== true; piece = await next()) yield piece.value;
    } finally {
      await pieces.return?.();
    }
  }
}

const isOtherLength = (thrown: unknown): boolean =>
  systemCode(thrown) === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH';

const sentenceOf = (cause: Error): string =>
  isOtherLength(cause)
    ? 'what was to be sent has another size than was said: it changed while it was read'
    : `what was to be sent cannot be read: ${cause.message}`;

/** The name of a system fault; empty where it has none. */
export function systemCode(thrown: unknown): string {
  const named = typeof thrown === 'object' && thrown !== null && 'code' in thrown;
  return named ? String(thrown.code) : '';
}
