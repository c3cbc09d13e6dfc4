/**
 * The Range header. Malformed ones are ignored as RFC 9110 says; more than one range is refused,
 * because an answer of many parts would need unbounded work for few bytes.
 */
import { KvError } from '../common/errors.ts';

export interface ParsedRange {
  readonly offset: number;
  readonly length: number;
}

/** Digits that a position may have: 2^53 has sixteen. */
const SPEC = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/i;
const MANY = /^bytes=[\d\s,-]{1,4096}$/i;

/**
 * The range of a value of `size` bytes that `header` asks for; null: answer the whole value.
 * @throws KvError `INVALID_RANGE` when it lies beyond the end, or for several ranges.
 */
export function parseRange(header: string, size: number): ParsedRange | null {
  const match = SPEC.exec(header.trim());
  if (match === null) {
    if (header.includes(',') && MANY.test(header.trim())) {
      throw new KvError('INVALID_RANGE', 'one range at a time', { detail: { size } });
    }
    return null;
  }
  const [, first, last, suffix] = match;
  if (suffix !== undefined) return suffixRange(Number(suffix), size);
  const offset = Number(first);
  const end = last === '' || last === undefined ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && last !== undefined && Number(last) < offset) return null;
  if (offset >= size) throw beyondEnd(size);
  return { offset, length: end - offset + 1 };
}

function suffixRange(count: number, size: number): ParsedRange {
  if (count === 0 || size === 0) throw beyondEnd(size);
  const length = Math.min(count, size);
  return { offset: size - length, length };
}

const beyondEnd = (size: number): KvError =>
  new KvError('INVALID_RANGE', `the range lies beyond the end of ${size} bytes`, {
    detail: { size },
  });
