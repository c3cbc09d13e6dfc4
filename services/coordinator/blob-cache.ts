/**
 * Whole, digest-checked small blobs by blobId. A blob never changes under its id, so nothing is ever
 * invalidated; the least recently used go when the bytes run out.
 */
import type { BlobId } from '../common/ids.ts';
import { LIMITS } from './limits.ts';

/** What an entry costs besides its bytes, roughly. */
const ENTRY_BYTES = 256;

export class BlobCache {
  #bytesMax: number;
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  /** In the order of use, oldest first. */
  readonly #blobs = new Map<BlobId, Uint8Array>();

  constructor(options: { readonly bytesMax: number }) {
    this.#bytesMax = options.bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hits(): number {
    return this.#hits;
  }

  get misses(): number {
    return this.#misses;
  }

  find(blobId: BlobId): Uint8Array | undefined {
    const data = this.#blobs.get(blobId);
    if (data === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    this.#blobs.delete(blobId);
    this.#blobs.set(blobId, data);
    return data;
  }

  /**
   * Keeps a whole blob whose digest the caller has checked; too large ones are not kept. The bytes
   * must not change afterwards.
   */
  insert(blobId: BlobId, data: Uint8Array): void {
    if (data.length > LIMITS.cachedBlobBytesMax || this.#blobs.has(blobId)) return;
    if (costOf(data) > this.#bytesMax) return;
    // A small view would keep its whole buffer alive, so the cache holds its own copy.
    this.#blobs.set(blobId, new Uint8Array(data));
    this.#bytes += costOf(data);
    this.#evict();
  }

  /** Changes the limit, at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict();
  }

  #evict(): void {
    for (const [blobId, data] of this.#blobs) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#blobs.delete(blobId);
      this.#bytes -= costOf(data);
    }
  }
}

const costOf = (data: Uint8Array): number => data.length + ENTRY_BYTES;
