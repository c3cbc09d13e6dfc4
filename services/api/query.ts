/**
 * Query strings. Every name must be known and stand once: a mistyped `consistancy=stale` that is
 * silently ignored would be a wrong answer. `+` is a space, as forms and URLSearchParams write it.
 */
import { textOf } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { percentDecode } from './key-path.ts';

/** Parameters by name, as bytes: prefixes of keys need not be whole characters. */
export type Query = ReadonlyMap<string, Uint8Array>;

const EMPTY: Query = new Map();

/** The path and the query of a request target, split at the first `?`. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf('?');
  if (mark < 0) return { path: target, query: '' };
  return { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** @throws KvError `INVALID_ARGUMENT` on unknown, repeated or malformed parameters. */
export function parseQuery(query: string, known: readonly string[]): Query {
  if (query === '') return EMPTY;
  const found = new Map<string, Uint8Array>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!known.includes(name)) {
      throw new KvError('INVALID_ARGUMENT', `unknown parameter; known here: ${known.join(', ')}`);
    }
    if (found.has(name)) throw new KvError('INVALID_ARGUMENT', `${name} stands twice`);
    const value = equals < 0 ? '' : pair.slice(equals + 1).replaceAll('+', '%20');
    found.set(name, percentDecode(value, 'INVALID_ARGUMENT'));
  }
  return found;
}

/** A parameter as text; undefined where absent. @throws KvError `INVALID_ARGUMENT` when no UTF-8. */
export function textParameter(query: Query, name: string): string | undefined {
  const bytes = query.get(name);
  if (bytes === undefined) return undefined;
  try {
    return textOf(bytes);
  } catch (cause) {
    throw new KvError('INVALID_ARGUMENT', `${name} is not UTF-8`, { cause });
  }
}

/** A whole number from 0 in plain digits. @throws KvError `INVALID_ARGUMENT`. */
export function numberParameter(query: Query, name: string): number | undefined {
  const text = textParameter(query, name);
  return text === undefined ? undefined : wholeNumber(text, name, 'INVALID_ARGUMENT');
}

/** `0`, `false` or absent: false; `1`, `true` or bare: true. @throws KvError `INVALID_ARGUMENT`. */
export function flagParameter(query: Query, name: string): boolean {
  const text = textParameter(query, name);
  if (text === undefined || text === '0' || text === 'false') return false;
  if (text === '' || text === '1' || text === 'true') return true;
  throw new KvError('INVALID_ARGUMENT', `${name} is 1 or 0`);
}

/** A safe whole number of plain digits. @throws KvError `code`. */
export function wholeNumber(
  text: string,
  name: string,
  code: 'INVALID_ARGUMENT' | 'INVALID_HEADER',
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new KvError(code, `${name} must be a whole number`);
  return value;
}
