/**
 * Values that name their writer: no two writes of a run write the same bytes (besides none at all), so what
 * a read shows says which write it shows. A value is a window of one pool of random bytes with stamps in
 * it: cheap to make again, and chunks that are mixed up or misplaced never compare equal.
 */
import { digestOf } from '../common/digest.ts';
import type { Digest } from '../common/ids.ts';
import { KIB, MIB } from '../common/units.ts';
import { Draw } from './draw.ts';

const POOL_BYTES = 2 * MIB;
const STAMP_BYTES = 8;
const STAMP_EVERY = 16 * KIB;

let pool: Uint8Array | null = null;

export interface Value {
  readonly write: number;
  readonly bytes: Uint8Array;
  /** What it is called in the history. */
  readonly digest: Digest;
}

/** The value of a write: `sizeBytes` is 0, or at least as much as a stamp takes. */
export function makeValue(write: number, sizeBytes: number): Value {
  const size = sizeBytes === 0 ? 0 : Math.max(STAMP_BYTES, sizeBytes);
  const source = thePool();
  const from = (write * 7919) % (POOL_BYTES - size);
  const bytes = source.slice(from, from + size);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + STAMP_BYTES <= size; at += STAMP_EVERY) {
    view.setUint32(at, write, true);
    view.setUint32(at + 4, at, true);
  }
  return { write, bytes, digest: digestOf(bytes) };
}

function thePool(): Uint8Array {
  pool ??= poolBytes();
  return pool;
}

function poolBytes(): Uint8Array {
  const draw = Draw.of(1, 'pool');
  const bytes = new Uint8Array(POOL_BYTES);
  for (let at = 0; at < bytes.length; at += 3) {
    const drawn = draw.below(2 ** 24);
    bytes[at] = drawn & 0xff;
    bytes[at + 1] = (drawn >>> 8) & 0xff;
    bytes[at + 2] = drawn >>> 16;
  }
  return bytes;
}
