/** Reads and publishes the index snapshot: whole or not at all, and never ahead of the segments. */
import { crc32 } from '../../common/checksum.ts';
import { KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import { MIB } from '../../common/units.ts';
import type { Disk, DiskFile } from '../../disk/disk.ts';
import { ASIDE_SUFFIX, publishPrepared } from '../../disk/publish.ts';
import { Catalog } from '../index/catalog.ts';
import { Partition, partitionWords } from '../index/partition.ts';
import { SegmentTable } from '../index/segments.ts';
import { type PartitionShape, Table, type TableImage } from '../index/table.ts';
import {
  bytesOf,
  decodeFront,
  encodeFront,
  frontBytes,
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

/**
 * Durable once resolved. Summed and written piece by piece, so that an index of any size holds up the
 * loop for one piece only; the front, which holds the sum, comes last and the name after that.
 */
export async function writeSnapshot(
  disk: Disk,
  path: string,
  frozen: FrozenCatalog,
): Promise<void> {
  const { description, images } = frozen;
  const aside = path + ASIDE_SUFFIX;
  await disk.remove(aside);
  const file = await disk.open(aside, 'create');
  try {
    let crc = 0;
    let at = encodeFront(description, crc).length;
    for (const piece of piecesOf(images.flatMap(({ words }) => words))) {
      for (const bytes of piece) crc = crc32(bytes, crc);
      await file.write(at, piece);
      at += piece.reduce((sum, bytes) => sum + bytes.length, 0);
    }
    await file.write(0, [encodeFront(description, crc)]);
    await file.sync();
  } finally {
    await file.close();
  }
  failpoint('index.prepared');
  await publishPrepared(disk, aside, path);
  failpoint('index.published');
}

const PIECE_BYTES_MIN = MIB;

/** Bytes of partitions, gathered to pieces that are worth a call. */
function* piecesOf(words: readonly Int32Array[]): Generator<readonly Uint8Array[]> {
  let piece: Uint8Array[] = [];
  let bytes = 0;
  for (const part of words) {
    piece.push(bytesOf(part));
    bytes += part.byteLength;
    if (bytes < PIECE_BYTES_MIN) continue;
    yield piece;
    piece = [];
    bytes = 0;
  }
  yield piece;
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
  let file: DiskFile;
  try {
    file = await disk.open(path, 'read');
  } catch (error) {
    if (error instanceof KvError && error.code === 'NOT_FOUND') return 'absent';
    throw error;
  }
  try {
    return (await readSnapshot(file)) ?? 'damaged';
  } catch (error) {
    if (error instanceof KvError && error.code === 'CORRUPT') return 'damaged';
    throw error;
  } finally {
    await file.close();
  }
}

/**
 * Null where anything does not verify. The tables are laid over the memory while it fills, and nobody
 * sees them before all of it has been summed.
 */
async function readSnapshot(file: DiskFile): Promise<LoadedSnapshot | null> {
  const sizeBytes = await file.size();
  if (sizeBytes % 4 !== 0) return null;
  const bytes = memoryOf(sizeBytes);
  let bodyStart: number | null = null;
  let front: SnapshotFront | null = null;
  let loaded: LoadedSnapshot | null = null;
  let crc = 0;
  const whole = await readAhead(file, bytes, (start, end) => {
    bodyStart ??= frontBytes(bytes.subarray(0, end));
    if (bodyStart === null) return false;
    if (end > bodyStart) crc = crc32(bytes.subarray(Math.max(start, bodyStart), end), crc);
    if (front !== null || end < bodyStart) return true;
    front = decodeFront(bytes.subarray(0, bodyStart));
    if (front !== null) loaded = catalogOf(new Int32Array(bytes.buffer), front);
    return loaded !== null;
  });
  return whole && crc === bodyCrcIn(front) ? loaded : null;
}

const bodyCrcIn = (front: SnapshotFront | null): number | null => front?.bodyCrc ?? null;

/**
 * Shared memory, which nobody shares: the collector does not count it, so that reading an index of many
 * MiB does not start a collection in the midst of opening. In one piece, because large pieces come
 * from the system as they are touched, and small ones would be cleared first.
 */
const memoryOf = (sizeBytes: number): Uint8Array =>
  new Uint8Array(new SharedArrayBuffer(sizeBytes));

const WINDOW_BYTES = MIB;
/** One thread of the pool stays free for the rest of opening. */
const READS_AHEAD = 3;

/**
 * Fills `target` from the file, window by window: `visit` looks at one while the next ones are on
 * their way. False where `visit` says so or the file ends early.
 */
async function readAhead(
  file: DiskFile,
  target: Uint8Array,
  visit: (start: number, end: number) => boolean,
): Promise<boolean> {
  const reads: Promise<boolean>[] = [];
  const ask = (start: number): void => {
    const window = target.subarray(start, start + WINDOW_BYTES);
    const read = file.readInto(start, window).then((filled) => filled === window.length);
    /* Heard when its turn comes, or never when an earlier one fails. */
    read.catch(() => undefined);
    reads.push(read);
  };
  for (let start = 0, i = 0; start < target.length; start += WINDOW_BYTES, i += 1) {
    while (reads.length < i + READS_AHEAD && reads.length * WINDOW_BYTES < target.length) {
      ask(reads.length * WINDOW_BYTES);
    }
    if ((await reads[i]) !== true) return false;
    if (!visit(start, Math.min(start + WINDOW_BYTES, target.length))) return false;
  }
  return true;
}

/** Its tables use the words of the file where they lie; null where they do not fill the file. */
function catalogOf(words: Int32Array, front: SnapshotFront): LoadedSnapshot | null {
  const { description, bodyStart } = front;
  const { copyShapes, chunkShapes } = description;
  const needed = [...copyShapes, ...chunkShapes].reduce(
    (sum, { slots }) => sum + partitionWords(slots),
    bodyStart / 4,
  );
  if (words.length !== needed) return null;
  let at = bodyStart / 4;
  const table = (shapes: readonly PartitionShape[]): Table =>
    new Table(
      shapes.map(({ slots, used }) => {
        const start = at;
        at += partitionWords(slots);
        return new Partition({ words: words.subarray(start, at), slots, used });
      }),
    );
  const segments = new SegmentTable();
  for (const info of description.segments) segments.restore({ ...info });
  const catalog = new Catalog({ copies: table(copyShapes), chunks: table(chunkShapes), segments });
  catalog.restore(description);
  return { catalog, description };
}
