/** CRC-32 (IEEE, as in zlib): finds accidents on disk and wire, never a defence against tampering. */
import { crc32 as zlibCrc32 } from 'node:zlib';

/** CRC-32 of `bytes`, continued from `seed` where given; 0 to 2^32-1. */
export const crc32 = (bytes: Uint8Array, seed = 0): number => zlibCrc32(bytes, seed);
