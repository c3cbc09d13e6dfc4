/**
 * Records with what hangs on them: thin rows, garbage, references and counters change here and
 * nowhere else, in the same step as the record, so that none is ever counted by a scan.
 */
import type { DiskId, LogIndex } from '../common/ids.ts';
import { garbageKey, queueKey, recordKey, thinKey } from './keys.ts';
import {
  decodeIndex,
  decodeRecord,
  decodeThin,
  encodeIndex,
  encodeRecord,
  encodeThin,
} from './record-codec.ts';
import type { Copy, GarbageRow, ValueRecord } from './records.ts';
import type { RowStore } from './row-store.ts';
import type { SmallState } from './small-state.ts';

/** A key's place in the table, with what stands there now. */
export interface Located {
  readonly key: Uint8Array;
  readonly rowKey: Uint8Array;
  readonly row: Uint8Array | undefined;
  readonly value: ValueRecord | undefined;
  readonly thin: boolean;
}

/** What a key is to become. */
export interface NextValue {
  readonly value: ValueRecord;
  readonly suspects: readonly Copy[];
  /** Copies below this make the key thin. */
  readonly want: number;
}

const NO_VALUE: { readonly value: undefined; readonly thin: boolean } = {
  value: undefined,
  thin: false,
};

export const isSameCopy = (a: Copy, b: Copy): boolean => a.disk === b.disk && a.copyId === b.copyId;

const lists = (copies: readonly Copy[], copy: Copy): boolean =>
  copies.some((other) => isSameCopy(other, copy));

export class RecordTable {
  readonly #rows: RowStore;
  readonly #small: SmallState;

  constructor(rows: RowStore, small: SmallState) {
    this.#rows = rows;
    this.#small = small;
  }

  locate(key: Uint8Array): Located {
    const rowKey = recordKey(key);
    const row = this.#rows.get(rowKey);
    const { value, thin } = row === undefined ? NO_VALUE : decodeRecord(row);
    return { key, rowKey, row, value, thin };
  }

  /** The copies of a located key that are reported bad. */
  suspects(at: Located): readonly Copy[] {
    return this.#thinRow(at)?.suspects ?? [];
  }

  /** Writes a value; copies that it no longer lists become garbage at `index`. */
  write(at: Located, next: NextValue, index: LogIndex): void {
    const { value, suspects, want } = next;
    const { counters } = this.#small;
    const thin = value.copies.length < want || suspects.length > 0;
    this.#setThin(at, thin ? next : null);
    this.#rows.put(at.rowKey, encodeRecord(this.#rows.writer, { value, thin }), at.row);
    this.#release(at.value?.copies ?? [], value.copies, index);
    this.#small.addReferences(value.copies, 1);
    counters.bytes += value.size - (at.value?.size ?? 0);
    if (at.value === undefined) counters.keys += 1;
  }

  /** Removes a key that has a value; its copies become garbage at `index`. */
  remove(at: Located, index: LogIndex): void {
    if (at.value === undefined || at.row === undefined) return;
    this.#setThin(at, null);
    this.#rows.delete(at.rowKey, at.row);
    this.#release(at.value.copies, [], index);
    this.#small.counters.bytes -= at.value.size;
    this.#small.counters.keys -= 1;
  }

  /** Since when a copy is garbage; undefined when it is not. */
  garbageSince(copy: Copy): LogIndex | undefined {
    const row = this.#rows.get(garbageKey(copy.disk, copy.copyId));
    return row === undefined ? undefined : decodeIndex(row);
  }

  /** Forgets a garbage row; one that is not there, or was queued at another index, changes nothing. */
  reclaim(row: GarbageRow): void {
    const key = garbageKey(row.disk, row.copyId);
    const present = this.#rows.get(key);
    if (present === undefined || decodeIndex(present) !== row.queuedAt) return;
    this.#rows.delete(key, present);
    this.#rows.delete(queueKey(row), EMPTY);
    this.#small.counters.garbage -= 1;
  }

  /** Ends the references to copies that are not kept, and queues them. */
  #release(copies: readonly Copy[], kept: readonly Copy[], index: LogIndex): void {
    if (copies.length === 0) return;
    this.#small.addReferences(copies, -1);
    for (const copy of copies) if (!lists(kept, copy)) this.#discard(copy, index);
  }

  /** A gone disk has no bytes to drop; of a copy already queued the first place stands. */
  #discard(copy: Copy, queuedAt: LogIndex): void {
    if (this.#isGone(copy.disk)) return;
    const key = garbageKey(copy.disk, copy.copyId);
    if (this.#rows.get(key) !== undefined) return;
    this.#rows.put(key, encodeIndex(this.#rows.writer, queuedAt), undefined);
    this.#rows.put(queueKey({ ...copy, queuedAt }), EMPTY, undefined);
    this.#small.counters.garbage += 1;
  }

  #isGone(disk: DiskId): boolean {
    return this.#small.disks.get(disk)?.state === 'gone';
  }

  #setThin(at: Located, next: NextValue | null): void {
    if (!at.thin && next === null) return;
    const { counters } = this.#small;
    const key = thinKey(at.key);
    const before = at.thin ? this.#rows.get(key) : undefined;
    if (before !== undefined && at.value !== undefined) {
      counters.underReplicated -= 1;
      counters.lost -= lostCount(at.value.copies, decodeThin(at.key, before).suspects);
    }
    if (next === null) {
      if (before !== undefined) this.#rows.delete(key, before);
      return;
    }
    const row = { blobId: next.value.blobId, suspects: next.suspects };
    this.#rows.put(key, encodeThin(this.#rows.writer, row), before);
    counters.underReplicated += 1;
    counters.lost += lostCount(next.value.copies, next.suspects);
  }

  #thinRow(at: Located): { readonly suspects: readonly Copy[] } | undefined {
    const row = at.thin ? this.#rows.get(thinKey(at.key)) : undefined;
    return row === undefined ? undefined : decodeThin(at.key, row);
  }
}

const EMPTY = new Uint8Array(0);

/** 1 for a key without a sound copy. */
const lostCount = (copies: readonly Copy[], suspects: readonly Copy[]): number =>
  suspects.length >= copies.length ? 1 : 0;
