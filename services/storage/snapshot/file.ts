/** Reads and publishes the index snapshot: whole or not at all, and never ahead of the segments. */
import { crc32 } from '../../common/checksum.ts';
import { KvError } from '../../common/errors.ts';
import { KIB, MIB } from '../../common/units.ts';
import type { Disk, DiskFile } from '../../disk/disk.ts';
import { publishFile } from '../../disk/publish.ts';
import { Catalog } from '../index/catalog.ts';
import type { Partition } from '../index/partition.ts';
import { SegmentTable } from '../index/segments.ts';
import { PARTITIONS, Table, type TableImage } from '../index/table.ts';
import {
  bodyCrcOf,
  bytesOf,
  decodeFront,
  encodeFront,
  frontBytes,
  partitionsOf,
  piecesOf,
  type SnapshotDescription,
  type SnapshotFront,
} from './format.ts';

/** The catalog at one moment; later changes of the catalog do not reach it. */
export interface FrozenCatalog {
  readonly description: SnapshotDescription;
  readonly images: readonly TableImage[];
}

/** Freezes without copying: partitions copy themselves when they next change. */
export function freezeCatalog(catalog: Catalog, clean: boolean): FrozenCatalog {
  const copies = catalog.tables.copies.freeze();
  const chunks = catalog.tables.chunks.freeze();
  const description = {
    clean,
    copyCount: catalog.copyCount,
    valueBytes: catalog.valueBytes,
    segments: catalog.segments.all().map((info) => ({ ...info })),
    staged: [...catalog.stagedAt.keys()],
    unsound: [...catalog.unsound],
    open: [...catalog.open],
    copyShapes: copies.shapes,
    chunkShapes: chunks.shapes,
  };
  return { description, images: [copies, chunks] };
}

/** Durable once resolved. */
export async function writeSnapshot(
  disk: Disk,
  path: string,
  frozen: FrozenCatalog,
): Promise<void> {
  const body = frozen.images.flatMap((image) => image.words.map(bytesOf));
  const front = encodeFront(frozen.description, bodyCrcOf(frozen.images));
  await publishFile(disk, path, [front, ...body]);
}

export interface LoadedSnapshot {
  readonly catalog: Catalog;
  readonly description: SnapshotDescription;
}

/** `damaged` where a file is there and does not verify. */
export async function loadSnapshot(
  disk: Disk,
  path: string,
): Promise<LoadedSnapshot | 'absent' | 'damaged'> {
  if (!(await disk.exists(path))) return 'absent';
  const file = await disk.open(path, 'read');
  try {
    const front = await readFront(file);
    if (front === null) return 'damaged';
    const partitions = await readBody(file, front);
    if (partitions === null) return 'damaged';
    const { description } = front;
    const segments = new SegmentTable();
    for (const info of description.segments) segments.restore({ ...info });
    const copies = new Table(partitions.slice(0, PARTITIONS));
    const chunks = new Table(partitions.slice(PARTITIONS));
    const catalog = new Catalog({ copies, chunks, segments });
    catalog.restore(description);
    return { catalog, description };
  } catch (error) {
    if (error instanceof KvError && error.code === 'CORRUPT') return 'damaged';
    throw error;
  } finally {
    await file.close();
  }
}

async function readFront(file: DiskFile): Promise<SnapshotFront | null> {
  const first = await file.read(0, FRONT_READ_BYTES);
  const needed = frontBytes(first);
  if (needed === null) return null;
  return decodeFront(needed <= first.length ? first : await file.read(0, needed));
}

/** Each piece is summed while the next ones are being read. */
async function readBody(
  file: DiskFile,
  front: SnapshotFront,
): Promise<readonly Partition[] | null> {
  const { description, bodyStart, bodyCrc } = front;
  const pieces = piecesOf([...description.copyShapes, ...description.chunkShapes], PIECE_BYTES_MIN);
  const bodyBytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  if ((await file.size()) !== bodyStart + bodyBytes) return null;
  const reads: Promise<Uint8Array>[] = [];
  let asked = bodyStart;
  const partitions: Partition[] = [];
  let crc = 0;
  for (const [i, piece] of pieces.entries()) {
    for (const next of pieces.slice(reads.length, i + READS_AHEAD)) {
      const read = file.read(asked, next.bytes);
      /* Heard when its turn comes, or never when an earlier one fails. */
      read.catch(() => undefined);
      reads.push(read);
      asked += next.bytes;
    }
    const bytes = await reads[i];
    if (bytes?.length !== piece.bytes) return null;
    crc = crc32(bytes, crc);
    partitions.push(...partitionsOf(piece, bytes));
  }
  return crc === bodyCrc ? partitions : null;
}

const FRONT_READ_BYTES = 64 * KIB;
const PIECE_BYTES_MIN = 8 * MIB;
const READS_AHEAD = 3;
