/**
 * One partition of the index: slots of eight words (key 4, segment, offset, size, extra) with linear
 * probing, followed by their bloom filter, all in one typed array off the JavaScript heap. It grows
 * by a fifth when 85 % are taken, so a blob costs 39 to 46 bytes here, and shrinks when few are. Deleting
 * shifts back what probed over the hole: there are no tombstones.
 */
import { bloomAdd, bloomMayHave, bloomWords, scale } from '../../common/bloom.ts';
import type { Key, Slot } from './key.ts';

export const SLOT_WORDS = 8;
/** A partition begins without slots: most tables of a small volume are nearly empty. */
const FIRST_SLOTS = 6;
const FULL = 0.85;
const GROWTH = 1.2;
/** Fewer taken than this: it shrinks to what would be taken to 70 %, well away from growing again. */
const SPARSE = 0.4;
const SHRUNK = 0.7;

const NO_WORDS = new Int32Array(0);

/** Words of a partition of so many slots, its filter included. */
export const partitionWords = (slots: number): number =>
  slots * SLOT_WORDS + bloomWords(slots * FULL);

export class Partition {
  #slots: number;
  #words: Int32Array;
  #filter: Int32Array;
  #used: number;
  /** A snapshot is reading `#words`: copy before the next change. */
  #shared = false;

  /** `words` of a snapshot are used where they lie. */
  constructor(image?: { words: Int32Array; slots: number; used: number }) {
    this.#slots = image?.slots ?? 0;
    this.#words = image?.words ?? NO_WORDS;
    this.#filter = this.#slots === 0 ? NO_WORDS : this.#words.subarray(this.#slots * SLOT_WORDS);
    this.#used = image?.used ?? 0;
  }

  get slots(): number {
    return this.#slots;
  }

  get used(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  /** The words as they are now; later changes go to a copy. */
  freeze(): Int32Array {
    this.#shared = true;
    return this.#words;
  }

  get(key: Key): Slot | undefined {
    const hash = hashOf(key);
    if (!bloomMayHave(this.#filter, hash, key.w3 | 1)) return undefined;
    const at = this.#find(key, hash);
    return this.#words[at + 6] === 0 ? undefined : this.slotAt(at);
  }

  set(key: Key, slot: Slot): void {
    if (this.#used + 1 > this.#slots * FULL) this.#grow();
    this.#unshare();
    const hash = hashOf(key);
    const at = this.#find(key, hash);
    if (this.#words[at + 6] === 0) {
      this.#used += 1;
      this.#words[at] = key.w0;
      this.#words[at + 1] = key.w1;
      this.#words[at + 2] = key.w2;
      this.#words[at + 3] = key.w3;
      bloomAdd(this.#filter, hash, key.w3 | 1);
    }
    this.#words[at + 4] = slot.segment;
    this.#words[at + 5] = slot.offset;
    this.#words[at + 6] = slot.size;
    this.#words[at + 7] = slot.extra;
  }

  delete(key: Key): void {
    if (this.get(key) === undefined) return;
    let hole = this.#find(key, hashOf(key));
    this.#unshare();
    this.#used -= 1;
    for (let at = this.#next(hole); this.#words[at + 6] !== 0; at = this.#next(at)) {
      const home = scale(hashOf(this.keyAt(at)), this.#slots) * SLOT_WORDS;
      if (this.#distance(home, at) >= this.#distance(hole, at)) {
        this.#words.copyWithin(hole, at, at + SLOT_WORDS);
        hole = at;
      }
    }
    this.#words.fill(0, hole, hole + SLOT_WORDS);
    if (this.#used < this.#slots * SPARSE) this.#shrink();
  }

  /** Word positions of all entries; the partition must not change meanwhile. */
  *positions(): Generator<number> {
    const end = this.#slots * SLOT_WORDS;
    for (let at = 0; at < end; at += SLOT_WORDS) if (this.#words[at + 6] !== 0) yield at;
  }

  keyAt(at: number): Key {
    const w = this.#words;
    return { w0: w[at] ?? 0, w1: w[at + 1] ?? 0, w2: w[at + 2] ?? 0, w3: w[at + 3] ?? 0 };
  }

  slotAt(at: number): Slot {
    const w = this.#words;
    return {
      segment: w[at + 4] ?? 0,
      offset: w[at + 5] ?? 0,
      size: w[at + 6] ?? 0,
      extra: w[at + 7] ?? 0,
    };
  }

  /** Word position of the key, or of the free slot where it would go: one is always free. */
  #find(key: Key, hash: number): number {
    const words = this.#words;
    let at = scale(hash, this.#slots) * SLOT_WORDS;
    while (words[at + 6] !== 0) {
      if (
        words[at] === key.w0 &&
        words[at + 1] === key.w1 &&
        words[at + 2] === key.w2 &&
        words[at + 3] === key.w3
      ) {
        return at;
      }
      at = this.#next(at);
    }
    return at;
  }

  #next(at: number): number {
    const next = at + SLOT_WORDS;
    return next === this.#slots * SLOT_WORDS ? 0 : next;
  }

  /** Words that probing goes from `from` to `to`, round the end. */
  #distance(from: number, to: number): number {
    const end = this.#slots * SLOT_WORDS;
    return (to - from + end) % end;
  }

  #grow(): void {
    this.#rebuild(Math.max(FIRST_SLOTS, Math.ceil(this.#slots * GROWTH) + 2));
  }

  #shrink(): void {
    const fewer = Math.max(FIRST_SLOTS, Math.ceil(this.#used / SHRUNK) + 2);
    if (this.#used === 0) this.#rebuild(0);
    else if (fewer < this.#slots) this.#rebuild(fewer);
  }

  #rebuild(slots: number): void {
    const words = slots === 0 ? NO_WORDS : new Int32Array(partitionWords(slots));
    const rebuilt = new Partition({ words, slots, used: 0 });
    for (const at of this.positions()) rebuilt.set(this.keyAt(at), this.slotAt(at));
    this.#slots = slots;
    this.#words = rebuilt.#words;
    this.#filter = rebuilt.#filter;
    this.#shared = false;
  }

  #unshare(): void {
    if (!this.#shared) return;
    this.#words = this.#words.slice();
    this.#filter = this.#words.subarray(this.#slots * SLOT_WORDS);
    this.#shared = false;
  }
}

/** Ids are random in life and small numbers in tests: every bit of the key must count. */
function hashOf(key: Key): number {
  let h = key.w1 ^ Math.imul(key.w2, 0x85ebca6b) ^ Math.imul(key.w3, 0xc2b2ae35) ^ key.w0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
