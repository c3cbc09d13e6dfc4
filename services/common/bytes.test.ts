import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  allocate,
  ByteReader,
  ByteWriter,
  compareBytes,
  concatBytes,
  copyOf,
  textOf,
  utf8,
} from './bytes.ts';
import { KvError } from './errors.ts';

test('text keeps its byte order marks', () => {
  for (const text of ['\ufeff', '\ufeffa', '\ufeff\ufeffa', 'a\ufeff']) {
    expect(textOf(utf8(text))).toBe(text);
    expect(new ByteReader(new ByteWriter().text(text).finish()).text()).toBe(text);
  }
});

describe('ByteWriter and ByteReader', () => {
  test('give back every field that went in', () => {
    const u64 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(u64, fc.uint8Array(), fc.string({ unit: 'grapheme' }), (n, bytes, text) => {
        const writer = new ByteWriter(1)
          .u8(7)
          .u16(65_535)
          .u32(2 ** 32 - 1)
          .u64(n);
        const out = writer.bytes(bytes).text(text).hex('00ff10').finish();
        const reader = new ByteReader(out);
        expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([
          7,
          65_535,
          2 ** 32 - 1,
          n,
        ]);
        expect(compareBytes(reader.bytes(), bytes)).toBe(0);
        expect(reader.text()).toBe(text);
        expect(reader.hex(3)).toBe('00ff10');
        reader.end();
      }),
    );
  });

  test('any bytes are read or refused as CORRUPT, never otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const reader = new ByteReader(bytes);
        try {
          while (true) {
            reader.u64();
            reader.text();
          }
        } catch (error) {
          expect(error).toBeInstanceOf(KvError);
          expect((error as KvError).code).toBe('CORRUPT');
        }
      }),
    );
  });

  test('left-over bytes are refused', () => {
    expect(() => new ByteReader(new Uint8Array(1)).end()).toThrow('1 bytes left over');
  });
});

describe('compareBytes', () => {
  test('orders by bytes, a prefix before what it begins', () => {
    expect(compareBytes(utf8('a'), utf8('ab'))).toBeLessThan(0);
    expect(compareBytes(new Uint8Array([0xff]), new Uint8Array([0x01, 0x02]))).toBeGreaterThan(0);
    expect(compareBytes(concatBytes([utf8('a'), utf8('b')]), utf8('ab'))).toBe(0);
  });
});

describe('allocate', () => {
  test('small arrays are zeroed, apart from each other and as long as asked, across slabs', () => {
    const sizes = Array.from({ length: 3000 }, (_, i) => (i * 37) % 300);
    const arrays = sizes.map((size, i) => {
      const bytes = allocate(size);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      return bytes.fill(i % 251);
    });
    arrays.forEach((bytes, i) => {
      expect(bytes).toHaveLength(sizes[i] ?? -1);
      expect(bytes.every((byte) => byte === i % 251)).toBe(true);
    });
  });

  test('a copy does not change with its original', () => {
    const original = utf8('before');
    const copy = copyOf(original);
    original.fill(0);
    expect(copy).toEqual(utf8('before'));
  });
});
