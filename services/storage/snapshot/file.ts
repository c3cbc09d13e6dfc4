/** Reads and publishes the index snapshot: whole or not at all, and never ahead of the segments. */
import { KvError } from '../../common/errors.ts';
import type { Disk } from '../../disk/disk.ts';
import { publishFile } from '../../disk/publish.ts';
import { Catalog } from '../index/catalog.ts';
import { SegmentTable } from '../index/segments.ts';
import { Table, type TableImage } from '../index/table.ts';
import {
  bodyCrcOf,
  bytesOf,
  decodeSnapshot,
  encodeFront,
  type SnapshotDescription,
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
    const decoded = decodeSnapshot(await file.read(0, await file.size()));
    if (decoded === null) return 'damaged';
    const { description, words, chunkStart } = decoded;
    const segments = new SegmentTable();
    for (const info of description.segments) segments.restore({ ...info });
    const copies = Table.fromWords(words, 0, description.copyShapes);
    const chunks = Table.fromWords(words, chunkStart, description.chunkShapes);
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
