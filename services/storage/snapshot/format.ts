/**
 * The index snapshot as bytes: a fixed head, a description, then the words of both tables exactly as
 * they lie in memory, so that opening is one read and one checksum (docs/formats/index-snapshot.md).
 * It is derived data: whatever does not verify is thrown away and the segments are read instead.
 */
import { ByteReader, ByteWriter } from '../../common/bytes.ts';
import { crc32 } from '../../common/checksum.ts';
import { bufferOf, type CopyId, copyId } from '../../common/ids.ts';
import type { OpenExtent } from '../index/catalog.ts';
import type { SegmentInfo } from '../index/segments.ts';
import { PARTITIONS, type PartitionShape } from '../index/table.ts';

/** All that a snapshot says besides the words of the tables. */
export interface SnapshotDescription {
  /** Written by a stop that had synced everything. */
  readonly clean: boolean;
  readonly copyCount: number;
  readonly valueBytes: number;
  /** Each with the bytes that the snapshot covers, all of them synced. */
  readonly segments: readonly SegmentInfo[];
  readonly staged: readonly CopyId[];
  readonly unsound: readonly CopyId[];
  readonly open: readonly (readonly [CopyId, OpenExtent])[];
  readonly copyShapes: readonly PartitionShape[];
  readonly chunkShapes: readonly PartitionShape[];
}

/** What the front of a snapshot says of the rest. */
export interface SnapshotFront {
  readonly description: SnapshotDescription;
  /** Where the words begin: those of the copies' partitions, then those of the chunks'. */
  readonly bodyStart: number;
  readonly bodyCrc: number;
}

/** "MKI" and the version of the format; read as a native word, so another byte order never fits. */
const MAGIC = 0x01494b4d;
const HEAD_BYTES = 64;
const HEAD_CRC_AT = 60;
const ALIGNMENT = 64;

/** The head and the description; the tables' words follow. `bodyCrc` is the words' checksum. */
export function encodeFront(description: SnapshotDescription, bodyCrc: number): Uint8Array {
  const text = encodeDescription(description);
  const padded = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const out = Buffer.alloc(HEAD_BYTES + padded);
  out.set(text, HEAD_BYTES);
  out.writeUInt32LE(MAGIC, 0);
  out.writeUInt32LE(description.clean ? 1 : 0, 4);
  out.writeUInt32LE(text.length, 8);
  out.writeUInt32LE(padded, 12);
  out.writeUInt32LE(crc32(text), 16);
  out.writeUInt32LE(bodyCrc, 20);
  out.writeUInt32LE(crc32(out.subarray(0, HEAD_CRC_AT)), HEAD_CRC_AT);
  return out;
}

export const bytesOf = (words: Int32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** Bytes that `decodeFront` needs, as `bytes`, the beginning of the file, says; null: no snapshot. */
export function frontBytes(bytes: Uint8Array): number | null {
  const head = bufferOf(bytes);
  if (head.length < HEAD_BYTES || head.readUInt32LE(0) !== MAGIC) return null;
  if (head.readUInt32LE(HEAD_CRC_AT) !== crc32(head.subarray(0, HEAD_CRC_AT))) return null;
  return HEAD_BYTES + head.readUInt32LE(12);
}

/** The front of a snapshot, or null where it does not verify. */
export function decodeFront(bytes: Uint8Array): SnapshotFront | null {
  const bodyStart = frontBytes(bytes);
  if (bodyStart === null || bytes.length < bodyStart) return null;
  const front = bufferOf(bytes);
  const text = front.subarray(HEAD_BYTES, HEAD_BYTES + front.readUInt32LE(8));
  if (crc32(text) !== front.readUInt32LE(16)) return null;
  const description = decodeDescription(text, front.readUInt32LE(4) === 1);
  return { description, bodyStart, bodyCrc: front.readUInt32LE(20) };
}

function encodeDescription(description: SnapshotDescription): Uint8Array {
  const out = new ByteWriter(32 * 1024);
  out.u64(description.copyCount).u64(description.valueBytes);
  out.u32(description.segments.length);
  for (const info of description.segments) {
    out
      .u32(info.segment)
      .u32(info.salt)
      .u32(info.bytes)
      .u8(info.sealed ? 1 : 0);
    out.u64(Math.max(0, info.liveBytes)).u32(Math.max(0, info.liveRecords)).u32(info.keptBytes);
  }
  for (const ids of [description.staged, description.unsound]) {
    out.u32(ids.length);
    for (const id of ids) out.hex(id);
  }
  out.u32(description.open.length);
  for (const [id, extent] of description.open) {
    out.hex(id).u32(extent.chunkCount).u32(extent.lowest).u32(extent.highest);
  }
  for (const shapes of [description.copyShapes, description.chunkShapes]) {
    for (const shape of shapes) out.u32(shape.slots).u32(shape.used);
  }
  return out.finish();
}

function decodeDescription(text: Uint8Array, clean: boolean): SnapshotDescription {
  const input = new ByteReader(text);
  const copyCount = input.u64();
  const valueBytes = input.u64();
  const segments = times(input.u32(), () => ({
    segment: input.u32(),
    salt: input.u32(),
    bytes: input.u32(),
    sealed: input.u8() === 1,
    liveBytes: input.u64(),
    liveRecords: input.u32(),
    keptBytes: input.u32(),
  }));
  const staged = times(input.u32(), () => copyId(input.hex(16)));
  const unsound = times(input.u32(), () => copyId(input.hex(16)));
  const open = times(input.u32(), () => {
    const id = copyId(input.hex(16));
    return [id, { chunkCount: input.u32(), lowest: input.u32(), highest: input.u32() }] as const;
  });
  const shape = (): PartitionShape => ({ slots: input.u32(), used: input.u32() });
  const copyShapes = times(PARTITIONS, shape);
  const chunkShapes = times(PARTITIONS, shape);
  return { clean, copyCount, valueBytes, segments, staged, unsound, open, copyShapes, chunkShapes };
}

/** Grows by what the input really holds: a count that lies ends in `CORRUPT`, not in an allocation. */
function times<T>(count: number, read: () => T): T[] {
  const all: T[] = [];
  for (let i = 0; i < count; i += 1) all.push(read());
  return all;
}
