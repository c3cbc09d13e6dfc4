/**
 * The head of a segment file: its number, its salt and, where compaction made it, the segments it
 * replaces. It stands there twice, so that one bad sector does not make a whole segment unreadable.
 */
import { ByteWriter } from '../../common/bytes.ts';
import { crc32 } from '../../common/checksum.ts';
import { checkFormat } from '../../common/format.ts';
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
/** "MKS"; the byte behind it is the version of the format. */
const MAGIC = 0x534b4d;
const VERSION = 1;
const CRC_AT = COPY_BYTES - 4;

/** magic 3 bytes, version 1 · segment · salt · count · replaced segments · zeros · CRC at 124, all others u32; then again. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const writer = new ByteWriter(COPY_BYTES);
  writer
    .u32((VERSION << 24) | MAGIC)
    .u32(header.segment)
    .u32(header.salt)
    .u32(header.replaces.length);
  for (const segment of header.replaces) writer.u32(segment);
  const out = Buffer.alloc(SEGMENT_HEADER_BYTES);
  out.set(writer.finish(), 0);
  out.writeUInt32LE(crc32(out.subarray(0, CRC_AT)), CRC_AT);
  out.copy(out, COPY_BYTES, 0, COPY_BYTES);
  return out;
}

/**
 * The header, or null where neither copy is sound or it is another segment's. Every later format keeps magic,
 * version and CRC where they are.
 * @throws KvError `DISK_FAILED` for a segment of a newer build, which is no damage.
 */
export function decodeSegmentHeader(bytes: Uint8Array, segment: number): SegmentHeader | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (const at of [0, COPY_BYTES]) {
    const header = decodeCopy(buffer.subarray(at, at + COPY_BYTES));
    if (header?.segment === segment) return header;
  }
  return null;
}

function decodeCopy(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < COPY_BYTES || bytes.readUIntLE(0, 3) !== MAGIC) return null;
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return null;
  checkFormat('a segment is', bytes.readUInt8(3), VERSION);
  const count = Math.min(bytes.readUInt32LE(12), VICTIMS_MAX);
  return {
    segment: bytes.readUInt32LE(4),
    salt: bytes.readUInt32LE(8),
    replaces: Array.from({ length: count }, (_, i) => bytes.readUInt32LE(16 + i * 4)),
  };
}
