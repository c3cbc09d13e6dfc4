/**
 * CRC-32C (Castagnoli), which LevelDB's own files carry and zlib does not know: by vector instructions, or
 * by WebAssembly (some 2 GB/s) on a machine that the package has no build for.
 */
import { createCRC32 } from 'hash-wasm';

const POLYNOMIAL = 0x82f63b78;

/** CRC-32C of `bytes`; 0 to 2^32-1. */
export const crc32c: (bytes: Uint8Array) => number = await import('@node-rs/crc32').then(
  (native) => (bytes) => native.crc32c(bytes),
  byWebAssembly,
);

async function byWebAssembly(): Promise<(bytes: Uint8Array) => number> {
  const hasher = await createCRC32(POLYNOMIAL);
  return (bytes) => Number.parseInt(hasher.init().update(bytes).digest('hex'), 16);
}
