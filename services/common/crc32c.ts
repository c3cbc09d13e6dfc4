/** CRC-32C (Castagnoli), which LevelDB's own files carry and zlib does not know: by WebAssembly, some 2 GB/s. */
import { createCRC32 } from 'hash-wasm';

const POLYNOMIAL = 0x82f63b78;

const hasher = await createCRC32(POLYNOMIAL);

/** CRC-32C of `bytes`; 0 to 2^32-1. */
export const crc32c = (bytes: Uint8Array): number =>
  Number.parseInt(hasher.init().update(bytes).digest('hex'), 16);
