/**
 * A frame is a length, a CRC and a body (docs/formats/frame-log.md). Reading answers what stands at a
 * place and never throws: whether a bad frame is a harmless unsynced tail or decay is for the caller
 * to judge, who knows what was durable.
 */
import { u32At } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';

/** CRC-32 (4) and body length (4). */
export const FRAME_HEADER_BYTES = 8;

export type FrameRead =
  | { readonly kind: 'frame'; readonly body: Uint8Array; readonly next: number }
  /** The bytes end exactly here. */
  | { readonly kind: 'end' }
  /** The bytes end inside a frame. */
  | { readonly kind: 'torn' }
  /** A length that no frame has, or a CRC that does not fit. */
  | { readonly kind: 'corrupt' };

export interface FrameRules {
  /** Longest body; a length field beyond it is corrupt and never trusted. */
  readonly bodyBytesMax: number;
  /** Start value of the CRC: frames of another file do not verify here. */
  readonly seed: number;
}

/** What stands at `at`; the body is a view of `bytes`. */
export function readFrame(bytes: Uint8Array, at: number, rules: FrameRules): FrameRead {
  if (at === bytes.length) return { kind: 'end' };
  const bodyAt = at + FRAME_HEADER_BYTES;
  if (bodyAt > bytes.length) return { kind: 'torn' };
  const bodyBytes = u32At(bytes, at + 4);
  if (bodyBytes > rules.bodyBytesMax) return { kind: 'corrupt' };
  const next = bodyAt + bodyBytes;
  if (next > bytes.length) return { kind: 'torn' };
  if (crc32(bytes.subarray(at + 4, next), rules.seed) !== u32At(bytes, at)) {
    return { kind: 'corrupt' };
  }
  return { kind: 'frame', body: bytes.subarray(bodyAt, next), next };
}

/**
 * Closes a frame whose body already stands behind its header's place: writes length and CRC. The CRC
 * covers the length too, so a region of zeros is never a frame.
 */
export function sealFrame(bytes: Uint8Array, at: number, bodyBytes: number, seed: number): void {
  writeU32(bytes, at + 4, bodyBytes);
  const covered = bytes.subarray(at + 4, at + FRAME_HEADER_BYTES + bodyBytes);
  writeU32(bytes, at, crc32(covered, seed));
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
