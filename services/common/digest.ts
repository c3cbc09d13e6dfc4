/**
 * BLAKE3-256, the digest that metadata holds of every value. The package picks its native build and
 * falls back to WebAssembly where no compiler could build it; `digestBuild` says which one runs.
 */
import { createRequire } from 'node:module';
import { createHash, hash, load } from 'blake3';
import { type Digest, digest } from './ids.ts';
import { KIB } from './units.ts';

// The WebAssembly build computes nothing before it is loaded; the native one has nothing to load.
await load();

export interface DigestStream {
  update(bytes: Uint8Array): void;
  /** Ends the stream; call once. */
  finish(): Digest;
}

/**
 * Bytes handed over at once. The WebAssembly build has 1 MiB to take them in: of more it makes a wrong
 * digest, of much more none.
 */
const PIECE_BYTES = 512 * KIB;

/** Digest of bytes at hand. */
export function digestOf(bytes: Uint8Array): Digest {
  if (bytes.length <= PIECE_BYTES) return digest(hash(bytes).toString('hex'));
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
    finish: () => digest(hasher.digest().toString('hex')),
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
