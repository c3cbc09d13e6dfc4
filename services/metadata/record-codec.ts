/**
 * Values of rows (docs/formats/metadata.md). Each begins with its version; a reader refuses any other,
 * so an old binary never guesses at a newer row. The caller lends the writer: one buffer serves all.
 */
import { ByteReader, type ByteWriter, copyOf } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { checkFormat } from '../common/format.ts';
import type {
  BlobId,
  ClusterId,
  CopyId,
  Digest,
  DiskId,
  LogIndex,
  NodeId,
  Session,
  TxnId,
} from '../common/ids.ts';
import type { Counters } from './machine.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  DiskState,
  Headers,
  Marks,
  MoveRefusal,
  OpResult,
  ThinRow,
  TxnOutcome,
  ValueRecord,
} from './records.ts';

const VERSION = 1;
/** Since it says whether the disk is reconciled. */
const DISK_VERSION = 2;
/** A record whose value is in it; one whose value lies on volumes has version 1. */
const INLINE_VERSION = 2;

/** A record and whether a thin row stands beside it, which saves a look-up at each overwrite. */
export interface StoredRecord {
  readonly value: ValueRecord;
  readonly thin: boolean;
}

/** A remembered answer of a principal. */
export interface StoredAnswer {
  readonly requestHash: Digest;
  readonly txnId: TxnId;
  readonly outcome: TxnOutcome;
}

/** An outcome and where in the log it was written: an answer given again keeps its first index. */
export interface StoredOutcome {
  readonly loggedAt: LogIndex;
  readonly outcome: TxnOutcome;
}

const EFFECTS: readonly OpResult['effect'][] = [
  'created',
  'replaced',
  'deleted',
  'absent',
  'checked',
];
const OUTCOMES: readonly TxnOutcome['kind'][] = [
  'applied',
  'precondition-failed',
  'no-replicas',
  'idempotency-mismatch',
  'refused',
  'aborted',
];
const REFUSALS: readonly MoveRefusal[] = [
  'record-changed',
  'copy-unknown',
  'stale-session',
  'copy-count',
];
const DISK_STATES: readonly DiskState[] = ['active', 'draining', 'gone'];

export function encodeRecord(out: ByteWriter, { value, thin }: StoredRecord): Uint8Array {
  const { data } = value;
  out
    .reset()
    .u8(data === null ? VERSION : INLINE_VERSION)
    .u8(thin ? 1 : 0)
    .hex(value.blobId)
    .u64(value.size)
    .hex(value.digest)
    .u64(value.version.index)
    .u16(value.version.ordinal);
  writeCopies(out, value.copies);
  writeHeaders(out, value.headers);
  if (data !== null) out.bytes(data);
  return copyOf(out.finish());
}

/** The data of an inline value is a view of `bytes`. */
export function decodeRecord(bytes: Uint8Array): StoredRecord {
  const from = open(bytes, INLINE_VERSION);
  const thin = from.u8() === 1;
  const value: ValueRecord = {
    blobId: from.hex(16) as BlobId,
    size: from.u64(),
    digest: from.hex(32) as Digest,
    version: { index: from.u64() as LogIndex, ordinal: from.u16() },
    copies: readCopies(from),
    headers: readHeaders(from),
    data: bytes[0] === INLINE_VERSION ? from.bytes() : null,
  };
  from.end();
  return { value, thin };
}

export function encodeOutcome(out: ByteWriter, stored: StoredOutcome): Uint8Array {
  out.reset().u8(VERSION).u64(stored.loggedAt);
  writeOutcome(out, stored.outcome);
  return copyOf(out.finish());
}

export function decodeOutcome(bytes: Uint8Array): StoredOutcome {
  const from = open(bytes);
  const stored = { loggedAt: from.u64() as LogIndex, outcome: readOutcome(from) };
  from.end();
  return stored;
}

/** Of an encoded outcome, without decoding the rest. */
export function loggedAtOf(bytes: Uint8Array): LogIndex {
  return open(bytes).u64() as LogIndex;
}

