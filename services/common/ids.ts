/**
 * Branded identifiers. A bare number or string cannot reach a place that wants one of these; the
 * constructors below are the only way in and check the range.
 */
import { AssertionError, assert } from './assert.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Raft term, 0 before the first election. */
export type Term = Brand<number, 'Term'>;
/** Position in the Raft log, 0 before the first entry. */
export type LogIndex = Brand<number, 'LogIndex'>;
/** Number of a coordinator, 1 and up, never reused. 0 stands for "nobody". */
export type NodeId = Brand<number, 'NodeId'>;
/** Number that Raft gives to a formatted volume folder, 1 and up, never reused. 0: unformatted. */
export type DiskId = Brand<number, 'DiskId'>;
/** Raft index of a disk's newest accepted Register; 0: none. */
export type Session = Brand<number, 'Session'>;
/** Virtual shard, 0 to 255. */
export type ShardId = Brand<number, 'ShardId'>;
/** 128 random bits as 32 hex digits, minted for one staging, never used again. */
export type CopyId = Brand<string, 'CopyId'>;
/** The copyId of the write that made a value: ETag and cache key. */
export type BlobId = Brand<string, 'BlobId'>;
/** birth (48 bits) followed by 80 random bits, as 32 hex digits. */
export type TxnId = Brand<string, 'TxnId'>;
/** 32 hex digits, minted once for a cluster. */
export type ClusterId = Brand<string, 'ClusterId'>;
/** BLAKE3-256 of a whole value, 64 hex digits. */
export type Digest = Brand<string, 'Digest'>;

const HEX_32 = /^[0-9a-f]{32}$/;
const HEX_64 = /^[0-9a-f]{64}$/;
const BIRTH_MAX = 2 ** 48 - 1;
const COUNTER_MAX = Number.MAX_SAFE_INTEGER;

function counter(value: number, name: string): number {
  // Called for each entry and message: no look-up of a global, no text unless it fails.
  const isCounter = value >= 0 && value <= COUNTER_MAX && value % 1 === 0;
  if (!isCounter) throw new AssertionError(`${name} out of range: ${String(value)}`);
  return value;
}

export const term = (value: number): Term => counter(value, 'term') as Term;
export const logIndex = (value: number): LogIndex => counter(value, 'log index') as LogIndex;
export const nodeId = (value: number): NodeId => counter(value, 'node id') as NodeId;
export const diskId = (value: number): DiskId => counter(value, 'disk id') as DiskId;
export const session = (value: number): Session => counter(value, 'session') as Session;

export const NOBODY = nodeId(0);

export function shardId(value: number): ShardId {
  assert(Number.isInteger(value) && value >= 0 && value <= 255, `shard out of range: ${value}`);
  return value as ShardId;
}

function hex32(text: string, name: string): string {
  assert(HEX_32.test(text), `${name} is not 32 hex digits`);
  return text;
}

export const copyId = (text: string): CopyId => hex32(text, 'copy id') as CopyId;
/** The copy id that the 16 bytes at `at` are: the hex of bytes needs no check. */
export const copyIdAt = (bytes: Buffer, at: number): CopyId =>
  bytes.toString('hex', at, at + 16) as CopyId;
export const blobId = (text: string): BlobId => hex32(text, 'blob id') as BlobId;
/** The copies that a write stages carry the blob's id; only repaired ones get an id of their own. */
export const copyOfWrite = (id: BlobId): CopyId => id as string as CopyId;
export const txnId = (text: string): TxnId => hex32(text, 'txn id') as TxnId;
export const clusterId = (text: string): ClusterId => hex32(text, 'cluster id') as ClusterId;

export function digest(text: string): Digest {
  assert(HEX_64.test(text), 'digest is not 64 hex digits');
  return text as Digest;
}

/** The hex of so many bytes, which needs no further check. */
function hexOfExactly(bytes: Uint8Array, count: number, name: string): string {
  assert(bytes.length === count, `a ${name} has ${count} bytes`);
  return hexOf(bytes);
}

export const copyIdFrom = (bytes: Uint8Array): CopyId =>
  hexOfExactly(bytes, 16, 'copy id') as CopyId;
export const txnIdFrom = (bytes: Uint8Array): TxnId => hexOfExactly(bytes, 16, 'txn id') as TxnId;
export const digestFrom = (bytes: Uint8Array): Digest =>
  hexOfExactly(bytes, 32, 'digest') as Digest;

/** True where text from outside may become a 128-bit id; check before calling a constructor. */
export const isHex32 = (text: string): boolean => HEX_32.test(text);
export const isHex64 = (text: string): boolean => HEX_64.test(text);

/** A new transaction id of the given birth (a commit index, 48 bits) and 10 random bytes. */
export function mintTxnId(birth: LogIndex, random: Uint8Array): TxnId {
  assert(birth <= BIRTH_MAX, 'birth exceeds 48 bits');
  assert(random.length === 10, 'a txn id needs 10 random bytes');
  return txnId(birth.toString(16).padStart(12, '0') + hexOf(random));
}

/** The birth that a transaction id carries. */
export const birthOf = (id: TxnId): LogIndex => logIndex(Number.parseInt(id.slice(0, 12), 16));

/** Lower-case hex of some bytes. */
export const hexOf = (bytes: Uint8Array): string => bufferOf(bytes).toString('hex');

/** The same bytes as a Buffer; no copy. */
export const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/** Value of each hex digit by character code; a table, because ids are on every hot path. */
const NIBBLES = new Uint8Array(128);
for (let value = 0; value < 16; value += 1) NIBBLES[value.toString(16).charCodeAt(0)] = value;

/** The byte that the two lower-case hex digits at `at` stand for. */
export const hexByteAt = (text: string, at: number): number =>
  ((NIBBLES[text.charCodeAt(at)] ?? 0) << 4) | (NIBBLES[text.charCodeAt(at + 1)] ?? 0);

/** Bytes of an even number of hex digits; the caller has checked that they are hex. */
export function bytesOfHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >>> 1);
  for (let i = 0; i < bytes.length; i += 1) {
    bytes[i] = hexByteAt(text, i * 2);
  }
  return bytes;
}
