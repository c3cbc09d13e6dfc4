/**
 * Which rows the table may hold, so that one which is not there costs no look-up: LevelDB asks every
 * level for it, and merges files only because they are asked often. A chain of bloom filters (Almeida
 * et al. 2007, Scalable Bloom Filters), each larger than the one before. Invariant: a row that is in the
 * table is never denied; a wrong "maybe" costs the look-up that it would have cost anyway.
 */
import { bloomAdd, bloomMayHave, bloomWords } from '../common/bloom.ts';
import { keyHash } from '../common/key-hash.ts';
import { TABLE, TABLES_END, TABLES_FIRST } from '../metadata/keys.ts';

/** Keys of one range in byte order, at most `limit`. */
export type ReadKeys = (range: {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  readonly limit: number;
}) => Promise<readonly Uint8Array[]>;

const PAGE_KEYS = 1024;
/** Keys of the first filter, and how much larger each further one is: few of them, since each adds its wrong "maybe"s. */
const FIRST_KEYS = 1_048_576;
const GROWTH = 4;
/** Rows that have gone stay in the filters; as many, and half of all, are worth another reading. */
const REMOVALS_MIN = 1_048_576;
/** All rows that are ever asked for one by one: those of the queue are only read in ranges. */
const RANGES = [
  { gte: Uint8Array.of(TABLES_FIRST), lt: Uint8Array.of(TABLE.queue) },
  { gte: Uint8Array.of(TABLE.queue + 1), lt: Uint8Array.of(TABLES_END) },
];

export class KnownKeys {
  #known: GrowingFilter | null = null;
  /** Takes the place of `known` once all rows have been read. */
  #learning: GrowingFilter | null = null;
  #removals = 0;
  readonly #firstKeys: number;

  constructor(firstKeys: number = FIRST_KEYS) {
    this.#firstKeys = firstKeys;
  }

  /** False: the row is certainly not there. Always true until all rows have been read once. */
  mayHave(key: Uint8Array): boolean {
    return this.#known === null || this.#known.mayHave(keyHash(key));
  }

  /** To be called for every row that is to come into the table, before it does. */
  add(key: Uint8Array): void {
    if (!isAskedFor(key)) return;
    const hash = keyHash(key);
    this.#known?.add(hash);
    this.#learning?.add(hash);
  }

  removed(key: Uint8Array): void {
    if (isAskedFor(key)) this.#removals += 1;
  }

  /** So many rows have gone that reading all that are left is worth it. */
  get isStale(): boolean {
    if (this.#known === null || this.#learning !== null) return false;
    return this.#removals >= Math.max(REMOVALS_MIN, this.#known.keys / 2);
  }

  /** Reads the keys of all rows; `waiting` are on their way into the table. One call at a time. */
  async learn(
    read: ReadKeys,
    waiting: Iterable<Uint8Array>,
    pause: () => Promise<void>,
  ): Promise<void> {
    const learning = new GrowingFilter(this.#firstKeys);
    this.#learning = learning;
    this.#removals = 0;
    for (const key of waiting) learning.add(keyHash(key));
    for (const { gte, lt } of RANGES) {
      let page = await read({ gte, lt, limit: PAGE_KEYS });
      for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
        for (const key of page) learning.add(keyHash(key));
        await pause();
        page = await read({ gte: Uint8Array.of(...last, 0), lt, limit: PAGE_KEYS });
      }
    }
    this.#known = learning;
    this.#learning = null;
  }
}

class GrowingFilter {
  readonly #filters: Int32Array[] = [];
  /** Keys that the next one is to take, and room that is left in the last. */
  #keysNext: number;
  #room = 0;
  keys = 0;

  constructor(firstKeys: number) {
    this.#keysNext = firstKeys;
  }

  add(hash: number): void {
    if (this.mayHave(hash)) return;
    if (this.#room === 0) this.#grow();
    const last = this.#filters.at(-1);
    if (last !== undefined) bloomAdd(last, hash, stepOf(hash));
    this.#room -= 1;
    this.keys += 1;
  }

  mayHave(hash: number): boolean {
    const step = stepOf(hash);
    for (const words of this.#filters) if (bloomMayHave(words, hash, step)) return true;
    return false;
  }

  #grow(): void {
    this.#filters.push(new Int32Array(bloomWords(this.#keysNext)));
    this.#room = this.#keysNext;
    this.#keysNext *= GROWTH;
  }
}

const isAskedFor = (key: Uint8Array): boolean => key[0] !== TABLE.queue;

/** The distance of a key's probes, from the same 32 bits: two keys in four thousand million share them. */
const stepOf = (hash: number): number => Math.imul(hash, 0x9e3779b1) | 1;
