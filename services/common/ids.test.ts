import { describe, expect, test } from '@jest/globals';
import {
  birthOf,
  bytesOfHex,
  copyId,
  copyIdFrom,
  digest,
  digestFrom,
  hexOf,
  logIndex,
  mintTxnId,
  shardId,
  term,
} from './ids.ts';
import { mintCopyId, seededRandom, systemRandom } from './random.ts';

describe('identifiers', () => {
  test('refuse what is out of range', () => {
    expect(() => term(-1)).toThrow('term out of range');
    expect(() => logIndex(2 ** 53)).toThrow('log index out of range');
    expect(() => shardId(256)).toThrow('shard out of range');
    expect(() => copyId('XYZ')).toThrow('copy id is not 32 hex digits');
  });

  test('a transaction id carries its birth', () => {
    const random = seededRandom(1);
    for (const birth of [0, 1, 2 ** 32, 2 ** 48 - 1]) {
      expect(birthOf(mintTxnId(logIndex(birth), random.bytes(10)))).toBe(birth);
    }
    expect(() => mintTxnId(logIndex(2 ** 48), random.bytes(10))).toThrow('48 bits');
  });

  test('system randomness never repeats a copy id', () => {
    const ids = new Set(Array.from({ length: 10_000 }, () => mintCopyId(systemRandom)));
    expect(ids.size).toBe(10_000);
  });

  test('hex goes both ways', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect([...bytesOfHex(hexOf(bytes))]).toEqual([...bytes]);
  });

  test('of bytes have the right number of them', () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => i);
    expect(copyIdFrom(bytes.subarray(16))).toBe(copyId(hexOf(bytes.subarray(16))));
    expect(digestFrom(bytes)).toBe(digest(hexOf(bytes)));
    expect(() => copyIdFrom(bytes)).toThrow('a copy id has 16 bytes');
    expect(() => digestFrom(bytes.subarray(1))).toThrow('a digest has 32 bytes');
  });
});
