/** CRC-32C (Castagnoli), which LevelDB's own files carry and zlib does not know. Eight bytes a step. */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;
/** Table k, entry b: what a byte b is worth with k bytes behind it. */
const TABLES = makeTables();

/** CRC-32C of `bytes`; 0 to 2^32-1. */
export function crc32c(bytes: Uint8Array): number {
  const { length } = bytes;
  const wholeEnd = length - (length % SLICES);
  let crc = 0xffffffff;
  let at = 0;
  for (; at < wholeEnd; at += SLICES) {
    crc ^= byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8);
    crc ^= (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24);
    crc =
      entry(7, crc & 0xff) ^
      entry(6, (crc >>> 8) & 0xff) ^
      entry(5, (crc >>> 16) & 0xff) ^
      entry(4, crc >>> 24) ^
      entry(3, byteAt(bytes, at + 4)) ^
      entry(2, byteAt(bytes, at + 5)) ^
      entry(1, byteAt(bytes, at + 6)) ^
      entry(0, byteAt(bytes, at + 7));
  }
  for (; at < length; at += 1) crc = (crc >>> 8) ^ entry(0, (crc ^ byteAt(bytes, at)) & 0xff);
  return ~crc >>> 0;
}

function makeTables(): Uint32Array {
  const tables = new Uint32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] ?? 0;
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0);
  }
  return tables;
}

const entry = (slice: number, byte: number): number => TABLES[(slice << 8) | byte] ?? 0;
const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
