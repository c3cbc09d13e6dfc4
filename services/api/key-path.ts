/**
 * Keys in URLs. A key is 1 to 1024 bytes of UTF-8 without NUL, percent-decoded exactly once and never
 * normalised: `a/../b`, `//` and a backslash are bytes like any other. No `URL` object is ever made of
 * one, because it would resolve the dots.
 */
import { isUtf8 } from 'node:buffer';
import { textOf, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { RESERVED_SEGMENTS } from './routes.ts';

export const KEY_BYTES_MAX = 1024;

/** The bytes of a key as it stands in a path. @throws KvError `INVALID_KEY`. */
export function decodeKey(encoded: string): Uint8Array {
  return checkKey(percentDecode(encoded, 'INVALID_KEY'));
}

/** The bytes of a key that came as JSON text. @throws KvError `INVALID_KEY`. */
export function keyOfText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new KvError('INVALID_KEY', 'a key must be well-formed text');
  return checkKey(utf8(text));
}

function checkKey(key: Uint8Array): Uint8Array {
  if (key.length === 0) throw new KvError('INVALID_KEY', 'a key has at least one byte');
  if (key.length > KEY_BYTES_MAX) {
    throw new KvError('INVALID_KEY', `a key has at most ${KEY_BYTES_MAX} bytes`, {
      detail: { bytes: key.length },
    });
  }
  if (!isUtf8(key)) throw new KvError('INVALID_KEY', 'a key must be valid UTF-8');
  if (key.includes(0)) throw new KvError('INVALID_KEY', 'a key must not contain NUL');
  return key;
}

/**
 * Bytes of percent-encoded text, decoded once. Characters above 0x7f are taken as the raw bytes that
 * the HTTP parser made them from. @throws KvError `code` on a `%` without two hex digits.
 */
export function percentDecode(
  encoded: string,
  code: 'INVALID_KEY' | 'INVALID_ARGUMENT',
): Uint8Array {
  const raw = Buffer.from(encoded, 'latin1');
  if (!encoded.includes('%')) return raw;
  let length = 0;
  for (let at = 0; at < raw.length; at += 1) {
    let byte = raw[at] ?? 0;
    if (byte === PERCENT) {
      byte = hexDigit(raw[at + 1]) * 16 + hexDigit(raw[at + 2]);
      if (Number.isNaN(byte)) throw new KvError(code, 'a % must be followed by two hex digits');
      at += 2;
    }
    raw[length] = byte;
    length += 1;
  }
  return raw.subarray(0, length);
}

const PERCENT = 0x25;

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return Number.NaN;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}

/** Path of a key below `/kv/`: slashes stay readable, all else but unreserved characters is encoded. */
export const encodeKey = (key: Uint8Array): string =>
  textOf(key).split('/').map(encodeURIComponent).join('/');

/** True for a key that the bare alias `/KEY` must refuse. */
export function hasReservedSegment(key: Uint8Array): boolean {
  const slash = key.indexOf(0x2f);
  const first = slash < 0 ? key : key.subarray(0, slash);
  return first.length <= 16 && RESERVED_SEGMENTS.has(textOf(first));
}
