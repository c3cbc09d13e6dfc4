/** The few names of a small world: one key, and copies and transactions by number. */
import { utf8 } from '../../common/bytes.ts';

export const KEY = utf8('k');
/** Copy and transaction that the key has from the start. */
export const BASE = 9;
/** Copy and transaction of the n-th move. */
export const MOVE = 32;

/** What a copy is called in a trace: c1 is gateway 1's, m1 the first moved one. */
export function copyName(number: number): string {
  if (number === BASE) return 'c0';
  return number >= MOVE ? `m${number - MOVE + 1}` : `c${number}`;
}

/** The number in an id of this world. */
export const numberOf = (id: string): number => Number.parseInt(id, 16);
