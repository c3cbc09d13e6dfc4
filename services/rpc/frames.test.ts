import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KvError } from '../common/errors.ts';
import {
  decodeFailure,
  encodeFailure,
  FRAME,
  FrameReader,
  frameOf,
  headerOf,
  isStream,
  parsePreface,
  prefaceOf,
} from './frames.ts';
import { RPC_LIMITS } from './types.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

/** The bytes that docs/formats/wire.md describes: what another version must be able to read. */
describe('golden bytes', () => {
  test('preface', () => {
    expect(prefaceOf('/t.T/Go').toString('hex')).toBe('4d4b565301072f742e542f476f');
  });

  test('frames', () => {
    expect(frameOf(FRAME.open, bytes('')).toString('hex')).toBe('0000000000');
    expect(frameOf(FRAME.message, bytes('abc')).toString('hex')).toBe('0300000001616263');
    expect(headerOf(FRAME.message, 70_000).toString('hex')).toBe('7011010001');
    expect(FRAME).toEqual({ open: 0, message: 1, ping: 2, pong: 3, end: 4, failure: 5 });
  });

  test('failure', () => {
    const error = new KvError('WRONG_NODE', 'not me', { detail: { disk: 3 } });
    const text = '{"code":"WRONG_NODE","message":"not me","detail":{"disk":3}}';
    expect(Buffer.from(encodeFailure(error)).toString()).toBe(text);
    expect(decodeFailure(bytes(text))).toMatchObject({
      code: 'WRONG_NODE',
      message: 'not me',
      detail: { disk: 3 },
    });
  });
});

describe('a preface', () => {
  const whole = prefaceOf('/t.T/Go');

  test('is told from HTTP/2 by its first byte', () => {
    expect(isStream(whole)).toBe(true);
    expect(isStream(bytes('PRI * HTTP/2.0'))).toBe(false);
  });

  test('waits for its last byte, and leaves what comes after it', () => {
    for (let length = 1; length < whole.length; length += 1) {
      expect(parsePreface(whole.subarray(0, length))).toBeNull();
    }
    const { path, rest } = parsePreface(Buffer.concat([whole, bytes('more')])) ?? {};
    expect([path, rest?.toString()]).toEqual(['/t.T/Go', 'more']);
  });

  test.each([
    ['another magic', bytes('MKXS')],
    ['a version from the future', Buffer.concat([bytes('MKVS'), Buffer.of(2, 0)])],
  ])('of %s is refused as soon as that is seen', (_what, begun) => {
    expect(() => parsePreface(begun)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('a reader', () => {
  test('gives the frames that were written, however the bytes are cut', () => {
    const frames = fc.array(
      fc.record({ kind: fc.nat(255), payload: fc.uint8Array({ maxLength: 40 }) }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 20 })), (written, cuts) => {
        const all = Buffer.concat(written.map(({ kind, payload }) => frameOf(kind as 1, payload)));
        const read: { kind: number; payload: string }[] = [];
        const reader = new FrameReader((kind, payload) => {
          read.push({ kind, payload: payload.toString('hex') });
        });
        let at = 0;
        for (const cut of [...cuts, all.length]) {
          if (at < all.length) reader.push(all.subarray(at, at + cut));
          at += cut;
        }
        const expected = written.map(({ kind, payload }) => ({
          kind,
          payload: Buffer.from(payload).toString('hex'),
        }));
        expect(read).toEqual(expected);
      }),
    );
  });

  test('takes a frame of the greatest size and none above it', () => {
    const seen: number[] = [];
    const reader = new FrameReader((_kind, payload) => seen.push(payload.length));
    reader.push(headerOf(FRAME.message, RPC_LIMITS.messageBytesMax));
    reader.push(Buffer.alloc(RPC_LIMITS.messageBytesMax));
    expect(seen).toEqual([RPC_LIMITS.messageBytesMax]);
    expect(() => reader.push(headerOf(FRAME.message, RPC_LIMITS.messageBytesMax + 1))).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE' }),
    );
  });
});

describe('a failure', () => {
  test.each([
    ['no JSON', 'oops'],
    ['another shape', '[1]'],
    ['null', 'null'],
    ['an unknown code', '{"code":"NEW_ONE","message":"m"}'],
  ])('that is %s is an internal error', (_what, text) => {
    expect(decodeFailure(bytes(text)).code).toBe('INTERNAL');
  });

  test('keeps plain details only, and none that are too large', () => {
    const text = '{"code":"NO_SPACE","message":"m","detail":{"a":1,"b":{"c":2},"d":"x"}}';
    expect(decodeFailure(bytes(text)).detail).toEqual({ a: 1, d: 'x' });
    const large = new KvError('NO_SPACE', 'm', { detail: { text: 'x'.repeat(5000) } });
    expect(decodeFailure(Buffer.from(encodeFailure(large))).detail).toEqual({});
  });
});
