/** Rows of every kind: what is written reads back, and damaged bytes are a row or `CORRUPT`. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByteWriter } from '../common/bytes.ts';
import { logIndex } from '../common/ids.ts';
import { hostile, valueOr } from '../testing/arbitrary-damage.ts';
import {
  anyAnswer,
  anyCluster,
  anyCounters,
  anyDisk,
  anyMarks,
  anyOutcome,
  anyRecord,
  anyThin,
} from '../testing/arbitrary-rows.ts';
import * as codec from './record-codec.ts';

interface RowCodec<T> {
  readonly any: fc.Arbitrary<T>;
  readonly encode: (row: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}

const out = new ByteWriter();
const KEY = Uint8Array.of(1, 2);

/** Hides which rows a codec is of, so that all go through the same properties. */
function row<T>({ any, encode, decode }: RowCodec<T>) {
  return () => {
    fc.assert(
      fc.property(any, (value) => {
        expect(decode(encode(value))).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(hostile(any.map(encode)), (bytes) => {
        valueOr(['CORRUPT', 'DISK_FAILED'], () => decode(bytes));
      }),
      { numRuns: 300 },
    );
  };
}

const ROWS = {
  record: row({
    any: anyRecord,
    encode: (value) => codec.encodeRecord(out, value),
    decode: codec.decodeRecord,
  }),
  outcome: row({
    any: anyOutcome,
    encode: (value) => codec.encodeOutcome(out, value),
    decode: codec.decodeOutcome,
  }),
  answer: row({
    any: anyAnswer,
    encode: (value) => codec.encodeAnswer(out, value),
    decode: codec.decodeAnswer,
  }),
  thin: row({
    any: anyThin.map((thin) => ({ key: KEY, ...thin })),
    encode: (value) => codec.encodeThin(out, value),
    decode: (bytes) => codec.decodeThin(KEY, bytes),
  }),
  index: row({
    any: fc.maxSafeNat().map(logIndex),
    encode: (value) => codec.encodeIndex(out, value),
    decode: codec.decodeIndex,
  }),
  disk: row({
    any: anyDisk,
    encode: (value) => codec.encodeDisk(out, value),
    decode: codec.decodeDisk,
  }),
  marks: row({
    any: anyMarks,
    encode: (value) => codec.encodeMarks(out, value),
    decode: codec.decodeMarks,
  }),
  cluster: row({
    any: anyCluster,
    encode: (value) => codec.encodeCluster(out, value),
    decode: codec.decodeCluster,
  }),
  counters: row({
    any: anyCounters,
    encode: (value) => codec.encodeCounters(out, value),
    decode: codec.decodeCounters,
  }),
};

describe('rows come back as they were written, and whatever the bytes, they are a row, CORRUPT or of a newer build', () => {
  test.each(Object.entries(ROWS))('%s', (_, check) => check());
});
