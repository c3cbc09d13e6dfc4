/**
 * The record: one header, a part that depends on the kind, then value bytes. Its header names its own
 * segment and offset and its CRC starts from the segment's salt, so a record that was written to the
 * wrong place, or that merely occurs inside a value, is never taken for one.
 *
 *   0 magic u32   4 kind u8   5 flags u8   6 metaBytes u16   8 dataBytes u32   12 segment u32
 *  16 offset u32 20 syncedTo u32          24 copyId 16      40 dataCrc u32    44 headCrc u32
 *  48 meta, then data
 */
import { copyOf } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import {
  bytesOfHex,
  type CopyId,
  copyId,
  copyIdAt,
  type Digest,
  digestFrom,
  hexByteAt,
  type TxnId,
  txnIdFrom,
} from '../common/ids.ts';
import { OWNER_BYTES_MAX, RECORD_DATA_MAX } from './limits.ts';

export const HEADER_BYTES = 48;
/** "MKR" and the version of the format. */
const MAGIC = 0x01524b4d;
export const MAGIC_BYTES = Uint8Array.of(0x4d, 0x4b, 0x52, 0x01);

export const KIND = { chunk: 1, end: 2, whole: 3, commit: 4, drop: 5, seal: 6 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** The record's copy was committed when compaction moved it: no commit record is needed any more. */
export const FLAG_COMMITTED = 1;

const CHUNK_META_BYTES = 12;
const WHOLE_META_BYTES = 48;
const END_META_BYTES = 60;
const DROP_META_BYTES = 8;
export const META_BYTES_MAX = END_META_BYTES + OWNER_BYTES_MAX;
const NO_BYTES = new Uint8Array(0);
/** The id of records that belong to no copy. */
export const NO_COPY = copyId('0'.repeat(32));

/** What a writer wants on disk; where it goes is decided when its batch is encoded. */
export interface Draft {
  readonly kind: Kind;
  readonly flags: number;
  readonly copyId: CopyId;
  readonly meta: Uint8Array;
  readonly data: Uint8Array;
  /** CRC-32 of `data`. */
  readonly dataCrc: number;
}

/** A decoded head; `meta` is a view of the bytes it was read from. */
export interface Head {
  readonly kind: Kind;
  readonly flags: number;
  readonly copyId: CopyId;
  readonly segment: number;
  readonly offset: number;
  /** Bytes of the segment that were durable when this record was written. */
  readonly syncedTo: number;
  readonly dataBytes: number;
  readonly dataCrc: number;
  readonly meta: Uint8Array;
  /** Header, meta and data. */
  readonly recordBytes: number;
}

/** Where a record stands and which salt its segment has. */
export interface Address {
  readonly segment: number;
  readonly salt: number;
  readonly offset: number;
}

export function draft(
  kind: Kind,
  id: CopyId,
  meta: Uint8Array = NO_BYTES,
  value: { readonly data: Uint8Array; readonly crc: number } = { data: NO_BYTES, crc: 0 },
): Draft {
  return { kind, flags: 0, copyId: id, meta, data: value.data, dataCrc: value.crc };
}

export const recordBytesOf = (record: Draft): number =>
  HEADER_BYTES + record.meta.length + record.data.length;

/** Writes header and meta (not the data) of a record at `at` of `out`; answers the bytes written. */
export function encodeHead(
  out: Buffer,
  at: number,
  record: Draft,
  place: Address & { readonly syncedTo: number },
): number {
  out.writeUInt32LE(MAGIC, at);
  out[at + 4] = record.kind;
  out[at + 5] = record.flags;
  out.writeUInt16LE(record.meta.length, at + 6);
  out.writeUInt32LE(record.data.length, at + 8);
  out.writeUInt32LE(place.segment, at + 12);
  out.writeUInt32LE(place.offset, at + 16);
  out.writeUInt32LE(place.syncedTo, at + 20);
  for (let i = 0; i < 16; i += 1) out[at + 24 + i] = hexByteAt(record.copyId, i * 2);
  out.writeUInt32LE(record.dataCrc, at + 40);
  out.set(record.meta, at + HEADER_BYTES);
  const crc = headCrc(out, at, record.meta.length, place.salt);
  out.writeUInt32LE(crc, at + 44);
  return HEADER_BYTES + record.meta.length;
}

/**
 * The head at `at` of `bytes`, or null where these are no head for that address. Never trusts a
 * length that its checksum has not confirmed.
 */
export function decodeHead(bytes: Buffer, at: number, address: Address): Head | null {
  const kind = kindAt(bytes, at);
  if (kind === null || !isFor(bytes, at, address)) return null;
  const metaBytes = bytes.readUInt16LE(at + 6);
  const dataBytes = bytes.readUInt32LE(at + 8);
  if (metaBytes < metaBytesMin(kind) || metaBytes > META_BYTES_MAX) return null;
  if (dataBytes > RECORD_DATA_MAX || bytes.length - at < HEADER_BYTES + metaBytes) return null;
  if (bytes.readUInt32LE(at + 44) !== headCrc(bytes, at, metaBytes, address.salt)) return null;
  return {
    kind,
    flags: bytes[at + 5] ?? 0,
    copyId: copyIdAt(bytes, at + 24),
    segment: address.segment,
    offset: address.offset,
    syncedTo: bytes.readUInt32LE(at + 20),
    dataBytes,
    dataCrc: bytes.readUInt32LE(at + 40),
    meta: metaBytes === 0 ? NO_BYTES : metaOf(bytes, at, metaBytes),
    recordBytes: HEADER_BYTES + metaBytes + dataBytes,
  };
}

/** The value bytes of a record whose head stands at `at`, or null where their CRC is wrong. */
export function dataOf(bytes: Buffer, at: number, head: Head): Buffer | null {
  const start = at + HEADER_BYTES + head.meta.length;
  const data = bytes.subarray(start, start + head.dataBytes);
  return data.length === head.dataBytes && crc32(data) === head.dataCrc ? data : null;
}

function headCrc(bytes: Buffer, at: number, metaBytes: number, salt: number): number {
  const fixed = crc32(bytes.subarray(at, at + 44), salt);
  return metaBytes === 0 ? fixed : crc32(metaOf(bytes, at, metaBytes), fixed);
}

const metaOf = (bytes: Buffer, at: number, metaBytes: number): Buffer =>
  bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + metaBytes);

