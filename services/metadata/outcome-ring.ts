/**
 * The order in which outcomes were logged: index, row key and row hash of each, in flat arrays, so that
 * the oldest leaves without a scan and without reading its row. A ring that doubles when it is full.
 *
 *   slot = (first + i) & (capacity - 1), i in [0, count)
 */
import { type LogIndex, logIndex } from '../common/ids.ts';

/** An outcome's row key: the table's byte and the txnId. */
const KEY_BYTES = 17;
const CAPACITY_FIRST = 1024;

interface RowHash {
  readonly laneA: number;
  readonly laneB: number;
}

export class OutcomeRing {
  #capacity = CAPACITY_FIRST;
  #indexes = new Float64Array(CAPACITY_FIRST);
  #keys = new Uint8Array(CAPACITY_FIRST * KEY_BYTES);
  #hashes = new Uint32Array(CAPACITY_FIRST * 2);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  pushRow(loggedAt: LogIndex, key: Uint8Array, hash: RowHash): void {
    if (this.#count === this.#capacity) this.#grow();
    const slot = (this.#first + this.#count) & (this.#capacity - 1);
    this.#indexes[slot] = loggedAt;
    this.#keys.set(key, slot * KEY_BYTES);
    this.#hashes[slot * 2] = hash.laneA;
    this.#hashes[slot * 2 + 1] = hash.laneB;
    this.#count += 1;
  }

  /** Log index of the oldest, Infinity when there is none. */
  oldestIndex(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : (this.#indexes[this.#first] ?? 0);
  }

  /** Takes the oldest out. */
  shift(): RowHash & { readonly key: Uint8Array } {
    const slot = this.#first;
    this.#first = (slot + 1) & (this.#capacity - 1);
    this.#count -= 1;
    return {
      key: this.#keys.slice(slot * KEY_BYTES, (slot + 1) * KEY_BYTES),
      laneA: this.#hashes[slot * 2] ?? 0,
      laneB: this.#hashes[slot * 2 + 1] ?? 0,
    };
  }

  /** The least birth among the newest `keep`; 0 while no more than that are held. */
  birthFloor(keep: number): LogIndex {
    if (this.#count <= keep) return logIndex(0);
    let floor = Number.MAX_SAFE_INTEGER;
    for (let i = this.#count - keep; i < this.#count; i += 1) {
      floor = Math.min(floor, this.#birthAt((this.#first + i) & (this.#capacity - 1)));
    }
    return logIndex(floor);
  }

  /** The first six bytes of a txnId, behind the table's byte, are its birth. */
  #birthAt(slot: number): number {
    let birth = 0;
    for (let i = 1; i <= 6; i += 1) {
      birth = birth * 256 + (this.#keys[slot * KEY_BYTES + i] ?? 0);
    }
    return birth;
  }

  #grow(): void {
    const from = { indexes: this.#indexes, keys: this.#keys, hashes: this.#hashes };
    const capacity = this.#capacity * 2;
    this.#indexes = new Float64Array(capacity);
    this.#keys = new Uint8Array(capacity * KEY_BYTES);
    this.#hashes = new Uint32Array(capacity * 2);
    for (let i = 0; i < this.#count; i += 1) {
      const slot = (this.#first + i) & (this.#capacity - 1);
      this.#indexes[i] = from.indexes[slot] ?? 0;
      this.#keys.set(from.keys.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES), i * KEY_BYTES);
      this.#hashes.set(from.hashes.subarray(slot * 2, slot * 2 + 2), i * 2);
    }
    this.#first = 0;
    this.#capacity = capacity;
  }
}
