/**
 * Reads a request body under its promises: never more than the limit, exactly the declared length.
 * Whoever cancels ends the wait at once; the source is told to stop.
 */
import { concatBytes } from '../common/bytes.ts';
import { type Clock, withDeadline } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';

export interface LengthPromises {
  /** null: not promised. */
  readonly declaredBytes: number | null;
  readonly maxBytes: number;
}

export interface BodyPromises extends LengthPromises {
  readonly body: AsyncIterable<Uint8Array>;
}

/** How long a source may take for its next piece; however small, it begins the wait anew. */
export interface BodyPatience {
  readonly clock: Clock;
  readonly pieceTimeoutMs: number;
}

export class BodyReader {
  readonly #promises: BodyPromises;
  readonly #patience: BodyPatience;
  readonly #iterator: AsyncIterator<Uint8Array>;
  #bytes = 0;
  #hasEnded = false;
  #cancelled: Error | null = null;
  #onCancel: (error: Error) => void = () => undefined;
  /** Read beyond what was asked for. */
  #rest: Uint8Array | null = null;

  constructor(promises: BodyPromises, patience: BodyPatience) {
    this.#promises = promises;
    this.#patience = patience;
    this.#iterator = promises.body[Symbol.asyncIterator]();
  }

  /**
   * The next `bytes` bytes, fewer at the end, none after it.
   * @throws KvError `TOO_LARGE`, `INVALID_ARGUMENT` (another length than declared), the reason of
   * `cancel`, `REQUEST_TIMEOUT` when no piece comes in time, or `CLIENT_CLOSED` when the source breaks.
   */
  async take(bytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let missing = bytes;
    while (missing > 0) {
      const piece = this.#rest ?? (await this.#next());
      if (piece === null) break;
      const part = piece.subarray(0, missing);
      this.#rest = piece.length > missing ? piece.subarray(missing) : null;
      parts.push(part);
      missing -= part.length;
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : concatBytes(parts);
  }

  /** Ends the present and every later `take` with `reason`. */
  cancel(reason: Error): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = reason;
    this.#onCancel(reason);
    this.#iterator.return?.().then(undefined, () => undefined);
  }

  async #next(): Promise<Uint8Array | null> {
    const promises = this.#promises;
    if (this.#hasEnded) return null;
    const result = await this.#pull();
    if (result.done === true) {
      this.#hasEnded = true;
      checkLength(promises, this.#bytes);
      return null;
    }
    this.#bytes += result.value.length;
    checkLimit(promises.maxBytes, this.#bytes);
    if (promises.declaredBytes !== null && this.#bytes > promises.declaredBytes) {
      checkLength(promises, this.#bytes);
    }
    return result.value;
  }

  #pull(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#cancelled !== null) {
        reject(this.#cancelled);
        return;
      }
      this.#onCancel = reject;
      const { clock, pieceTimeoutMs } = this.#patience;
      const piece = withDeadline(clock, this.#iterator.next(), pieceTimeoutMs, notInTime);
      piece.then(resolve, (error: unknown) => {
        const cause = asError(error);
        reject(
          cause instanceof KvError
            ? cause
            : new KvError('CLIENT_CLOSED', 'the body broke off', { cause }),
        );
      });
    });
  }
}

/** The length of a body that is whole. @throws KvError `TOO_LARGE`, `INVALID_ARGUMENT`. */
export function checkLength({ declaredBytes, maxBytes }: LengthPromises, bytes: number): void {
  checkLimit(maxBytes, bytes);
  if (declaredBytes === null || bytes === declaredBytes) return;
  throw new KvError('INVALID_ARGUMENT', 'the body is not as long as it was declared to be', {
    detail: { declaredBytes, receivedBytes: bytes },
  });
}

/** @throws KvError `TOO_LARGE`. */
export function checkLimit(maxBytes: number, bytes: number): void {
  if (bytes <= maxBytes) return;
  throw new KvError('TOO_LARGE', `a value may have at most ${maxBytes} bytes`, {
    detail: { maxBytes },
  });
}

const notInTime = (): KvError => new KvError('REQUEST_TIMEOUT', 'the value did not arrive in time');