export function encodeAnswer(out: ByteWriter, answer: StoredAnswer): Uint8Array {
  out.reset().u8(VERSION).hex(answer.requestHash).hex(answer.txnId);
  writeOutcome(out, answer.outcome);
  return copyOf(out.finish());
}

export function decodeAnswer(bytes: Uint8Array): StoredAnswer {
  const from = open(bytes);
  const answer = {
    requestHash: from.hex(32) as Digest,
    txnId: from.hex(16) as TxnId,
    outcome: readOutcome(from),
  };
  from.end();
  return answer;
}

export function encodeThin(out: ByteWriter, row: Omit<ThinRow, 'key'>): Uint8Array {
  out.reset().u8(VERSION).hex(row.blobId);
  writeCopies(out, row.suspects);
  return copyOf(out.finish());
}

/** `key` is the client's key, from the key of the row. */
export function decodeThin(key: Uint8Array, bytes: Uint8Array): ThinRow {
  const from = open(bytes);
  const row = { key, blobId: from.hex(16) as BlobId, suspects: readCopies(from) };
  from.end();
  return row;
}

/** An index alone: when a copy became garbage, where a pin stands. */
export const encodeIndex = (out: ByteWriter, index: LogIndex): Uint8Array =>
  copyOf(out.reset().u8(VERSION).u64(index).finish());

export function decodeIndex(bytes: Uint8Array): LogIndex {
  const from = open(bytes);
  const index = from.u64() as LogIndex;
  from.end();
  return index;
}

export function encodeDisk(out: ByteWriter, disk: DiskRecord): Uint8Array {
  return copyOf(
    out
      .reset()
      .u8(DISK_VERSION)
      .u32(disk.disk)
      .text(disk.volume)
      .u64(disk.boots)
      .text(disk.nonce)
      .u64(disk.session)
      .u8(DISK_STATES.indexOf(disk.state))
      .text(disk.zone)
      .u64(disk.capacityBytes)
      .u64(disk.refs)
      .u8(disk.reconciled ? 1 : 0)
      .finish(),
  );
}

/** A row of version 1 is of a disk that nobody was asked to reconcile. */
export function decodeDisk(bytes: Uint8Array): DiskRecord {
  const version = bytes[0] === VERSION ? VERSION : DISK_VERSION;
  const from = open(bytes, version);
  const disk = {
    disk: from.u32() as DiskId,
    volume: from.text(),
    boots: from.u64(),
    nonce: from.text(),
    session: from.u64() as Session,
    state: oneOf(DISK_STATES, from.u8()),
    zone: from.text(),
    capacityBytes: from.u64(),
    refs: from.u64(),
    reconciled: version === VERSION || from.u8() === 1,
  };
  from.end();
  return disk;
}

export function encodeMarks(out: ByteWriter, marks: Marks): Uint8Array {
  return copyOf(
    out
      .reset()
      .u8(VERSION)
      .u64(marks.fence)
      .u64(marks.reclaim)
      .u64(marks.forget)
      .u64(marks.timeMs)
      .finish(),
  );
}

export function decodeMarks(bytes: Uint8Array): Marks {
  const from = open(bytes);
  const marks = {
    fence: from.u64() as LogIndex,
    reclaim: from.u64() as LogIndex,
    forget: from.u64() as LogIndex,
    timeMs: from.u64(),
  };
  from.end();
  return marks;
}

export function encodeCluster(out: ByteWriter, cluster: ClusterRecord): Uint8Array {
  out.reset().u8(VERSION).text(cluster.clusterId).text(cluster.redirectKey);
  out.u64(cluster.operatorEpoch).u32(cluster.nextDisk).u16(cluster.members.length);
  for (const member of cluster.members) {
    out.u32(member.node).text(member.name).text(member.address);
  }
  return copyOf(out.finish());
}

export function decodeCluster(bytes: Uint8Array): ClusterRecord {
  const from = open(bytes);
  const cluster = {
    clusterId: from.text() as ClusterId | '',
    redirectKey: from.text(),
    operatorEpoch: from.u64(),
    nextDisk: from.u32(),
    members: Array.from({ length: from.u16() }, () => ({
      node: from.u32() as NodeId,
      name: from.text(),
      address: from.text(),
    })),
  };
  from.end();
  return cluster;
}

