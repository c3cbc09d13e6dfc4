/** What LevelDB's files have in common: numbers of any length, and checksums that are masked. */
import { crc32c } from '../common/crc32c.ts';
import { KvError } from '../common/errors.ts';

const MASK_DELTA = 0xa282ead8;

/** Whether `stored` is the CRC-32C of `bytes` as LevelDB masks it: bits turned by 15, and a constant added. */
export function isCrcOf(bytes: Uint8Array, stored: number): boolean {
  const rotated = (stored - MASK_DELTA) >>> 0;
  return crc32c(bytes) === ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** Reads forward. @throws KvError `CORRUPT` where what it reads ends too early. */
export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  u32(): number {
    let value = 0;
    for (let i = 0; i < 4; i += 1) value += this.u8() * 2 ** (8 * i);
    return value;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** Passes over bytes behind their length. */
  skipBytes(): void {
    const length = this.varint();
    if (length > this.#end - this.at) throw ended();
    this.at += length;
  }

  u8(): number {
    const byte = this.at < this.#end ? this.#bytes[this.at] : undefined;
    if (byte === undefined) throw ended();
    this.at += 1;
    return byte;
  }
}

const ended = (): KvError => new KvError('CORRUPT', 'it ends inside an entry');
