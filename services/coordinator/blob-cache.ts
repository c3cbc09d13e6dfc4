/**
 * Whole, digest-checked small blobs by blobId. A blob never changes under its id, so nothing is ever
 * invalidated. Entries are kept in slabs, in the order in which they came; when the bytes run out the
 * oldest slab goes as a whole. An entry that is read among the older half moves to the newest slab, so
 * what is in use stays.
 */
import type { BlobId } from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import { LIMITS } from './limits.ts';

/** What an entry costs besides its bytes, roughly. */
const ENTRY_BYTES = 256;
/** Of a full cache; each eviction takes one. */
const SLABS = 64;
/** Small values share buffers of this size: one of its own would cost each more than its bytes. */
const BUFFER_BYTES = 64 * KIB;
const SHARED_BYTES_MAX = BUFFER_BYTES / 8;

interface Slab {
  /** Counts up from slab to slab. */
  readonly number: number;
  readonly blobIds: BlobId[];
  /** Cost of all that it took, also of what has moved on. */
  bytes: number;
}

interface Entry {
  readonly slab: Slab;
  readonly data: Uint8Array;
}

export class BlobCache {
  #bytesMax: number;
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  readonly #blobs = new Map<BlobId, Entry>();
  /** Oldest first; the last takes what comes. */
  readonly #slabs: Slab[] = [];
  #slabsBegun = 0;
  /** The end of the newest shared buffer. */
  #free = new Uint8Array(0);

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

  /** The bytes stay as they are, whatever becomes of the entry. */
  find(blobId: BlobId): Uint8Array | undefined {
    const entry = this.#blobs.get(blobId);
    if (entry === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    if (this.#leavesSoon(entry.slab)) this.#keep(blobId, entry.data);
    return entry.data;
  }

  /** Keeps a copy of a whole blob whose digest the caller has checked; too large ones are not kept. */
  insert(blobId: BlobId, data: Uint8Array): void {
    if (data.length > LIMITS.cachedBlobBytesMax || this.#blobs.has(blobId)) return;
    if (costOf(data) <= this.#bytesMax) this.#keep(blobId, data);
  }

  /** Changes the limit, at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict();
  }

  #leavesSoon(slab: Slab): boolean {
    const age = this.#slabsBegun - slab.number;
    return this.#bytes * 2 > this.#bytesMax && age * 2 > this.#slabs.length;
  }

  #keep(blobId: BlobId, data: Uint8Array): void {
    const cost = costOf(data);
    const slab = this.#slabFor(cost);
    slab.blobIds.push(blobId);
    slab.bytes += cost;
    this.#blobs.set(blobId, { slab, data: this.#copyOf(data) });
    this.#bytes += cost;
    this.#evict();
  }

  #slabFor(cost: number): Slab {
    const newest = this.#slabs.at(-1);
    if (newest !== undefined && newest.bytes + cost <= this.#bytesMax / SLABS) return newest;
    this.#slabsBegun += 1;
    const slab = { number: this.#slabsBegun, blobIds: [], bytes: 0 };
    this.#slabs.push(slab);
    return slab;
  }

  #copyOf(data: Uint8Array): Uint8Array {
    if (data.length > SHARED_BYTES_MAX) return new Uint8Array(data);
    if (data.length > this.#free.length) this.#free = new Uint8Array(BUFFER_BYTES);
    const copy = this.#free.subarray(0, data.length);
    this.#free = this.#free.subarray(data.length);
    copy.set(data);
    return copy;
  }

  #evict(): void {
    while (this.#bytes > this.#bytesMax) {
      const slab = this.#slabs.shift();
      if (slab === undefined) return;
      this.#bytes -= slab.bytes;
      for (const blobId of slab.blobIds) {
        if (this.#blobs.get(blobId)?.slab === slab) this.#blobs.delete(blobId);
      }
    }
  }
}

const costOf = (data: Uint8Array): number => data.length + ENTRY_BYTES;
