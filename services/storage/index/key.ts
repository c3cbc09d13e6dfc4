/**
 * Index keys: 128 bits as four signed words (small integers, never boxed). A chunk's key is its
 * copy's with the chunk number mixed in; the record on disk names both, so a wrong hit cannot pass.
 */
import { type CopyId, copyIdAt, hexByteAt } from '../../common/ids.ts';

export interface Key {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

/** One slot's contents besides its key: four words, packed by entry.ts. */
export interface Slot {
  readonly segment: number;
  readonly offset: number;
  /** Never 0: a slot with size 0 is free. */
  readonly size: number;
  readonly extra: number;
}

export const keyOf = (id: CopyId): Key => ({
  w0: wordAt(id, 0),
  w1: wordAt(id, 8),
  w2: wordAt(id, 16),
  w3: wordAt(id, 24),
});

/** Eight hex digits as a signed word: no bytes are made on the way. */
const wordAt = (id: CopyId, at: number): number =>
  (hexByteAt(id, at) << 24) |
  (hexByteAt(id, at + 2) << 16) |
  (hexByteAt(id, at + 4) << 8) |
  hexByteAt(id, at + 6);

export function idOf(key: Key): CopyId {
  const b = Buffer.allocUnsafe(16);
  b.writeInt32BE(key.w0, 0);
  b.writeInt32BE(key.w1, 4);
  b.writeInt32BE(key.w2, 8);
  b.writeInt32BE(key.w3, 12);
  return copyIdAt(b, 0);
}

export const chunkKey = (key: Key, chunkNo: number): Key => ({
  w0: key.w0 ^ Math.imul(chunkNo + 1, 0x9e3779b1),
  w1: key.w1,
  w2: key.w2,
  w3: key.w3 ^ chunkNo,
});

/** The order of ids as text. */
export function compareKeys(a: Key, b: Key): number {
  if (a.w0 !== b.w0) return (a.w0 >>> 0) - (b.w0 >>> 0);
  if (a.w1 !== b.w1) return (a.w1 >>> 0) - (b.w1 >>> 0);
  if (a.w2 !== b.w2) return (a.w2 >>> 0) - (b.w2 >>> 0);
  return (a.w3 >>> 0) - (b.w3 >>> 0);
}
