/**
 * What is small and asked about all the time: disks, marks, cluster, pins and counters. It lives in
 * memory; its rows are written by `checkpoint` before each flush, not at each command, so that a PUT
 * does not rewrite three disk rows for their reference counts.
 */
import { present } from '../common/assert.ts';
import { ByteWriter, textOf } from '../common/bytes.ts';
import { type DiskId, type LogIndex, logIndex } from '../common/ids.ts';
import type { RowDigest } from './digest.ts';
import { CLUSTER_KEY, COUNTERS_KEY, diskKey, MARKS_KEY, pinKey, TABLE } from './keys.ts';
import type { Counters } from './machine.ts';
import {
  decodeCluster,
  decodeCounters,
  decodeDisk,
  decodeIndex,
  decodeMarks,
  encodeCluster,
  encodeCounters,
  encodeDisk,
  encodeIndex,
  encodeMarks,
} from './record-codec.ts';
import type { ClusterRecord, Copy, DiskRecord, Marks } from './records.ts';
import type { MetadataStore } from './store.ts';

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
type Row = readonly [key: Uint8Array, value: Uint8Array];

export class SmallState {
  marks: Marks = { fence: logIndex(0), reclaim: logIndex(0), forget: logIndex(0), timeMs: 0 };
  cluster: ClusterRecord = {
    clusterId: '',
    members: [],
    redirectKey: '',
    operatorEpoch: 0,
    nextDisk: 1,
  };
  readonly counters: Mutable<Counters> = {
    keys: 0,
    bytes: 0,
    underReplicated: 0,
    lost: 0,
    garbage: 0,
  };
  readonly pins = new Map<string, LogIndex>();
  readonly disks = new Map<DiskId, Mutable<DiskRecord>>();
  readonly #unpinned = new Set<string>();
  readonly #writer = new ByteWriter(256);

  /** Takes up one stored row; false when it is of a table that does not live here. */
  restore(key: Uint8Array, value: Uint8Array): boolean {
    const table = key[0];
    if (table === TABLE.marks) this.marks = decodeMarks(value);
    else if (table === TABLE.cluster) this.cluster = decodeCluster(value);
    else if (table === TABLE.counters) Object.assign(this.counters, decodeCounters(value));
    else if (table === TABLE.pin) this.pins.set(textOf(key.subarray(1)), decodeIndex(value));
    else if (table === TABLE.disk) this.#restoreDisk(decodeDisk(value));
    else return false;
    return true;
  }

  /** Writes all its rows: afterwards the store holds the whole state. */
  checkpoint(store: MetadataStore): void {
    for (const [key, value] of this.rows()) store.put(key, value);
    for (const id of this.#unpinned) store.delete(pinKey(id));
    this.#unpinned.clear();
  }

  /** Adds its rows, as they are now, to a digest. */
  addTo(digest: RowDigest): void {
    for (const [key, value] of this.rows()) digest.add(key, value);
  }

  /** The disk that can vote: known, not gone, and in this session. */
  isCurrent(disk: DiskId, session: number): boolean {
    const found = this.disks.get(disk);
    return found !== undefined && found.state !== 'gone' && found.session === session;
  }

  addReferences(copies: readonly Copy[], change: 1 | -1): void {
    for (const copy of copies) {
      present(this.disks.get(copy.disk), `disk ${copy.disk} of a record`).refs += change;
    }
  }

  pin(id: string, index: LogIndex): void {
    this.pins.set(id, index);
    this.#unpinned.delete(id);
  }

  unpin(id: string): void {
    if (this.pins.delete(id)) this.#unpinned.add(id);
  }

  /** The least index that a pin holds, Infinity without pins. */
  pinnedAt(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const index of this.pins.values()) least = Math.min(least, index);
    return least;
  }

  #restoreDisk(disk: DiskRecord): void {
    this.disks.set(disk.disk, disk);
  }

  *rows(): Generator<Row> {
    yield [MARKS_KEY, encodeMarks(this.#writer, this.marks)];
    yield [CLUSTER_KEY, encodeCluster(this.#writer, this.cluster)];
    yield [COUNTERS_KEY, encodeCounters(this.#writer, this.counters)];
    for (const disk of this.disks.values()) {
      yield [diskKey(disk.disk), encodeDisk(this.#writer, disk)];
    }
    for (const [id, index] of this.pins) yield [pinKey(id), encodeIndex(this.#writer, index)];
  }
}