export function encodeCounters(out: ByteWriter, counters: Counters): Uint8Array {
  return copyOf(
    out
      .reset()
      .u8(VERSION)
      .u64(counters.keys)
      .u64(counters.bytes)
      .u64(counters.underReplicated)
      .u64(counters.lost)
      .u64(counters.garbage)
      .finish(),
  );
}

export function decodeCounters(bytes: Uint8Array): Counters {
  const from = open(bytes);
  const counters = {
    keys: from.u64(),
    bytes: from.u64(),
    underReplicated: from.u64(),
    lost: from.u64(),
    garbage: from.u64(),
  };
  from.end();
  return counters;
}

/** Shared with the command codec: headers are the same in both. */
export function writeHeaders(out: ByteWriter, headers: Headers): void {
  out.u16(headers.length);
  for (const [name, value] of headers) out.text(name).text(value);
}

export function readHeaders(from: ByteReader): Headers {
  const headers: [string, string][] = [];
  for (let left = from.u16(); left > 0; left -= 1) headers.push([from.text(), from.text()]);
  return headers;
}

/** @throws KvError `DISK_FAILED` for a row of a newer build, which is no damage. */
function open(bytes: Uint8Array, expected = VERSION): ByteReader {
  const from = new ByteReader(bytes);
  const version = from.u8();
  checkFormat('a row is', version, expected);
  return from;
}

/** The member of a list that a byte names. @throws KvError `CORRUPT` for any other byte. */
export function oneOf<T>(list: readonly T[], code: number): T {
  const found = list[code];
  if (found === undefined) throw new KvError('CORRUPT', `code ${code} is unknown`);
  return found;
}

function writeCopies(out: ByteWriter, copies: readonly Copy[]): void {
  out.u8(copies.length);
  for (const copy of copies) out.u32(copy.disk).hex(copy.copyId);
}

function readCopies(from: ByteReader): Copy[] {
  const copies: Copy[] = [];
  for (let left = from.u8(); left > 0; left -= 1) {
    copies.push({ disk: from.u32() as DiskId, copyId: from.hex(16) as CopyId });
  }
  return copies;
}

function writeOutcome(out: ByteWriter, outcome: TxnOutcome): void {
  out.u8(OUTCOMES.indexOf(outcome.kind)).u64(outcome.index);
  if (outcome.kind === 'applied') writeResults(out, outcome.results);
  else if (outcome.kind === 'precondition-failed') out.u16(outcome.failedOp);
  else if (outcome.kind === 'no-replicas') out.u8(outcome.confirmed);
  else if (outcome.kind === 'refused') out.u8(REFUSALS.indexOf(outcome.reason));
}

function readOutcome(from: ByteReader): TxnOutcome {
  const kind = oneOf(OUTCOMES, from.u8());
  const index = from.u64() as LogIndex;
  switch (kind) {
    case 'applied':
      return { kind, index, results: readResults(from) };
    case 'precondition-failed':
      return { kind, index, failedOp: from.u16() };
    case 'no-replicas':
      return { kind, index, confirmed: from.u8() };
    case 'refused':
      return { kind, index, reason: oneOf(REFUSALS, from.u8()) };
    case 'idempotency-mismatch':
    case 'aborted':
      return { kind, index };
  }
}

function writeResults(out: ByteWriter, results: readonly OpResult[]): void {
  out.u16(results.length);
  for (const result of results) {
    out.u8(EFFECTS.indexOf(result.effect)).u64(result.version.index).u16(result.version.ordinal);
    out
      .u8(result.copyCount)
      .u8(result.blobId.length >>> 1)
      .hex(result.blobId);
  }
}

function readResults(from: ByteReader): OpResult[] {
  const results: OpResult[] = [];
  for (let left = from.u16(); left > 0; left -= 1) {
    results.push({
      effect: oneOf(EFFECTS, from.u8()),
      version: { index: from.u64() as LogIndex, ordinal: from.u16() },
      copyCount: from.u8(),
      blobId: from.hex(from.u8()) as BlobId | '',
    });
  }
  return results;
}
