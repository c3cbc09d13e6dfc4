/** Golden bytes: what stands on disks must be read by every later build, so it may not drift. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32 } from '../common/checksum.ts';
import { digestOf } from '../common/digest.ts';
import { copyId, digest, hexOf, txnId } from '../common/ids.ts';
import { Catalog } from './index/catalog.ts';
import { RECORD_DATA_MAX } from './limits.ts';
import {
  type Address,
  dataOf,
  decodeChunkMeta,
  decodeCopyMeta,
  decodeDropRange,
  decodeHead,
  draft,
  encodeChunkMeta,
  encodeCopyMeta,
  encodeDropRange,
  encodeHead,
  HEADER_BYTES,
  KIND,
  type Kind,
  recordBytesOf,
} from './record.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from './segment/header.ts';
import { freezeCatalog } from './snapshot/file.ts';
import { bytesOf, decodeFront, encodeFront } from './snapshot/format.ts';

const ID = copyId('00112233445566778899aabbccddeeff');
const PLACE = { segment: 7, salt: 0xdecaf, offset: 4096, syncedTo: 4000 };
const COPY = {
  txnId: txnId('0000000000010123456789abcdef0123'),
  digest: digest('ab'.repeat(32)),
  owner: Uint8Array.from([107, 101, 121]),
  sizeBytes: 5 * 2 ** 32 + 1,
  chunkCount: 3,
};

function bytesOfRecord(kind: Kind): Buffer {
  const data =
    kind === KIND.chunk || kind === KIND.whole ? Uint8Array.of(1, 2, 3) : new Uint8Array(0);
  const metas: Partial<Record<Kind, Uint8Array>> = {
    [KIND.chunk]: encodeChunkMeta({ chunkNo: 2, valueOffset: 5 * 2 ** 32 }),
    [KIND.end]: encodeCopyMeta(KIND.end, COPY),
    [KIND.whole]: encodeCopyMeta(KIND.whole, COPY),
    [KIND.drop]: encodeDropRange({ lowest: 3, highest: 9 }),
  };
  const record = draft(kind, ID, metas[kind], { data, crc: crc32(data) });
  const out = Buffer.alloc(recordBytesOf(record));
  const at = encodeHead(out, 0, record, PLACE);
  out.set(data, at);
  return out;
}

describe('a record', () => {
  test.each(Object.entries(KIND))('of kind %s keeps its bytes', (name, kind) => {
    expect(hexOf(bytesOfRecord(kind))).toBe(GOLDEN[name as keyof typeof KIND]);
  });

  test('is read back as it was written', () => {
    const read = (kind: Kind) => {
      const bytes = bytesOfRecord(kind);
      const head = decodeHead(bytes, 0, PLACE)!;
      expect(head).toMatchObject({ kind, copyId: ID, syncedTo: 4000, recordBytes: bytes.length });
      return { head, data: dataOf(bytes, 0, head) };
    };
    expect(decodeChunkMeta(read(KIND.chunk).head.meta)).toEqual({
      chunkNo: 2,
      valueOffset: 5 * 2 ** 32,
    });
    expect(decodeCopyMeta(read(KIND.end).head)).toEqual(COPY);
    expect(decodeCopyMeta(read(KIND.whole).head)).toEqual({ ...COPY, sizeBytes: 3, chunkCount: 0 });
    expect(decodeDropRange(read(KIND.drop).head.meta)).toEqual({ lowest: 3, highest: 9 });
    expect([...read(KIND.whole).data!]).toEqual([1, 2, 3]);
  });

  test('is refused in another place, in another segment and with any bit flipped', () => {
    for (const kind of Object.values(KIND)) {
      const bytes = bytesOfRecord(kind);
      const elsewhere: Address[] = [
        { ...PLACE, segment: 8 },
        { ...PLACE, offset: 4097 },
        { ...PLACE, salt: 1 },
      ];
      for (const address of elsewhere) expect(decodeHead(bytes, 0, address)).toBeNull();
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const head = decodeHead(damaged, 0, PLACE);
        const sound = head !== null && dataOf(damaged, 0, head) !== null;
        expect([bit, sound]).toEqual([bit, false]);
      }
    }
  });

  test('S13: that claims more bytes than a record may have is none, although its checksum holds', () => {
    const claiming = (bytes: number): unknown => {
      const data = new Uint8Array(bytes);
      const record = draft(KIND.whole, ID, encodeCopyMeta(KIND.whole, COPY), { data, crc: 0 });
      const out = Buffer.alloc(HEADER_BYTES + record.meta.length);
      encodeHead(out, 0, record, PLACE);
      return decodeHead(out, 0, PLACE)?.dataBytes;
    };
    expect(claiming(RECORD_DATA_MAX)).toBe(RECORD_DATA_MAX);
    expect(claiming(RECORD_DATA_MAX + 1)).toBeUndefined();
  });

  test('is never made of noise or of a cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (noise, at) => {
        expect(decodeHead(Buffer.from(noise), Math.min(at, noise.length), PLACE)).toBeNull();
      }),
    );
    const bytes = bytesOfRecord(KIND.end);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeHead(bytes.subarray(0, length), 0, PLACE)).toBeNull();
    }
    expect(bytes.length).toBeGreaterThan(HEADER_BYTES);
  });
});

test('a segment head keeps its bytes and survives the loss of either copy', () => {
  const header = { segment: 7, salt: 0xdecaf, replaces: [3, 5] };
  const bytes = encodeSegmentHeader(header);
  expect(digestOf(bytes)).toBe(GOLDEN_SEGMENT);
  expect(hexOf(bytes.subarray(0, 24))).toBe('4d4b530107000000afec0d00020000000300000005000000');
  expect(decodeSegmentHeader(bytes, 7)).toEqual(header);
  expect(decodeSegmentHeader(bytes, 8)).toBeNull();
  for (const at of [0, 130]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    expect(decodeSegmentHeader(damaged, 7)).toEqual(header);
  }
});

test('a segment of a newer build is no damage', () => {
  const bytes = Buffer.from(encodeSegmentHeader({ segment: 7, salt: 0xdecaf, replaces: [] }));
  bytes[3] = 2;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124);
  expect(() => decodeSegmentHeader(bytes, 7)).toThrow(
    expect.objectContaining({ code: 'DISK_FAILED' }),
  );
});

test('a snapshot keeps its bytes and says again what it was told', () => {
  const catalog = new Catalog();
  catalog.segments.add(7, 0xdecaf).bytes = 5000;
  for (const kind of [KIND.chunk, KIND.end, KIND.commit]) {
    const bytes = bytesOfRecord(kind);
    const head = decodeHead(bytes, 0, PLACE)!;
    catalog.apply(head, true, 0);
  }
  const { description, images } = freezeCatalog(catalog, true);
  const body = images.flatMap((image) => image.words.map(bytesOf));
  const bodyCrc = crc32(Buffer.concat(body));
  const front = encodeFront(description, bodyCrc);
  expect(digestOf(Buffer.concat([front, ...body]))).toBe(GOLDEN_SNAPSHOT);
  expect(decodeFront(front)).toEqual({ description, bodyStart: front.length, bodyCrc });
});

const GOLDEN = {
  chunk:
    '4d4b520101000c00030000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '1d80bc558d6a2037020000000000000005000000010203',
  end:
    '4d4b520102003f00000000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '000000001f7396d00000000000010123456789abcdef0123abababababababababababababababab' +
    'abababababababababababababababab0100000005000000030000006b6579',
  whole:
    '4d4b520103003300030000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '1d80bc55aa963dee0000000000010123456789abcdef0123abababababababababababababababab' +
    'abababababababababababababababab6b6579010203',
  commit:
    '4d4b520104000000000000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '00000000c8313c28',
  drop:
    '4d4b520105000800000000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '00000000b1fae4c60300000009000000',
  seal:
    '4d4b520106000000000000000700000000100000a00f000000112233445566778899aabbccddeeff' +
    '000000000713c4ad',
};
const GOLDEN_SEGMENT = 'c0a593589d0c4546bd7e81b84d59a98da0d24395ff288f31905013aff3cb99ad';
const GOLDEN_SNAPSHOT = '04e79148c3a19a0feb3f86c647f74431bab506b425100cee8d09819d7a76673d';
