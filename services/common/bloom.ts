/**
 * A bloom filter over words that a caller owns, so that it lies in the same memory and the same
 * snapshot as the slots it guards. It is a superset always: what was added is never denied.
 */

const HASHES = 5;

/** 32-bit words of a filter for `keys` keys: ten bits each, about 1 % wrong "maybe". */
export const bloomWords = (keys: number): number => Math.ceil((keys * 10) / 32);

export function bloomAdd(words: Int32Array, hash: number, step: number): void {
  const bits = words.length * 32;
  for (let i = 0, at = hash; i < HASHES; i += 1, at = (at + step) | 0) {
    const bit = scale(at, bits);
    words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31));
  }
}

/** False: certainly never added. */
export function bloomMayHave(words: Int32Array, hash: number, step: number): boolean {
  const bits = words.length * 32;
  for (let i = 0, at = hash; i < HASHES; i += 1, at = (at + step) | 0) {
    const bit = scale(at, bits);
    if (((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}

/** Spreads 32 bits evenly over [0, size). */
export const scale = (hash: number, size: number): number =>
  Math.floor(((hash >>> 0) / 2 ** 32) * size);
