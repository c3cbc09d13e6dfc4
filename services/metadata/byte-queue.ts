/**
 * Short byte strings, first in, first out, one behind the other in chunks: each costs its bytes and its
 * length, and nothing that the collector walks. A chunk goes when its last string has.
 */
import { KIB } from '../common/units.ts';

/** A short queue stays small: each chunk may be twice the one before. */
const CHUNK_BYTES_MIN = KIB;
const CHUNK_BYTES_MAX = 64 * KIB;
const LENGTH_BYTES = 4;
/** A place is the number of a chunk times this, and the offset in it. */
const PLACES = 2 ** 32;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  used: number;
  count: number;
}

export class ByteQueue {
  /** Oldest first. */
  readonly #chunks: Chunk[] = [];
  /** Chunks that have gone. */
  #gone = 0;

  /** Memory that it holds. */
  get bytes(): number {
    return this.#chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Its place, to be asked for with. */
  push(bytes: Uint8Array): number {
    const needed = LENGTH_BYTES + bytes.length;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.used + needed > chunk.bytes.length)
      chunk = this.#begin(needed);
    const offset = chunk.used;
    chunk.view.setUint32(offset, bytes.length);
    chunk.bytes.set(bytes, offset + LENGTH_BYTES);
    chunk.used += needed;
    chunk.count += 1;
    return (this.#gone + this.#chunks.length - 1) * PLACES + offset;
  }

  /** A view of the string at a place that is still in the queue. */
  at(place: number): Uint8Array | undefined {
    const offset = place % PLACES;
    const chunk = this.#chunks[(place - offset) / PLACES - this.#gone];
    const start = offset + LENGTH_BYTES;
    return chunk?.bytes.subarray(start, start + chunk.view.getUint32(offset));
  }

  /** The oldest leaves. */
  shift(): void {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return;
    chunk.count -= 1;
    if (chunk.count > 0) return;
    this.#chunks.shift();
    this.#gone += 1;
  }

  #begin(needed: number): Chunk {
    const wished = 2 * (this.#chunks.at(-1)?.bytes.length ?? CHUNK_BYTES_MIN / 2);
    const bytes = new Uint8Array(Math.max(Math.min(wished, CHUNK_BYTES_MAX), needed));
    const chunk = { bytes, view: new DataView(bytes.buffer), used: 0, count: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }
}