const KINDS: readonly (Kind | null)[] = [null, 1, 2, 3, 4, 5, 6];

function kindAt(bytes: Buffer, at: number): Kind | null {
  if (bytes.length - at < HEADER_BYTES || bytes.readUInt32LE(at) !== MAGIC) return null;
  return KINDS[bytes[at + 4] ?? 0] ?? null;
}

const isFor = (bytes: Buffer, at: number, { segment, offset }: Address): boolean =>
  bytes.readUInt32LE(at + 12) === segment && bytes.readUInt32LE(at + 16) === offset;

function metaBytesMin(kind: Kind): number {
  switch (kind) {
    case KIND.chunk:
      return CHUNK_META_BYTES;
    case KIND.end:
      return END_META_BYTES;
    case KIND.whole:
      return WHOLE_META_BYTES;
    case KIND.drop:
      return DROP_META_BYTES;
    case KIND.commit:
    case KIND.seal:
      return 0;
  }
}

export interface ChunkMeta {
  readonly chunkNo: number;
  /** Bytes of the value before this chunk. */
  readonly valueOffset: number;
}

export function encodeChunkMeta(meta: ChunkMeta): Uint8Array {
  const out = Buffer.allocUnsafe(CHUNK_META_BYTES);
  out.writeUInt32LE(meta.chunkNo, 0);
  writeU64(out, 4, meta.valueOffset);
  return out;
}

export function decodeChunkMeta(meta: Uint8Array): ChunkMeta {
  const view = viewOf(meta);
  return { chunkNo: view.getUint32(0, true), valueOffset: readU64(view, 4) };
}

/** What an end or whole record says of its copy. */
export interface CopyMeta {
  readonly txnId: TxnId;
  readonly digest: Digest;
  readonly owner: Uint8Array;
  readonly sizeBytes: number;
  /** Chunk records; 0 for a whole record. */
  readonly chunkCount: number;
}

/** txnId 16 · digest 32 · (end only: size u64, count u32) · owner. */
export function encodeCopyMeta(kind: Kind, meta: CopyMeta): Uint8Array {
  const fixed = kind === KIND.end ? END_META_BYTES : WHOLE_META_BYTES;
  const out = Buffer.allocUnsafe(fixed + meta.owner.length);
  out.set(bytesOfHex(meta.txnId), 0);
  out.set(bytesOfHex(meta.digest), 16);
  if (kind === KIND.end) {
    writeU64(out, 48, meta.sizeBytes);
    out.writeUInt32LE(meta.chunkCount, 56);
  }
  out.set(meta.owner, fixed);
  return out;
}

export function decodeCopyMeta(head: Pick<Head, 'kind' | 'meta' | 'dataBytes'>): CopyMeta {
  const { meta } = head;
  const isEnd = head.kind === KIND.end;
  const view = viewOf(meta);
  return {
    txnId: txnIdFrom(meta.subarray(0, 16)),
    digest: digestFrom(meta.subarray(16, 48)),
    owner: copyOf(meta.subarray(isEnd ? END_META_BYTES : WHOLE_META_BYTES)),
    sizeBytes: isEnd ? readU64(view, 48) : head.dataBytes,
    chunkCount: isEnd ? view.getUint32(56, true) : 0,
  };
}

/** The segments between which all records of a dropped copy lie, both included. */
export interface DropRange {
  readonly lowest: number;
  readonly highest: number;
}

export function encodeDropRange(range: DropRange): Uint8Array {
  const out = Buffer.allocUnsafe(DROP_META_BYTES);
  out.writeUInt32LE(range.lowest, 0);
  out.writeUInt32LE(range.highest, 4);
  return out;
}

export function decodeDropRange(meta: Uint8Array): DropRange {
  const view = viewOf(meta);
  return { lowest: view.getUint32(0, true), highest: view.getUint32(4, true) };
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function writeU64(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value >>> 0, at);
  out.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** 53 bits at most: the checksum has vouched for what this engine wrote. */
const readU64 = (view: DataView, at: number): number =>
  (view.getUint32(at + 4, true) & 0x1fffff) * 2 ** 32 + view.getUint32(at, true);
