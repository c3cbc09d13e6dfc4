import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { blobId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { parseRange } from './byte-range.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { errorBodyOf, errorBodySchema } from './error-body.ts';
import { etagOf, parseTags, tagsMatch } from './etag.ts';
import { decodeKey, encodeKey, hasReservedSegment, keyOfText } from './key-path.ts';
import { flagParameter, numberParameter, parseQuery, textParameter } from './query.ts';
import { CONTROL_ROUTES, routesAt } from './routes.ts';
import { checkShape } from './shape.ts';
import { JSON_DEPTH_MAX, parseStrictJson } from './strict-json.ts';

/** The code of what `run` throws. */
function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof KvError) return error.code;
    throw error;
  }
  return 'nothing';
}

const validText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((text) => text.isWellFormed() && !text.includes('\0'));

describe('a key in a path', () => {
  test('comes back the same bytes, whatever its text', () => {
    fc.assert(
      fc.property(validText, (text) => {
        expect(decodeKey(encodeKey(utf8(text)))).toEqual(Buffer.from(text));
      }),
    );
  });

  test.each(['/a/../b', '%2e%2e%2f', 'a%5Cb', '//x', '.', '%252e', 'a b', 'ü'])(
    '%s is decoded once and not normalised',
    (text) => {
      const key = decodeKey(text.replace('ü', 'Ã¼'));
      const expected = text === 'ü' ? 'ü' : decodeURIComponent(text);
      expect(Buffer.from(key).toString()).toBe(expected);
    },
  );

  test.each(['', '%zz', '%f', '%', '%ff', '%c0%af', '%ed%a0%80', '%00', 'a%00b', 'x'.repeat(1025)])(
    '%s is INVALID_KEY',
    (text) => {
      expect(codeOf(() => decodeKey(text))).toBe('INVALID_KEY');
    },
  );

  test('has up to 1024 bytes after decoding', () => {
    expect(decodeKey('%41'.repeat(1024))).toHaveLength(1024);
    expect(codeOf(() => decodeKey('%41'.repeat(1025)))).toBe('INVALID_KEY');
  });

  test('as JSON text must be well-formed', () => {
    expect(codeOf(() => keyOfText('\ud800'))).toBe('INVALID_KEY');
    expect(keyOfText('é')).toEqual(utf8('é'));
  });

  test('with a reserved first segment is known, longer and inner ones are not', () => {
    expect(hasReservedSegment(utf8('health'))).toBe(true);
    expect(hasReservedSegment(utf8('admin/x'))).toBe(true);
    expect(hasReservedSegment(utf8('healthy'))).toBe(false);
    expect(hasReservedSegment(utf8('x/health'))).toBe(false);
    expect(hasReservedSegment(utf8('__proto__'))).toBe(false);
  });
});

describe('ETags', () => {
  const id = blobId('0123456789abcdef0123456789abcdef');

  test('a list holds ours; foreign ones match nothing', () => {
    const tags = parseTags(`"other", ${etagOf(id)}`, true);
    expect(tagsMatch(tags, id)).toBe(true);
    expect(tagsMatch(parseTags('"other"', true), id)).toBe(false);
    expect(tagsMatch(parseTags('*', true), id)).toBe(true);
  });

  test('a weak tag matches only where weak comparison is asked for', () => {
    expect(tagsMatch(parseTags(`W/${etagOf(id)}`, true), id)).toBe(false);
    expect(tagsMatch(parseTags(`W/${etagOf(id)}`, false), id)).toBe(true);
  });

  test.each(['', 'abc', '"a', '"a" "b"', '"a",', '*, "a"', '"a""b"'])('%j is refused', (text) => {
    expect(codeOf(() => parseTags(text, true))).toBe('INVALID_HEADER');
  });
});

describe('a Range header', () => {
  test.each([
    ['bytes=0-4', 0, 5],
    ['bytes=5-', 5, 5],
    ['bytes=-3', 7, 3],
    ['bytes=-30', 0, 10],
    ['bytes=9-99', 9, 1],
    ['BYTES=0-0', 0, 1],
  ])('%s of ten bytes', (header, offset, length) => {
    expect(parseRange(header, 10)).toEqual({ offset, length });
  });

  test.each(['bytes=5-2', 'bytes=', 'bytes=a-b', 'lines=0-1', 'bytes 0-1', 'bytes=-'])(
    '%s is ignored',
    (header) => {
      expect(parseRange(header, 10)).toBeNull();
    },
  );

  test.each(['bytes=10-', 'bytes=-0', 'bytes=0-1,3-4'])('%s is INVALID_RANGE', (header) => {
    expect(codeOf(() => parseRange(header, 10))).toBe('INVALID_RANGE');
  });

  test('an empty value satisfies none', () => {
    expect(codeOf(() => parseRange('bytes=0-', 0))).toBe('INVALID_RANGE');
    expect(codeOf(() => parseRange('bytes=-1', 0))).toBe('INVALID_RANGE');
  });
});

