/**
 * Verifies a table file of LevelDB, block by block. LevelDB itself hands out a damaged block without a
 * word: a flipped bit in a key, in the index or in the bloom filter then makes a key absent that is
 * there. Every byte of a file but the padding of its footer is under a checksum or a magic number here.
 * Only what the manifest lists counts: a crash in the midst of a flush or a compaction leaves a table
 * half written, which no row rests on and LevelDB removes.
 *
 *   blocks, each followed by type u8 and masked CRC-32C u32 · footer: handle of the meta index and of
 *   the index (varint offset, varint size), padding to 40 bytes, magic 8
 */
import { join } from 'node:path';
import { asError, KvError } from '../common/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { Cursor, isCrcOf } from './leveldb-bytes.ts';
import { listedTables } from './table-manifest.ts';

const TABLE_NAME = /^([0-9]+)\.(?:ldb|sst)$/;
const FOOTER_BYTES = 48;
const HANDLES_BYTES = 40;
const TRAILER_BYTES = 5;
const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb);
const UNCOMPRESSED = 0;

interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** A table file of a LevelDB folder that does not verify. */
export interface BadTable {
  readonly file: string;
  readonly why: string;
}

/**
 * The first table file of the manifest that does not verify, or null. One that goes meanwhile is left out.
 * Where the manifest cannot be read every file counts: nobody can say then which are needed.
 */
export async function findBadTable(disk: Disk, folder: string): Promise<BadTable | null> {
  if (!(await disk.exists(folder))) return null;
  const contents = new Contents(disk);
  for (const file of await disk.list(folder)) {
    const number = TABLE_NAME.exec(file)?.[1];
    if (number === undefined) continue;
    const bytes = await contents.of(join(folder, file));
    const why = bytes === null ? null : faultOf(bytes);
    if (why !== null && (await isNeeded(disk, folder, Number(number)))) return { file, why };
  }
  return null;
}

async function isNeeded(disk: Disk, folder: string, number: number): Promise<boolean> {
  const listed = await listedTables(disk, folder);
  return listed === null || listed.has(number);
}

/**
 * The same in a folder that LevelDB has open: a file is believed bad only if it is so again after
 * `pause`, since LevelDB may have finished and listed it after it was read.
 */
export async function findDecayedTable(
  disk: Disk,
  folder: string,
  pause: () => Promise<void>,
): Promise<BadTable | null> {
  const first = await findBadTable(disk, folder);
  if (first === null) return null;
  await pause();
  const again = await findBadTable(disk, folder);
  return again?.file === first.file ? again : null;
}

/** What is wrong with the bytes of a table file, or null. */
export function faultOf(bytes: Uint8Array): string | null {
  try {
    const blocks = blocksOf(bytes);
    let end = 0;
    for (const { offset, size } of blocks.sort((a, b) => a.offset - b.offset)) {
      if (offset !== end) return `there is no block at ${end}`;
      end = offset + size + TRAILER_BYTES;
    }
    return end === bytes.length - FOOTER_BYTES ? null : `there is no block at ${end}`;
  } catch (thrown) {
    const error = asError(thrown);
    if (error instanceof KvError && error.code === 'CORRUPT') return error.message;
    throw error;
  }
}

/** Every block of the file, each verified. @throws KvError `CORRUPT`. */
function blocksOf(bytes: Uint8Array): Handle[] {
  const footerAt = bytes.length - FOOTER_BYTES;
  if (footerAt < 0) throw bad('the file is shorter than its footer');
  const magic = bytes.subarray(footerAt + HANDLES_BYTES);
  if (!magic.every((byte, i) => byte === MAGIC[i])) throw bad('the footer has no magic number');
  const footer = new Cursor(bytes, footerAt, footerAt + HANDLES_BYTES);
  const roots = [handleAt(footer), handleAt(footer)];
  const leaves = roots.flatMap((root) => handlesIn(verified(bytes, root)));
  for (const leaf of leaves) verified(bytes, leaf);
  return [...roots, ...leaves];
}

const handleAt = (cursor: Cursor): Handle => ({ offset: cursor.varint(), size: cursor.varint() });

/** The content of a block whose checksum fits. @throws KvError `CORRUPT`. */
function verified(bytes: Uint8Array, { offset, size }: Handle): Uint8Array {
  const end = offset + size;
  if (end + TRAILER_BYTES > bytes.length - FOOTER_BYTES)
    throw bad(`no room for a block at ${offset}`);
  const stored = new Cursor(bytes, end + 1, end + TRAILER_BYTES).u32();
  if (!isCrcOf(bytes.subarray(offset, end + 1), stored)) {
    throw bad(`the block at ${offset} fails its checksum`);
  }
  // We never let LevelDB compress, so another type is damage that a checksum was made over.
  if (bytes[end] !== UNCOMPRESSED) throw bad(`the block at ${offset} is compressed`);
  return bytes.subarray(offset, end);
}

/** The values of an index block: shared varint, unshared varint, value bytes varint, key rest, value. */
function handlesIn(block: Uint8Array): Handle[] {
  const restarts = new Cursor(block, block.length - 4, block.length).u32();
  const end = block.length - 4 - 4 * restarts;
  const cursor = new Cursor(block, 0, end);
  const handles: Handle[] = [];
  while (cursor.at < end) {
    cursor.varint();
    const keyBytes = cursor.varint();
    const valueBytes = cursor.varint();
    cursor.at += keyBytes;
    const next = cursor.at + valueBytes;
    handles.push(handleAt(cursor));
    cursor.at = next;
  }
  return handles;
}

/** Reads files one after the other into the same memory: that of a new buffer costs as much as the reading. */
class Contents {
  readonly #disk: Disk;
  #buffer = new Uint8Array(0);

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Valid until the next call. null: the file is gone, because LevelDB has compacted it away. */
  async of(path: string): Promise<Uint8Array | null> {
    try {
      const file = await this.#disk.open(path, 'read');
      try {
        const size = await file.size();
        if (size > this.#buffer.length) this.#buffer = new Uint8Array(size);
        return this.#buffer.subarray(0, await file.readInto(0, this.#buffer.subarray(0, size)));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof KvError && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }
}

const bad = (message: string): KvError => new KvError('CORRUPT', message);
