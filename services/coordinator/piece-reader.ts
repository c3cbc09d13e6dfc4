/** A large value, piece by piece: some are fetched ahead, and the memory of those is claimed until the end. */
import { type DigestStream, digestStream } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import type { ValueRecord } from '../metadata/records.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { CopyReader } from './copy-reader.ts';
import type { ByteRange } from './gateway.ts';
import { LIMITS } from './limits.ts';
import type { ReadMetrics } from './metrics.ts';

export interface PieceParts {
  readonly copies: CopyReader;
  readonly budget: ByteBudget;
  readonly metrics: ReadMetrics;
}

export class PieceReader {
  readonly #parts: PieceParts;
  readonly #end: number;
  readonly #giveBack: () => void;
  readonly #ahead: Promise<Uint8Array>[] = [];
  #next: number;

  /** @throws KvError `OVERLOADED` where its memory is not to be had. */
  constructor(parts: PieceParts, { offset, length }: ByteRange) {
    this.#parts = parts;
    this.#next = offset;
    this.#end = offset + length;
    this.#giveBack = parts.budget.take(LIMITS.piecesAheadMax * LIMITS.pieceBytes);
  }

  /**
   * The next piece; undefined: that was all. After an error, as after the last piece, comes `close`.
   * @throws what `CopyReader.read` throws.
   */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#next < this.#end && this.#ahead.length < LIMITS.piecesAheadMax) {
      const length = Math.min(LIMITS.pieceBytes, this.#end - this.#next);
      const piece = this.#parts.copies.read(this.#next, length);
      // A piece that fails while an earlier one is awaited is reported when its turn comes.
      piece.catch(() => undefined);
      this.#ahead.push(piece);
      this.#next += length;
    }
    const piece = await this.#ahead.shift();
    this.#parts.metrics.bytesRead.add(piece?.length ?? 0);
    return piece;
  }

  /** Gives the memory back; calling twice is harmless. */
  close(): void {
    this.#giveBack();
  }

  /**
   * All from `first` on. A piece is held back until the next one is there, so that the last one of a whole
   * value is given out only after its digest was found right. `whole` null: a range, which has no digest.
   */
  async *from(
    first: Uint8Array | undefined,
    whole: ValueRecord | null,
  ): AsyncGenerator<Uint8Array> {
    const hash = whole === null ? null : digestStream();
    try {
      let piece = first;
      while (piece !== undefined) {
        hash?.update(piece);
        const next = await this.next();
        if (next === undefined && whole !== null && hash !== null) this.#judge(whole, hash);
        yield piece;
        piece = next;
      }
    } finally {
      hash?.discard();
      this.close();
    }
  }

  #judge({ digest, blobId }: ValueRecord, hash: DigestStream): void {
    if (hash.finish() === digest) return;
    this.#parts.copies.blame();
    throw new KvError('DATA_LOSS', 'the bytes read do not have the digest of the value', {
      detail: { blobId },
    });
  }
}
