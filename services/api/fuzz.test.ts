/** What any client may write into a request: a value, or the error that the parser is said to throw. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { utf8 } from '../common/bytes.ts';
import { blobId } from '../common/ids.ts';
import { valueOr } from '../testing/arbitrary-damage.ts';
import { parseRange } from './byte-range.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { etagOf, parseTags, TAGS_MAX, tagsMatch } from './etag.ts';
import { decodeKey, keyOfText, percentDecode } from './key-path.ts';
import { flagParameter, numberParameter, parseQuery, splitTarget, textParameter } from './query.ts';
import { JSON_DEPTH_MAX, parseStrictJson } from './strict-json.ts';

const bytes = fc.uint8Array({ maxLength: 20 });
const text = fc.string({ unit: 'binary', maxLength: 60 });
const header = fc.string({ unit: 'binary-ascii', maxLength: 60 });
const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
const scope = fc.record({ prefix: bytes, start: bytes, end: bytes });

test('a cursor leads back to its key, and to nothing in another listing or with another letter', () => {
  fc.assert(
    fc.property(scope, scope, fc.uint8Array({ minLength: 1, maxLength: 40 }), (own, other, key) => {
      const cursor = encodeCursor(own, key);
      expect([...decodeCursor(own, cursor)]).toEqual([...key]);
      const same = JSON.stringify(own) === JSON.stringify(other);
      const strange = valueOr(['INVALID_ARGUMENT'], () => decodeCursor(other, cursor));
      expect(strange === undefined).toBe(!same);
    }),
  );
  fc.assert(
    fc.property(scope, text, (own, cursor) => {
      const key = valueOr(['INVALID_ARGUMENT'], () => decodeCursor(own, cursor));
      if (key !== undefined) expect(encodeCursor(own, key)).toBe(cursor);
    }),
    { numRuns: 300 },
  );
});

test('a list of tags holds those of ours that stand in it, and any other text is refused', () => {
  const list = fc.array(hex, { minLength: 1, maxLength: TAGS_MAX });
  fc.assert(
    fc.property(list, fc.constantFrom(',', ', ', ' ,\t'), (ids, comma) => {
      const tags = parseTags(ids.map((id) => etagOf(blobId(id))).join(comma), true);
      expect(tags).toEqual({ kind: 'tags', blobIds: ids });
      for (const id of ids) expect(tagsMatch(tags, blobId(id))).toBe(true);
    }),
  );
  const likely = fc.stringMatching(/^(W\/)?("[a-f0-9]{0,33}"[, ]{0,2}){0,20}\*?$/);
  fc.assert(
    fc.property(fc.oneof(header, likely), fc.boolean(), (value, isStrong) => {
      const tags = valueOr(['INVALID_HEADER'], () => parseTags(value, isStrong));
      if (tags?.kind === 'tags') expect(tags.blobIds.length).toBeLessThanOrEqual(TAGS_MAX);
    }),
    { numRuns: 300 },
  );
});

test('a range lies within the value, or is none, or is refused', () => {
  const likely = fc.stringMatching(/^bytes=\d{0,17}-\d{0,17}(,\d{0,3}-\d{0,3}){0,2}$/);
  const size = fc.oneof(fc.nat(20), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.oneof(likely, header), size, (value, total) => {
      const range = valueOr(['INVALID_RANGE'], () => parseRange(value, total));
      if (range == null) return;
      expect(range.offset).toBeGreaterThanOrEqual(0);
      expect(range.length).toBeGreaterThan(0);
      expect(range.offset + range.length).toBeLessThanOrEqual(total);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 1000 }), (a, b, total) => {
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const expected = { offset: first, length: Math.min(last, total - 1) - first + 1 };
      const range = valueOr(['INVALID_RANGE'], () => parseRange(`bytes=${first}-${last}`, total));
      expect(range).toEqual(first < total ? expected : undefined);
    }),
  );
});

test('whatever stands in a path is a key that can be written back, or INVALID_KEY', () => {
  const path = fc.stringMatching(/^([a-z/.]|%[0-9a-fA-F]{0,2}){0,20}$/);
  fc.assert(
    fc.property(fc.oneof(path, header), (encoded) => {
      const key = valueOr(['INVALID_KEY'], () => decodeKey(encoded));
      if (key === undefined) return;
      expect(key.length).toBeGreaterThan(0);
      expect(Buffer.from(key).toString()).not.toContain('\0');
      expect(keyOfText(Buffer.from(key).toString())).toEqual(new Uint8Array(key));
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(text, (any) => {
      valueOr(['INVALID_KEY'], () => keyOfText(any));
      const decoded = valueOr(['INVALID_ARGUMENT'], () => percentDecode(any, 'INVALID_ARGUMENT'));
      if (decoded !== undefined) expect(decoded.length).toBeLessThanOrEqual(any.length);
    }),
  );
});

test('a query is read as it was written, or INVALID_ARGUMENT', () => {
  const known = ['prefix', 'limit', 'consistency'];
  const parameters = fc.dictionary(fc.constantFrom(...known), fc.string({ unit: 'grapheme' }));
  fc.assert(
    fc.property(parameters, (wanted) => {
      const query = new URLSearchParams(wanted).toString();
      const { path, query: rest } = splitTarget(`/kv/a?${query}`);
      const found = parseQuery(rest, known);
      expect(path).toBe('/kv/a');
      for (const name of known) expect(textParameter(found, name)).toBe(wanted[name]);
    }),
  );
  const likely = fc.stringMatching(/^(&?(prefix|limit|x)=?[0-9a-z%+]{0,17}){0,4}$/);
  fc.assert(
    fc.property(fc.oneof(likely, header), (query) => {
      const found = valueOr(['INVALID_ARGUMENT'], () => parseQuery(query, known));
      if (found === undefined) return;
      const count = valueOr(['INVALID_ARGUMENT'], () => numberParameter(found, 'limit'));
      if (count !== undefined) expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
      valueOr(['INVALID_ARGUMENT'], () => flagParameter(found, 'prefix'));
    }),
    { numRuns: 300 },
  );
});

test('a body is what JSON.parse says, or INVALID_JSON', () => {
  const json = fc.json({ maxDepth: 6 });
  const cut = fc.tuple(json, fc.nat()).map(([all, at]) => all.slice(0, at % (all.length + 1)));
  const names = fc.array(fc.constantFrom('"a"', '"b"', String.raw`"\u0061"`), { maxLength: 4 });
  const twice = names.map((some) => `{${some.map((name) => `${name}:[{}]`).join(',')}}`);
  fc.assert(
    fc.property(fc.oneof(json, cut, twice, text), (body) => {
      const value = valueOr(['INVALID_JSON'], () => parseStrictJson(utf8(body)));
      if (value !== undefined) expect(value).toEqual(JSON.parse(body.toWellFormed()));
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(names, (some) => {
      const isOnce = new Set(some.map((name) => JSON.parse(name) as string)).size === some.length;
      const body = utf8(`{${some.map((name) => `${name}:1`).join(',')}}`);
      expect(valueOr(['INVALID_JSON'], () => parseStrictJson(body)) !== undefined).toBe(isOnce);
    }),
  );
  const deep = (depth: number): Uint8Array => utf8(`${'['.repeat(depth)}${']'.repeat(depth)}`);
  expect(valueOr(['INVALID_JSON'], () => parseStrictJson(deep(JSON_DEPTH_MAX)))).toBeDefined();
  expect(valueOr(['INVALID_JSON'], () => parseStrictJson(deep(100_000)))).toBeUndefined();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (any) => {
      valueOr(['INVALID_JSON'], () => parseStrictJson(any));
    }),
  );
});
