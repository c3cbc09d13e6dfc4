/**
 * Names, segment headers and frames of a frame log (docs/formats/frame-log.md); encode beside decode.
 * The salt of a segment seeds the CRC of its frames: bytes of another segment, or bytes that a client
 * chose, do not pass for a frame here.
 */
import { allocate, ByteReader, ByteWriter, u64At } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { checkFormat } from '../common/format.ts';
import { FRAME_HEADER_BYTES, readFrame, sealFrame } from './frame.ts';

const MAGIC = 0x4c_56_4b_4d;
const VERSION = 1;
export const SEGMENT_HEADER_BYTES = 40;
/** Sequence (8) and syncedTo (8) before the payload. */
export const FRAME_PREFIX_BYTES = 16;

const NAME = /^(\d{12})\.log$/;

export const segmentName = (number: number): string => `${String(number).padStart(12, '0')}.log`;

/** The number in a segment's name; null for any other file. */
export function segmentNumber(name: string): number | null {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? null : Number.parseInt(digits, 10);
}

export interface SegmentHeader {
  readonly number: number;
  /** Position in the whole log of the first byte of this file. */
  readonly position: number;
  readonly firstSequence: number;
  readonly salt: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const writer = new ByteWriter(SEGMENT_HEADER_BYTES).u32(MAGIC).u32(VERSION);
  writer.u64(header.number).u64(header.position).u64(header.firstSequence).u32(header.salt);
  return writer.u32(crc32(writer.finish())).finish();
}

/**
 * null where the bytes are no such header. Every later format keeps magic, version and CRC where they are.
 * @throws KvError `DISK_FAILED` for a segment of a newer build, which is no damage.
 */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | null {
  if (bytes.length < SEGMENT_HEADER_BYTES) return null;
  const reader = new ByteReader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  if (reader.u32() !== MAGIC) return null;
  const version = reader.u32();
  const covered = bytes.subarray(0, SEGMENT_HEADER_BYTES - 4);
  if (new ByteReader(bytes.subarray(SEGMENT_HEADER_BYTES - 4)).u32() !== crc32(covered))
    return null;
  checkFormat('a segment of the log is', version, VERSION);
  return {
    number: reader.u64(),
    position: reader.u64(),
    firstSequence: reader.u64(),
    salt: reader.u32(),
  };
}

export interface LogFrame {
  readonly sequence: number;
  /** Position known durable when this frame was written. */
  readonly syncedTo: number;
  /** A view of the bytes that were read. */
  readonly payload: Uint8Array;
  /** Where the next frame begins in the file. */
  readonly next: number;
}

/** Frames of one batch as one piece, ready to be written. One allocation. */
export function encodeFrames(
  payloads: readonly Uint8Array[],
  first: { readonly sequence: number; readonly syncedTo: number; readonly salt: number },
): Uint8Array {
  const overhead = FRAME_HEADER_BYTES + FRAME_PREFIX_BYTES;
  const total = payloads.reduce((sum, payload) => sum + overhead + payload.length, 0);
  const bytes = allocate(total);
  const prefix = new ByteWriter(FRAME_PREFIX_BYTES)
    .u64(first.sequence)
    .u64(first.syncedTo)
    .finish();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let { sequence } = first;
  for (const payload of payloads) {
    bytes.set(prefix, at + FRAME_HEADER_BYTES);
    view.setUint32(at + FRAME_HEADER_BYTES, sequence >>> 0, true);
    view.setUint32(at + FRAME_HEADER_BYTES + 4, Math.floor(sequence / 2 ** 32), true);
    bytes.set(payload, at + overhead);
    sealFrame(bytes, at, FRAME_PREFIX_BYTES + payload.length, first.salt);
    at += overhead + payload.length;
    sequence += 1;
  }
  return bytes;
}

/** The frame at `at`, `end`, or null for anything that is no whole, sound frame of this segment. */
export function decodeFrame(
  bytes: Uint8Array,
  at: number,
  rules: { readonly payloadBytesMax: number; readonly salt: number },
): LogFrame | 'end' | null {
  const bodyBytesMax = FRAME_PREFIX_BYTES + rules.payloadBytesMax;
  const read = readFrame(bytes, at, { bodyBytesMax, seed: rules.salt });
  if (read.kind === 'end') return 'end';
  if (read.kind !== 'frame' || read.body.length < FRAME_PREFIX_BYTES) return null;
  const { body, next } = read;
  const payload = body.subarray(FRAME_PREFIX_BYTES);
  return { sequence: u64At(body, 0), syncedTo: u64At(body, 8), payload, next };
}
