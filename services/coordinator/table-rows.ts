/**
 * How rows stand in LevelDB: the value followed by the CRC of key and value, because LevelDB itself
 * hands out flipped bits without a word. Names are keys as strings, for maps and for ordering.
 */
import { u32At } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { bufferOf } from '../common/ids.ts';

const CRC_BYTES = 4;

export type TableRow = readonly [key: Uint8Array, value: Uint8Array];

/** A row not yet in LevelDB; null: deleted. */
export interface YoungRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** A row with its key as a string. */
export interface NamedRow extends YoungRow {
  readonly name: string;
}

/** The value with its CRC, ready to be stored. */
export function sealed(key: Uint8Array, value: Uint8Array): Uint8Array {
  const row = Buffer.allocUnsafe(value.length + CRC_BYTES);
  row.set(value, 0);
  row.writeUInt32LE(crc32(value, crc32(key)), value.length);
  return row;
}

/** The value of a stored row. @throws KvError `CORRUPT` when its CRC does not match. */
export function checked(key: Uint8Array, stored: Uint8Array): Uint8Array {
  const end = stored.length - CRC_BYTES;
  if (end >= 0) {
    const value = stored.subarray(0, end);
    if (u32At(stored, end) === crc32(value, crc32(key))) return value;
  }
  throw new KvError('CORRUPT', 'a row of the metadata fails its checksum');
}

/** Byte order of keys is code unit order of their names. */
export const nameOf = (key: Uint8Array): string => bufferOf(key).toString('latin1');

/** For sorting into byte order. */
export function byName(one: NamedRow, other: NamedRow): number {
  if (one.name === other.name) return 0;
  return one.name < other.name ? -1 : 1;
}

/** Key of a row that has a number in a table of one byte; big-endian, so that byte order is their order. */
export function numberedKey(table: number, number: number): Uint8Array {
  const key = Buffer.alloc(9);
  key.writeUInt8(table, 0);
  key.writeBigUInt64BE(BigInt(number), 1);
  return key;
}

export const numberOfKey = (key: Uint8Array): number => Number(bufferOf(key).readBigUInt64BE(1));