describe('a query', () => {
  test('gives bytes, text, numbers and flags', () => {
    const query = parseQuery('prefix=%ff&limit=10&redirect&text=a+b', [
      'prefix',
      'limit',
      'redirect',
      'text',
    ]);
    expect(query.get('prefix')).toEqual(Buffer.from([255]));
    expect(numberParameter(query, 'limit')).toBe(10);
    expect(flagParameter(query, 'redirect')).toBe(true);
    expect(flagParameter(query, 'absent')).toBe(false);
    expect(textParameter(query, 'text')).toBe('a b');
    expect(codeOf(() => textParameter(query, 'prefix'))).toBe('INVALID_ARGUMENT');
  });

  test.each(['other=1', 'limit=1&limit=2', 'limit=%zz'])('%s is refused', (text) => {
    expect(codeOf(() => parseQuery(text, ['limit']))).toBe('INVALID_ARGUMENT');
  });

  test.each(['-1', 'NaN', '1e99', '', '1.5', '99999999999999999', '0x10'])(
    'limit=%s is no number',
    (text) => {
      const query = parseQuery(`limit=${text}`, ['limit']);
      expect(codeOf(() => numberParameter(query, 'limit'))).toBe('INVALID_ARGUMENT');
    },
  );
});

describe('strict JSON', () => {
  const parse = (text: string): unknown => parseStrictJson(utf8(text));

  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('refuses equal names, also escaped, at any depth, but not in different objects', () => {
    expect(codeOf(() => parse('{"a":1,"a":2}'))).toBe('INVALID_JSON');
    expect(codeOf(() => parse('[{"x":{"a":1,"b":[],"\\u0061":2}}]'))).toBe('INVALID_JSON');
    expect(parse('[{"a":"a"},{"a":{"a":["a","a"]}}]')).toEqual([
      { a: 'a' },
      { a: { a: ['a', 'a'] } },
    ]);
  });

  test('refuses depth over the limit', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(codeOf(() => parse(nested(JSON_DEPTH_MAX)))).toBe('nothing');
    expect(codeOf(() => parse(nested(JSON_DEPTH_MAX + 1)))).toBe('INVALID_JSON');
    expect(codeOf(() => parse(nested(200_000)))).toBe('INVALID_JSON');
  });

  test('refuses bytes that are no UTF-8 and text that is no JSON', () => {
    expect(codeOf(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('INVALID_JSON');
    expect(codeOf(() => parse('{'))).toBe('INVALID_JSON');
  });
});

describe('a cursor', () => {
  const scope = { prefix: utf8('a'), start: utf8(''), end: utf8('z') };

  test('gives its key back to the same listing only', () => {
    const cursor = encodeCursor(scope, utf8('a/key'));
    expect(decodeCursor(scope, cursor)).toEqual(Buffer.from('a/key'));
    expect(codeOf(() => decodeCursor({ ...scope, prefix: utf8('b') }, cursor))).toBe(
      'INVALID_ARGUMENT',
    );
  });

  test('is refused after any change', () => {
    const cursor = encodeCursor(scope, utf8('a/key'));
    const random = seededRandom(7);
    for (let round = 0; round < 50; round += 1) {
      const at = random.below(cursor.length);
      const changed = cursor.slice(0, at) + (cursor[at] === 'A' ? 'B' : 'A') + cursor.slice(at + 1);
      expect(codeOf(() => decodeCursor(scope, changed))).toBe('INVALID_ARGUMENT');
    }
    for (const text of ['', 'x', '!!!!', `${cursor}=`]) {
      expect(codeOf(() => decodeCursor(scope, text))).toBe('INVALID_ARGUMENT');
    }
  });
});

describe('the error body', () => {
  test('lifts txnId and raftIndex out of the detail', () => {
    const error = new KvError('DEADLINE_EXCEEDED', 'nobody knows yet', {
      detail: { txnId: 'ab', raftIndex: 7, waitedMs: 5 },
    });
    const body = errorBodyOf(error, 'r1');
    expect(errorBodySchema.parse(body)).toEqual({
      code: 'DEADLINE_EXCEEDED',
      message: 'nobody knows yet',
      outcome: 'unknown',
      requestId: 'r1',
      txnId: 'ab',
      raftIndex: 7,
      detail: { waitedMs: 5 },
    });
  });

  test('tells nothing of an error that is not ours', () => {
    expect(JSON.stringify(errorBodyOf(new Error('secret path'), 'r2'))).not.toContain('secret');
  });
});

test('routesAt matches whole segments', () => {
  const paths = (path: string): string[] => routesAt(CONTROL_ROUTES, path).map((r) => r.path);
  expect(paths('/admin/volumes/v1')).toEqual(['/admin/volumes/:name']);
  expect(paths('/admin/volumes/')).toEqual([]);
  expect(paths('/admin/volumes/v1/x')).toEqual([]);
});

test('checkShape names the field at fault', () => {
  const schema = z.strictObject({ a: z.object({ b: z.number() }) });
  expect(() => checkShape(schema, { a: { b: 'x' } })).toThrow(/^a\.b: /);
  expect(codeOf(() => checkShape(schema, { a: { b: 1 }, c: 1 }))).toBe('INVALID_ARGUMENT');
});
