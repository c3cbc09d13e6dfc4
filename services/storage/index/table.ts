/**
 * The index of one kind of record: 1024 partitions by the first ten bits of the key. Growing touches
 * one partition at a time, so no insert ever stalls for the whole; and partitions in turn, each
 * sorted when asked, give the order of ids.
 */
import { compareKeys, type Key, type Slot } from './key.ts';
import { Partition } from './partition.ts';

export const PARTITIONS = 1024;

export interface PartitionShape {
  readonly slots: number;
  readonly used: number;
}

/** A table as a snapshot holds it: shapes in the front, words one after another. */
export interface TableImage {
  readonly shapes: readonly PartitionShape[];
  readonly words: readonly Int32Array[];
}

export class Table {
  readonly #partitions: readonly Partition[];
  #used = 0;

  constructor(partitions?: readonly Partition[]) {
    this.#partitions = partitions ?? Array.from({ length: PARTITIONS }, () => new Partition());
    for (const partition of this.#partitions) this.#used += partition.used;
  }

  get used(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#partitions.reduce((sum, partition) => sum + partition.bytes, 0);
  }

  get(key: Key): Slot | undefined {
    return this.#partition(key).get(key);
  }

  set(key: Key, slot: Slot): void {
    const partition = this.#partition(key);
    this.#used -= partition.used;
    partition.set(key, slot);
    this.#used += partition.used;
  }

  delete(key: Key): void {
    const partition = this.#partition(key);
    this.#used -= partition.used;
    partition.delete(key);
    this.#used += partition.used;
  }

  freeze(): TableImage {
    return {
      shapes: this.#partitions.map(({ slots, used }) => ({ slots, used })),
      words: this.#partitions.map((partition) => partition.freeze()),
    };
  }

  /** Every entry in no order; the table must not change meanwhile. */
  *entries(): Generator<readonly [Key, Slot]> {
    for (const partition of this.#partitions) yield* entriesOf(partition);
  }

  /**
   * All entries, some partitions at a time; between two portions the table may change. `pick` takes what it
   * wants of an entry into `found` and answers how many entries it has looked at for that.
   */
  *portions<T>(
    entries: number,
    pick: (key: Key, slot: Slot, found: T[]) => number,
  ): Generator<readonly T[]> {
    let found: T[] = [];
    let seen = 0;
    for (const partition of this.#partitions) {
      for (const [key, slot] of entriesOf(partition)) seen += pick(key, slot, found);
      if (seen < entries) continue;
      yield found;
      found = [];
      seen = 0;
    }
    yield found;
  }

  /** The first `limit` entries after `after` that `wanted` likes, in the order of ids. */
  page(
    after: Key | null,
    limit: number,
    wanted: (slot: Slot) => boolean,
  ): readonly (readonly [Key, Slot])[] {
    const page: (readonly [Key, Slot])[] = [];
    const first = after === null ? 0 : after.w0 >>> 22;
    for (let i = first; i < PARTITIONS && page.length < limit; i += 1) {
      const partition = this.#partitions[i];
      if (partition === undefined) break;
      const found: (readonly [Key, Slot])[] = [];
      for (const at of partition.positions()) {
        const key = partition.keyAt(at);
        const slot = partition.slotAt(at);
        if ((after === null || compareKeys(key, after) > 0) && wanted(slot))
          found.push([key, slot]);
      }
      found.sort((a, b) => compareKeys(a[0], b[0]));
      page.push(...found.slice(0, limit - page.length));
    }
    return page;
  }

  #partition(key: Key): Partition {
    const partition = this.#partitions[key.w0 >>> 22];
    if (partition === undefined) throw new RangeError('a table has 1024 partitions');
    return partition;
  }
}

function* entriesOf(partition: Partition): Generator<readonly [Key, Slot]> {
  for (const at of partition.positions()) yield [partition.keyAt(at), partition.slotAt(at)];
}
