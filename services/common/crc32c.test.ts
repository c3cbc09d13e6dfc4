import { describe, expect, test } from '@jest/globals';
import { crc32c } from './crc32c.ts';

describe('crc32c', () => {
  // RFC 3720, appendix B.4.
  test.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['rising', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['falling', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ['nine digits', new TextEncoder().encode('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(0), 0],
  ])('%s', (_name, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  test.each([7, 4096, 16_385, 200_000])('of %i bytes, as it is defined', (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7919) >>> 5);
    expect(crc32c(bytes)).toBe(bitByBit(bytes));
  });
});

/** The remainder that CRC-32C is, bit by bit. */
function bitByBit(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      rest = (rest >>> 1) ^ ((rest & 1) === 1 ? 0x82f63b78 : 0);
    }
  }
  return ~rest >>> 0;
}
