import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ERRORS, type ErrorCode, KvError } from '../common/errors.ts';
import { fromStatus, toStatus } from './status.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];
const carried = (error: KvError): KvError =>
  fromStatus(Object.assign(new Error('transport'), toStatus(error)));

describe('an error on the wire', () => {
  test.each(CODES)('%s keeps its code and has the status of the table', (code) => {
    const error = new KvError(code, 'a sentence');
    expect(toStatus(error).code).toBe(ERRORS[code].grpc);
    expect(carried(error).code).toBe(code);
  });

  test('keeps any sentence and detail', () => {
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean());
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 200 }),
        fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), value, { maxKeys: 4 }),
        (sentence, detail) => {
          const error = carried(new KvError('STALE_EPOCH', sentence, { detail }));
          expect(error.message).toBe(sentence);
          expect(error.detail).toEqual({ ...detail });
        },
      ),
    );
  });

  test('a detail that is too large for a header is left out', () => {
    const error = new KvError('CORRUPT', 'a sentence', { detail: { text: 'x'.repeat(5000) } });
    expect(carried(error)).toMatchObject({ code: 'CORRUPT', detail: {} });
  });

  test('a lone surrogate in the sentence does no harm', () => {
    expect(carried(new KvError('CORRUPT', 'key \ud800')).message).toBe('key \ufffd');
  });

  test('a status of the transport is mapped by number', () => {
    const plain = (code: number): KvError => fromStatus(Object.assign(new Error('x'), { code }));
    expect(plain(14).code).toBe('UNAVAILABLE');
    expect(plain(12).code).toBe('NOT_IMPLEMENTED');
    expect(plain(4).code).toBe('DEADLINE_EXCEEDED');
    expect(plain(99).code).toBe('INTERNAL');
    expect(fromStatus('text').code).toBe('INTERNAL');
  });
});
