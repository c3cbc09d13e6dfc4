/**
 * The table under the metadata on a simulated disk, as LevelDB keeps its log: one file of batches, each
 * a frame with its checksum. A power cut takes a batch as a whole or leaves it; a batch that has decayed
 * is left out in silence when the table is opened, as LevelDB does, and a broken length ends the file.
 */
import { join } from 'node:path';
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { GIB, KIB } from '../common/units.ts';
import type {
  OpenTable,
  Table,
  TableOperation,
  TableRange,
  TableSnapshot,
} from '../coordinator/table.ts';
import { nameOf, type TableRow } from '../coordinator/table-rows.ts';
import type { Disk, DiskFile, DiskLock } from '../disk/disk.ts';
import { FRAME_HEADER_BYTES, readFrame, sealFrame } from '../disk/frame.ts';
import { publishFile } from '../disk/publish.ts';

const FILE = 'batches.log';
const RULES = { bodyBytesMax: GIB, seed: 0x73696d74 };
/** A file that is longer than so many times its rows is written anew when it is opened. */
const REWRITE_FACTOR = 4;
const REWRITE_BYTES_MIN = 256 * KIB;

interface NamedRow {
  readonly name: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Rows at one moment, in byte order; never changed once made. */
type Rows = readonly NamedRow[];

class Snapshot implements TableSnapshot {
  readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Opens tables on `disk`. */
export function tablesOn(disk: Disk): OpenTable {
  return async (folder) => {
    await disk.makeFolder(folder);
    const lock = await disk.lock(folder);
    const path = join(folder, FILE);
    const isNew = !(await disk.exists(path));
    if (isNew) await publishFile(disk, path, []);
    let file = await disk.open(path, 'write');
    const { rows, endBytes } = load(await file.read(0, await file.size()));
    let atBytes = endBytes;
    const liveBytes = [...rows.values()].reduce(
      (sum, { key, value }) => sum + key.length + value.length,
      0,
    );
    if (endBytes > REWRITE_BYTES_MIN && endBytes > REWRITE_FACTOR * liveBytes) {
      const whole = encodeBatch(
        [...rows.values()].map(({ key, value }) => ({ type: 'put', key, value })),
      );
      await file.close();
      await publishFile(disk, path, [whole]);
      file = await disk.open(path, 'write');
      atBytes = whole.length;
    } else if ((await file.size()) > endBytes) {
      await file.truncate(endBytes);
      await file.sync();
    }
    return new SimTable({ file, lock, rows, atBytes });
  };
}

interface SimTableParts {
  readonly file: DiskFile;
  readonly lock: DiskLock;
  readonly rows: Map<string, NamedRow>;
  readonly atBytes: number;
}

class SimTable implements Table {
  readonly #file: DiskFile;
  readonly #lock: DiskLock;
  readonly #rows: Map<string, NamedRow>;
  #atBytes: number;
  /** null: rows have changed since. */
  #sorted: Rows | null = null;
  #isClosed = false;
  /** Batches are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor({ file, lock, rows, atBytes }: SimTableParts) {
    this.#file = file;
    this.#lock = lock;
    this.#rows = rows;
    this.#atBytes = atBytes;
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    this.#wantOpen();
    return this.#rows.get(nameOf(key))?.value;
  }

  batch(operations: TableOperation[]): Promise<void> {
    const written = this.#writing.then(() => this.#write(operations));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  iterator({ gte, lt, limit, snapshot }: TableRange): { all(): Promise<readonly TableRow[]> } {
    const rows = snapshot instanceof Snapshot ? snapshot.rows : this.#inOrder();
    return {
      all: async () => {
        // A read of the disk, for its time alone.
        await this.#file.size();
        this.#wantOpen();
        const from = lowerBound(rows, nameOf(gte));
        const to = lowerBound(rows, nameOf(lt));
        const end = limit === undefined ? to : Math.min(to, from + limit);
        return rows.slice(from, end).map(({ key, value }): TableRow => [key, value]);
      },
    };
  }

  keys(range: TableRange): { all(): Promise<readonly Uint8Array[]> } {
    const rows = this.iterator(range);
    return { all: async () => (await rows.all()).map(([key]) => key) };
  }

  approximateSize(start: Uint8Array, end: Uint8Array): Promise<number> {
    this.#wantOpen();
    const rows = this.#inOrder();
    const range = rows.slice(lowerBound(rows, nameOf(start)), lowerBound(rows, nameOf(end)));
    const size = range.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    return Promise.resolve(size);
  }

  snapshot(): TableSnapshot {
    this.#wantOpen();
    return new Snapshot(this.#inOrder());
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    await this.#file.close();
    await this.#lock.release();
  }

  async #write(operations: TableOperation[]): Promise<void> {
    this.#wantOpen();
    const bytes = encodeBatch(operations);
    await this.#file.writeSynced(this.#atBytes, [bytes]);
    this.#atBytes += bytes.length;
    apply(this.#rows, operations);
    this.#sorted = null;
  }

  #inOrder(): Rows {
    this.#sorted ??= [...this.#rows.values()].sort(byName);
    return this.#sorted;
  }

  #wantOpen(): void {
    if (this.#isClosed) throw new Error('the table is not open');
  }
}

function encodeBatch(operations: readonly TableOperation[]): Uint8Array {
  const writer = new ByteWriter(4 * KIB);
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES));
  for (const operation of operations) {
    writer.u8(operation.type === 'put' ? 1 : 0).bytes(operation.key);
    if (operation.type === 'put') writer.bytes(operation.value);
  }
  const bytes = writer.finish().slice();
  sealFrame(bytes, 0, bytes.length - FRAME_HEADER_BYTES, RULES.seed);
  return bytes;
}

/** The rows of a file, and where its last sound batch ends. */
function load(bytes: Uint8Array): { rows: Map<string, NamedRow>; endBytes: number } {
  const rows = new Map<string, NamedRow>();
  let endBytes = 0;
  for (let at = 0; at < bytes.length; ) {
    const frame = readFrame(bytes, at, RULES);
    if (frame.kind === 'frame') {
      apply(rows, decodeBatch(frame.body));
      at = frame.next;
      endBytes = at;
      continue;
    }
    const next = frame.kind === 'corrupt' ? endOfDecayed(bytes, at) : null;
    if (next === null) break;
    at = next;
  }
  return { rows, endBytes };
}

/** Where a frame ends whose body has decayed, if its length still can be believed. */
function endOfDecayed(bytes: Uint8Array, at: number): number | null {
  const bodyBytes = new ByteReader(bytes.subarray(at + 4, at + FRAME_HEADER_BYTES)).u32();
  const next = at + FRAME_HEADER_BYTES + bodyBytes;
  return bodyBytes > 0 && next <= bytes.length ? next : null;
}

function decodeBatch(body: Uint8Array): TableOperation[] {
  const reader = new ByteReader(body);
  const operations: TableOperation[] = [];
  while (reader.remaining > 0) {
    const isPut = reader.u8() === 1;
    const key = reader.bytes().slice();
    operations.push(
      isPut ? { type: 'put', key, value: reader.bytes().slice() } : { type: 'del', key },
    );
  }
  return operations;
}

function apply(rows: Map<string, NamedRow>, operations: readonly TableOperation[]): void {
  for (const operation of operations) {
    const name = nameOf(operation.key);
    if (operation.type === 'del') rows.delete(name);
    else rows.set(name, { name, key: operation.key, value: operation.value });
  }
}

function lowerBound(rows: Rows, name: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

const byName = (a: NamedRow, b: NamedRow): number => {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
};
