/** Randomness as a port: system randomness in production, a seed in tests and simulations. */
import { randomBytes, randomInt } from 'node:crypto';
import { type CopyId, copyIdFrom } from './ids.ts';

export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
  /** A whole number in [0, bound). */
  below(bound: number): number;
}

/** Draws for ids come from a pool: one call to the kernel serves many ids. */
const POOL_BYTES = 4096;
let pool = randomBytes(POOL_BYTES);
let poolUsed = 0;

export const systemRandom: Random = {
  bytes(count) {
    if (count > POOL_BYTES / 2) return randomBytes(count);
    if (poolUsed + count > POOL_BYTES) {
      pool = randomBytes(POOL_BYTES);
      poolUsed = 0;
    }
    poolUsed += count;
    return pool.subarray(poolUsed - count, poolUsed);
  },
  below: (bound) => randomInt(bound),
};

/** Deterministic draws from a seed (mulberry32); for tests and simulation, never for ids of value. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
    below: (bound) => Math.floor((next() / 2 ** 32) * bound),
  };
}

/** A fresh 128-bit copy id. */
export const mintCopyId = (random: Random): CopyId => copyIdFrom(random.bytes(16));
