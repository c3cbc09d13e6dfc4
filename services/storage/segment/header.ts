/**
 * The head of a segment file: its number, its salt and, where compaction made it, the segments it
 * replaces. It stands there twice, so that one bad sector does not make a whole segment unreadable.
 */
import { ByteWriter } from '../../common/bytes.ts';
import { crc32 } from '../../common/checksum.ts';
import { VICTIMS_MAX } from '../limits.ts';

export interface SegmentHeader {
  readonly segment: number;
  /** Start of every record's checksum: a record of another file never fits. */
  readonly salt: number;
  /** Segments whose live records this one holds: they must go before it is read. */
  readonly replaces: readonly number[];
}

const COPY_BYTES = 128;
/** Where the first record stands. */
export const SEGMENT_HEADER_BYTES = 2 * COPY_BYTES;
/** "MKS" and the version of the format. */
const MAGIC = 0x01534b4d;
const CRC_AT = COPY_BYTES - 4;

/** magic · segment · salt · count · replaced segments · zeros · CRC at 124, all u32; then again. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const writer = new ByteWriter(COPY_BYTES);
  writer.u32(MAGIC).u32(header.segment).u32(header.salt).u32(header.replaces.length);
  for (const segment of header.replaces) writer.u32(segment);
  const out = Buffer.alloc(SEGMENT_HEADER_BYTES);
  out.set(writer.finish(), 0);
  out.writeUInt32LE(crc32(out.subarray(0, CRC_AT)), CRC_AT);
  out.copy(out, COPY_BYTES, 0, COPY_BYTES);
  return out;
}

/** The header, or null where neither copy is sound or it is another segment's. */
export function decodeSegmentHeader(bytes: Uint8Array, segment: number): SegmentHeader | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const at of [0, COPY_BYTES]) {
    const header = decodeCopy(buffer.subarray(at, at + COPY_BYTES));
    if (header?.segment === segment) return header;
  }
  return null;
}

function decodeCopy(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < COPY_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return null;
  const count = Math.min(bytes.readUInt32LE(12), VICTIMS_MAX);
  return {
    segment: bytes.readUInt32LE(4),
    salt: bytes.readUInt32LE(8),
    replaces: Array.from({ length: count }, (_, i) => bytes.readUInt32LE(16 + i * 4)),
  };
}
