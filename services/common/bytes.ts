/**
 * Little-endian reading and writing of binary records. A reader throws `KvError CORRUPT` on a short
 * or oversized field and never allocates more than the bytes at hand; every decoder builds on it.
 */
import { KvError } from './errors.ts';
import { bufferOf, hexByteAt } from './ids.ts';

const encoder = new TextEncoder();
/** A byte order mark is text like any other: what was stored comes back with it. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const utf8 = (text: string): Uint8Array => encoder.encode(text);
/** Text of UTF-8 bytes. @throws TypeError on malformed UTF-8. */
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

/** Byte order comparison: negative, 0 or positive, as `Array.sort` wants it. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Small arrays are cut from slabs: outside of V8's heap each would cost an allocation of its own. */
const SLAB_BYTES = 64 * 1024;
const SMALL_BYTES_MAX = SLAB_BYTES / 8;
/** Cuts begin at multiples of this, so that words within them are aligned. */
const ALIGNMENT = 8;

/** Where small arrays are cut from. One keeps all those alive that were cut from the same slab beside it. */
export class Slabs {
  #slab = new Uint8Array(SLAB_BYTES);
  #used = 0;

  /** Zeroed bytes. */
  allocate(length: number): Uint8Array {
    if (length > SMALL_BYTES_MAX) return new Uint8Array(length);
    if (this.#used + length > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const bytes = this.#slab.subarray(this.#used, this.#used + length);
    this.#used += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    return bytes;
  }

  copyOf(bytes: Uint8Array): Uint8Array {
    const copy = this.allocate(bytes.length);
    copy.set(bytes);
    return copy;
  }
}

const shortLived = new Slabs();

/**
 * Zeroed bytes for something short-lived: a small array shares its slab with its neighbours and keeps
 * all of it alive. What stays for long has `new Uint8Array` or slabs of its own.
 */
export const allocate = (length: number): Uint8Array => shortLived.allocate(length);

/** A copy that lives as long as `allocate` says. */
export const copyOf = (bytes: Uint8Array): Uint8Array => shortLived.copyOf(bytes);

/** For who fills them at once, and gives on only what was filled: large ones hold whatever was there before. */
export function unfilled(length: number): Uint8Array {
  if (length <= SMALL_BYTES_MAX) return new Uint8Array(length);
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const part of parts) total += part.length;
  const out = unfilled(total);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The number at `at`, of which 8 bytes must be there. @throws KvError `CORRUPT` when it exceeds 2^53-1. */
export function u64At(bytes: Uint8Array, at: number): number {
  const high = u32At(bytes, at + 4);
  if (high > 0x1fffff) throw new KvError('CORRUPT', 'a 64-bit field exceeds 2^53-1');
  return high * 2 ** 32 + u32At(bytes, at);
}

/** The number at `at`, of which 4 bytes must be there. */
export function u32At(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return (low | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const SHORT_TEXT_MAX = 128;
const ASCII_MAX = 0x7f;

/** Appends fields to a buffer that grows by doubling. */
export class ByteWriter {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = allocate(capacity);
    this.#view = viewOf(this.#buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** A safe integer in 8 bytes. */
  u64(value: number): this {
    const at = this.#grow(8);
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    return this;
  }

  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** Length (u32) and the bytes. */
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** Length (u32) and UTF-8. */
  text(text: string): this {
    return this.#shortAscii(text) ? this : this.bytes(utf8(text));
  }

  /** Hex digits as half as many raw bytes. */
  hex(text: string): this {
    const at = this.#grow(text.length >>> 1);
    for (let i = 0; i < text.length; i += 2) {
      this.#buffer[at + (i >>> 1)] = hexByteAt(text, i);
    }
    return this;
  }

  /** Forgets what was written and keeps the buffer, for the next record. */
  reset(): this {
    this.#length = 0;
    return this;
  }

  /** The bytes written so far; a view that is valid until the next write. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Names and types, which are nearly always this: in place, without an array for each. */
  #shortAscii(text: string): boolean {
    const { length } = text;
    if (length > SHORT_TEXT_MAX) return false;
    const start = this.#length;
    this.u32(length);
    const at = this.#grow(length);
    for (let i = 0; i < length; i += 1) {
      const code = text.charCodeAt(i);
      if (code > ASCII_MAX) {
        this.#length = start;
        return false;
      }
      this.#buffer[at + i] = code;
    }
    return true;
  }

  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#buffer.length) {
      const larger = allocate(Math.max(needed, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, at));
      this.#buffer = larger;
      this.#view = viewOf(larger);
    }
    this.#length = needed;
    return at;
  }
}

/** Takes fields from the front of some bytes. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  /** The same bytes, for all fields that are no bytes: making a view costs more than reading by it. */
  readonly #view: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = bufferOf(bytes);
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#view.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return u32At(this.#bytes, this.#take(4));
  }

  u64(): number {
    return u64At(this.#bytes, this.#take(8));
  }

  /** `count` bytes as a view of the input. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  /** Passes by what `bytes` would give. */
  skipBytes(): void {
    this.#take(this.u32());
  }

  text(): string {
    const bytes = this.bytes();
    try {
      return textOf(bytes);
    } catch (cause) {
      throw new KvError('CORRUPT', 'a text field is not UTF-8', { cause });
    }
  }

  hex(byteCount: number): string {
    const at = this.#take(byteCount);
    return this.#view.toString('hex', at, at + byteCount);
  }

  /** @throws KvError `CORRUPT` when bytes are left over. */
  end(): void {
    if (this.remaining !== 0) throw new KvError('CORRUPT', `${this.remaining} bytes left over`);
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new KvError(
        'CORRUPT',
        `a field needs ${count} bytes, ${this.#bytes.length - at} are left`,
      );
    }
    this.#at = at + count;
    return at;
  }
}
