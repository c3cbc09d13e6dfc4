/**
 * Outcome rows in the order in which they were logged, in flat arrays that the collector need not walk:
 * found by txnId without reading the store, and the oldest leaves without a scan. A ring that doubles
 * when it is full, and a table of its slots with linear probing.
 *
 *   slot = (first + i) & (capacity - 1), i in [0, count)
 */
import { assert } from '../common/assert.ts';
import { hexByteAt, type LogIndex, logIndex, type TxnId } from '../common/ids.ts';
import { ByteQueue } from './byte-queue.ts';

const ID_BYTES = 16;
/** Behind the table's byte of a row key. */
const ID_AT = 1;
const CAPACITY_FIRST = 64;
const FREE = -1;

interface RowHash {
  readonly laneA: number;
  readonly laneB: number;
}

export class OutcomeRing {
  #capacity = CAPACITY_FIRST;
  #indexes = new Float64Array(CAPACITY_FIRST);
  #ids = new Uint8Array(CAPACITY_FIRST * ID_BYTES);
  #hashes = new Uint32Array(CAPACITY_FIRST * 2);
  /** Where the value of each stands in `#values`. */
  #places = new Float64Array(CAPACITY_FIRST);
  /** Slots by the hash of their ids; at most half of it is taken. */
  #table = new Int32Array(CAPACITY_FIRST * 2).fill(FREE);
  readonly #values = new ByteQueue();
  #first = 0;
  #count = 0;
  #newestIndex = 0;

  get count(): number {
    return this.#count;
  }

  /** The newest so far; keeps a copy of both arrays. */
  pushRow(loggedAt: LogIndex, key: Uint8Array, value: Uint8Array, hash: RowHash): void {
    assert(loggedAt >= this.#newestIndex, 'outcomes come in the order of the log');
    this.#newestIndex = loggedAt;
    if (this.#count === this.#capacity) this.#grow();
    const slot = this.#slotAt(this.#count);
    this.#indexes[slot] = loggedAt;
    this.#ids.set(key.subarray(ID_AT), slot * ID_BYTES);
    this.#hashes[slot * 2] = hash.laneA;
    this.#hashes[slot * 2 + 1] = hash.laneB;
    this.#places[slot] = this.#values.push(value);
    this.#count += 1;
    this.#enter(slot);
  }

  /** The row's value; valid until the row leaves. */
  find(txnId: TxnId): Uint8Array | undefined {
    const { length } = this.#table;
    for (let at = hashOf(txnId) & (length - 1); ; at = (at + 1) & (length - 1)) {
      const slot = this.#table[at] ?? FREE;
      if (slot === FREE) return undefined;
      if (this.#isAt(slot, txnId)) return this.#values.at(this.#places[slot] ?? 0);
    }
  }

  /** Log index of the oldest, Infinity when there is none. */
  oldestIndex(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : (this.#indexes[this.#first] ?? 0);
  }

  /** Takes the oldest out. */
  shift(): RowHash {
    const slot = this.#first;
    this.#leave(slot);
    this.#values.shift();
    this.#first = (slot + 1) & (this.#capacity - 1);
    this.#count -= 1;
    return { laneA: this.#hashes[slot * 2] ?? 0, laneB: this.#hashes[slot * 2 + 1] ?? 0 };
  }

  /** The least birth among the newest `keep`; 0 while no more than that are held. */
  birthFloor(keep: number): LogIndex {
    if (this.#count <= keep) return logIndex(0);
    let floor = Number.MAX_SAFE_INTEGER;
    for (let i = this.#count - keep; i < this.#count; i += 1) {
      floor = Math.min(floor, this.#birthAt(this.#slotAt(i)));
    }
    return logIndex(floor);
  }

  #slotAt(i: number): number {
    return (this.#first + i) & (this.#capacity - 1);
  }

  /** The first six bytes of a txnId are its birth. */
  #birthAt(slot: number): number {
    let birth = 0;
    for (let i = 0; i < 6; i += 1) birth = birth * 256 + (this.#ids[slot * ID_BYTES + i] ?? 0);
    return birth;
  }

  #isAt(slot: number, txnId: TxnId): boolean {
    for (let i = ID_BYTES - 1; i >= 0; i -= 1) {
      if (this.#ids[slot * ID_BYTES + i] !== hexByteAt(txnId, i * 2)) return false;
    }
    return true;
  }

  /** As `hashOf` of the id. */
  #homeOf(slot: number): number {
    const end = (slot + 1) * ID_BYTES;
    let hash = 0;
    for (let at = end - HASH_BYTES; at < end; at += 1) hash = (hash << 8) | (this.#ids[at] ?? 0);
    return mixed(hash) & (this.#table.length - 1);
  }

  #enter(slot: number): void {
    const mask = this.#table.length - 1;
    let at = this.#homeOf(slot);
    while (this.#table[at] !== FREE) at = (at + 1) & mask;
    this.#table[at] = slot;
  }

  /** What probed over the hole moves back: there are no tombstones. */
  #leave(slot: number): void {
    const mask = this.#table.length - 1;
    let hole = this.#homeOf(slot);
    while (this.#table[hole] !== slot) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const other = this.#table[at] ?? FREE;
      if (other === FREE) break;
      const home = this.#homeOf(other);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#table[hole] = other;
      hole = at;
    }
    this.#table[hole] = FREE;
  }

  /** The full ring, unrolled into one of twice the size. */
  #grow(): void {
    const capacity = this.#capacity * 2;
    this.#indexes = this.#unroll(this.#indexes, new Float64Array(capacity));
    this.#ids = this.#unroll(this.#ids, new Uint8Array(capacity * ID_BYTES));
    this.#hashes = this.#unroll(this.#hashes, new Uint32Array(capacity * 2));
    this.#places = this.#unroll(this.#places, new Float64Array(capacity));
    this.#table = new Int32Array(capacity * 2).fill(FREE);
    this.#capacity = capacity;
    this.#first = 0;
    for (let slot = 0; slot < this.#count; slot += 1) this.#enter(slot);
  }

  #unroll<T extends Float64Array | Uint32Array | Uint8Array>(from: T, to: T): T {
    const cut = (from.length / this.#capacity) * this.#first;
    to.set(from.subarray(cut));
    to.set(from.subarray(0, cut), from.length - cut);
    return to;
  }
}

/** The end of a txnId is random. */
const HASH_BYTES = 4;

function hashOf(txnId: TxnId): number {
  let hash = 0;
  for (let i = ID_BYTES - HASH_BYTES; i < ID_BYTES; i += 1) {
    hash = (hash << 8) | hexByteAt(txnId, i * 2);
  }
  return mixed(hash);
}

/** Ids are small numbers in tests, and then neighbours would make one long run. */
function mixed(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  return h ^ (h >>> 15);
}
