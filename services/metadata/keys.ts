/**
 * Keys of the rows. The first byte names the table, numbers in keys are big-endian so that byte order
 * is their order. Records stand under the shard of their key: splitting shards over several groups
 * would be a change of placement, not of format.
 *
 *   r shard key                    record      i len principal key   idempotency
 *   o txnId                        outcome     t key                 thin
 *   g disk copyId                  garbage     d disk                disk
 *   q disk queuedAt copyId         its queue   p id                  pin
 *   m, c, n                        marks, cluster, counters
 */
import { textOf, utf8 } from '../common/bytes.ts';
import {
  type CopyId,
  copyIdFrom,
  type DiskId,
  hexByteAt,
  type LogIndex,
  logIndex,
  type TxnId,
} from '../common/ids.ts';
import { keyHash } from '../common/key-hash.ts';
import type { GarbageRow } from './records.ts';

export const TABLE = {
  record: 0x72,
  outcome: 0x6f,
  idempotency: 0x69,
  garbage: 0x67,
  queue: 0x71,
  thin: 0x74,
  disk: 0x64,
  pin: 0x70,
  marks: 0x6d,
  cluster: 0x63,
  counters: 0x6e,
} as const;

/** All tables lie in [first, end): what a snapshot carries and the digest sums. */
export const TABLES_FIRST = 0x61;
export const TABLES_END = 0x7b;

export const SHARDS = 256;

const ID_BYTES = 16;
const QUEUE_KEY_BYTES = 1 + 4 + 8 + ID_BYTES;

export const MARKS_KEY = Uint8Array.of(TABLE.marks);
export const CLUSTER_KEY = Uint8Array.of(TABLE.cluster);
export const COUNTERS_KEY = Uint8Array.of(TABLE.counters);

export function recordKey(key: Uint8Array): Uint8Array {
  const row = new Uint8Array(2 + key.length);
  row[0] = TABLE.record;
  row[1] = keyHash(key) & (SHARDS - 1);
  row.set(key, 2);
  return row;
}

/** Row key of `key` in a shard, for the ends of ranges; the key need not belong there. */
export function shardKey(shard: number, key: Uint8Array): Uint8Array {
  const row = new Uint8Array(2 + key.length);
  row[0] = TABLE.record;
  row[1] = shard;
  row.set(key, 2);
  return row;
}

/** The client's key in the row key of a record. */
export const keyOfRecordKey = (row: Uint8Array): Uint8Array => row.subarray(2);

export function outcomeKey(txnId: TxnId): Uint8Array {
  const row = new Uint8Array(1 + ID_BYTES);
  row[0] = TABLE.outcome;
  setHex(row, 1, txnId);
  return row;
}

/** Whether a row key is an outcome's. */
export const isOutcomeKey = (row: Uint8Array): boolean => row[0] === TABLE.outcome;

export function idempotencyKey(principal: string, key: string): Uint8Array {
  const owner = utf8(principal);
  const name = utf8(key);
  const row = new Uint8Array(3 + owner.length + name.length);
  row[0] = TABLE.idempotency;
  row[1] = owner.length >>> 8;
  row[2] = owner.length & 0xff;
  row.set(owner, 3);
  row.set(name, 3 + owner.length);
  return row;
}

export function idempotencyOf(row: Uint8Array): { principal: string; key: string } {
  const length = ((row[1] ?? 0) << 8) | (row[2] ?? 0);
  return { principal: textOf(row.subarray(3, 3 + length)), key: textOf(row.subarray(3 + length)) };
}

export function garbageKey(disk: DiskId, id: CopyId): Uint8Array {
  const row = new Uint8Array(5 + ID_BYTES);
  row[0] = TABLE.garbage;
  setNumber(row, 1, 4, disk);
  setHex(row, 5, id);
  return row;
}

export function queueKey(row: GarbageRow): Uint8Array {
  const key = new Uint8Array(QUEUE_KEY_BYTES);
  key[0] = TABLE.queue;
  setNumber(key, 1, 4, row.disk);
  setNumber(key, 5, 8, row.queuedAt);
  setHex(key, 13, row.copyId);
  return key;
}

/** First key of the queue of a disk from `queuedAt` on. */
export function queueFrom(disk: DiskId, queuedAt: LogIndex): Uint8Array {
  const key = new Uint8Array(13);
  key[0] = TABLE.queue;
  setNumber(key, 1, 4, disk);
  setNumber(key, 5, 8, queuedAt);
  return key;
}

/** The garbage row that a queue key of `disk` stands for. */
export function queueRowOf(disk: DiskId, key: Uint8Array): GarbageRow {
  return {
    disk,
    queuedAt: logIndex(numberAt(key, 5, 8)),
    copyId: copyIdFrom(key.subarray(13)),
  };
}

export function thinKey(key: Uint8Array): Uint8Array {
  const row = new Uint8Array(1 + key.length);
  row[0] = TABLE.thin;
  row.set(key, 1);
  return row;
}

/** The client's key in the row key of a thin row. */
export const keyOfThinKey = (row: Uint8Array): Uint8Array => row.subarray(1);

export function diskKey(disk: DiskId): Uint8Array {
  const row = new Uint8Array(5);
  row[0] = TABLE.disk;
  setNumber(row, 1, 4, disk);
  return row;
}

export function pinKey(id: string): Uint8Array {
  const name = utf8(id);
  const row = new Uint8Array(1 + name.length);
  row[0] = TABLE.pin;
  row.set(name, 1);
  return row;
}

/** The least key above all keys that begin with `prefix`; undefined when there is none. */
export function afterPrefix(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return undefined;
  // Not `slice`: on a Buffer that is a view, and the caller's prefix would change.
  const end = new Uint8Array(prefix.subarray(0, length));
  end[length - 1] = (prefix[length - 1] ?? 0) + 1;
  return end;
}

function setHex(row: Uint8Array, at: number, hex: string): void {
  for (let i = 0; i < hex.length; i += 2) row[at + (i >>> 1)] = hexByteAt(hex, i);
}

function setNumber(row: Uint8Array, at: number, bytes: number, value: number): void {
  let rest = value;
  for (let i = at + bytes - 1; i >= at; i -= 1) {
    row[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

function numberAt(row: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let i = at; i < at + bytes; i += 1) value = value * 256 + (row[i] ?? 0);
  return value;
}
