/**
 * BLAKE3-256, the digest that metadata holds of every value. The package picks its native build and
 * falls back to WebAssembly where no compiler could build it; `digestBuild` says which one runs. Small
 * values, which are most, go through one WebAssembly hasher that is used again and again: the native
 * one makes a new object with a finalizer for each value, which costs several times the hashing.
 */
import { createRequire } from 'node:module';
import { createHash, load } from 'blake3';
import { createBLAKE3 } from 'hash-wasm';
import { type Digest, digest } from './ids.ts';
import { KIB } from './units.ts';

// The WebAssembly build computes nothing before it is loaded; the native one has nothing to load.
await load();
const small = await createBLAKE3();

/** To be ended by one of `finish` and `discard`: the WebAssembly build has room for some 8,000 at a time. */
export interface DigestStream {
  update(bytes: Uint8Array): void;
  /** Ends the stream; call once. */
  finish(): Digest;
  /** Ends a stream whose digest is not wanted; one that has ended stays so. */
  discard(): void;
}

/**
 * Bytes handed over at once. The WebAssembly build has 1 MiB to take them in: of more it makes a wrong
 * digest, of much more none.
 */
const PIECE_BYTES = 512 * KIB;

/** Up to here the reused hasher is faster (1 KiB: 2 us against 7), from about 4 KiB on the native one. */
const SMALL_BYTES_MAX = 3 * KIB;

/** Digest of bytes at hand. */
export function digestOf(bytes: Uint8Array): Digest {
  if (bytes.length <= SMALL_BYTES_MAX) return digest(small.init().update(bytes).digest('hex'));
  const stream = digestStream();
  stream.update(bytes);
  return stream.finish();
}

/** Digest of bytes that arrive in pieces. */
export function digestStream(): DigestStream {
  const hasher = createHash();
  return {
    update(bytes) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        hasher.update(bytes.subarray(at, at + PIECE_BYTES));
      }
    },
    finish() {
      const found = digest(hasher.digest().toString('hex'));
      hasher.dispose();
      return found;
    },
    discard: () => hasher.dispose(),
  };
}

/** Which build of BLAKE3 serves in this process. */
export const digestBuild: 'native' | 'wasm' = nativeLoads() ? 'native' : 'wasm';

function nativeLoads(): boolean {
  try {
    createRequire(import.meta.url)('@c4312/blake3-native');
    return true;
  } catch {
    return false;
  }
}
