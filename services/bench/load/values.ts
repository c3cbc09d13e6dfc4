/**
 * What is stored: a value is one of some random bodies with its key's number stamped on it, so every
 * value is another one, and the reader knows each byte that it must get.
 */
import { randomBytes } from 'node:crypto';
import { MIB } from '../../common/units.ts';

const BODIES_BYTES = 8 * MIB;
const BODIES_MAX = 1024;
const STAMP_BYTES = 6;

/** Random bodies to draw from: many, but of a few MiB in all. */
export const randomBodies = (sizeBytes: number): readonly Buffer[] =>
  Array.from(
    { length: Math.max(1, Math.min(BODIES_MAX, Math.floor(BODIES_BYTES / (sizeBytes + 1)))) },
    () => randomBytes(sizeBytes),
  );

export const stampBytesOf = (sizeBytes: number): number => Math.min(STAMP_BYTES, sizeBytes);

/** The key's number over the first bytes of its value, as far as it has some. */
export function stamp(bytes: Buffer, at: number, key: number): void {
  let rest = key;
  for (let i = at; i < Math.min(at + STAMP_BYTES, bytes.length); i += 1) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

const SPACE_DIGITS = 4;
const KEY_DIGITS = 12;
/** Of a key's name, prefix and suffix apart: the space in hex, then the number in decimal digits. */
export const NAME_DIGITS = SPACE_DIGITS + KEY_DIGITS;

/** The name of key 0 of a space; spaces are for keys that must not meet, 0 to 65,535. */
export const firstName = (space: number): string =>
  space.toString(16).padStart(SPACE_DIGITS, '0') + '0'.repeat(KEY_DIGITS);

/** Writes the key's digits into a name that begins at `at`. */
export function writeKey(bytes: Buffer, at: number, key: number): void {
  let rest = key;
  for (let i = at + NAME_DIGITS - 1; i >= at + SPACE_DIGITS; i -= 1) {
    bytes[i] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}
