/**
 * Reads a volume's segment files by their documented format (docs/formats/segment.md), so that a test
 * can aim at one copy of one key and see with its own eyes that a sound one stands there again.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

const SEGMENT_HEAD_BYTES = 256;
const HEAD_BYTES = 48;
const MAGIC = Buffer.of(0x4d, 0x4b, 0x52, 0x01);
/** Bytes of meta before the owner, in records that name one. */
const OWNER_AT = new Map([
  [2, 60],
  [3, 48],
]);

export const WHOLE = 3;

/** One record of a segment file. */
export interface SegmentRecord {
  readonly path: string;
  readonly sealed: boolean;
  readonly offset: number;
  readonly kind: number;
  /** Bytes of the file that were durable when this was written. */
  readonly syncedTo: number;
  /** The key, in end and whole records. */
  readonly owner: string;
  readonly dataAt: number;
  readonly data: Buffer;
  readonly end: number;
  /** The checksum of the data fits. */
  readonly sound: boolean;
}

/** All records of a volume, sealed segments first, in the order of their places. */
export async function recordsOf(volumeFolder: string): Promise<readonly SegmentRecord[]> {
  const records: SegmentRecord[] = [];
  for (const folder of ['segments', 'wal']) {
    const names = await readdir(join(volumeFolder, folder)).catch((): string[] => []);
    for (const name of names.filter((each) => each.endsWith('.seg')).sort()) {
      const path = join(volumeFolder, folder, name);
      records.push(...parse(path, folder === 'segments', await readFile(path)));
    }
  }
  return records;
}

function parse(path: string, sealed: boolean, bytes: Buffer): SegmentRecord[] {
  const records: SegmentRecord[] = [];
  for (let at = SEGMENT_HEAD_BYTES; at + HEAD_BYTES <= bytes.length; ) {
    if (!bytes.subarray(at, at + 4).equals(MAGIC)) {
      const next = bytes.indexOf(MAGIC, at + 1);
      if (next < 0) break;
      at = next;
      continue;
    }
    const kind = bytes.readUInt8(at + 4);
    const metaBytes = bytes.readUInt16LE(at + 6);
    const dataAt = at + HEAD_BYTES + metaBytes;
    const end = dataAt + bytes.readUInt32LE(at + 8);
    const data = bytes.subarray(dataAt, end);
    const ownerAt = OWNER_AT.get(kind) ?? metaBytes;
    records.push({
      path,
      sealed,
      offset: at,
      kind,
      syncedTo: bytes.readUInt32LE(at + 20),
      owner: bytes.subarray(at + HEAD_BYTES + ownerAt, dataAt).toString(),
      dataAt,
      data,
      end,
      sound: end <= bytes.length && crc32(data) === bytes.readUInt32LE(at + 40),
    });
    at = end;
  }
  return records;
}
