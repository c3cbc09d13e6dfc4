/**
 * The rows of the metadata in LevelDB, under a synchronous overlay. Writes stand in the overlay at
 * once and go down together, in one synced batch that carries its own index and names the flush
 * before it, so rows that LevelDB lost in silence are seen at open. Every value carries its CRC. Any
 * error of LevelDB is final: it must not be asked to go on (docs/formats/metadata.md).
 */
import { Level } from 'level';
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { asError, KvError } from '../common/errors.ts';
import { logIndex, term } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { MetadataStore } from '../metadata/store.ts';
import type { LogPoint } from '../raft/types.ts';

const CRC_BYTES = 4;
const FORMAT_VERSION = 1;
/** Rows of the table itself lie below all tables of the metadata. */
const META_KEY = Uint8Array.of(0x00);
const FLUSH_PREFIX = 0x01;
/** More flushes than one LevelDB log file can hold, so a hole in that file lies within the chain. */
const FLUSHES_KEPT = 16_384;
const CACHE_BYTES = 64 * MIB;

/** What a flush stands for. */
export interface FlushMeta {
  readonly point: LogPoint;
  /** The running digest of the state at that point. */
  readonly digest: string;
  /** True where the state came by a snapshot: the log may end before the point. */
  readonly installed: boolean;
}

export type TableRow = readonly [key: Uint8Array, value: Uint8Array];

/** `void`: this state cannot be trusted; throw it away and rebuild it. */
export type OpenedTable =
  | { readonly kind: 'table'; readonly table: LevelTable; readonly meta: FlushMeta | null }
  | { readonly kind: 'void'; readonly why: string };

type Overlay = Map<string, { readonly key: Uint8Array; readonly value: Uint8Array | null }>;
type Database = Level<Uint8Array, Uint8Array>;
type DatabaseSnapshot = ReturnType<Database['snapshot']>;

export interface TableParts {
  /** The table failed for good; the process must stop. */
  readonly onFatal: (error: Error) => void;
}

export class LevelTable implements MetadataStore {
  readonly #db: Database;
  readonly #onFatal: (error: Error) => void;
  #overlay: Overlay = new Map();
  /** The overlay whose batch is on its way to the disk; still readable. */
  #frozen: Overlay | null = null;
  #overlayBytes = 0;
  #flushes: number[] = [];

  private constructor(db: Database, parts: TableParts, flushes: number[]) {
    this.#db = db;
    this.#onFatal = parts.onFatal;
    this.#flushes = flushes;
  }

  /** Opens or makes the table in `folder` and checks its flush chain. */
  static async open(parts: TableParts, folder: string): Promise<OpenedTable> {
    const db: Database = new Level<Uint8Array, Uint8Array>(folder, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      cacheSize: CACHE_BYTES,
      compression: false,
    });
    try {
      await db.open();
      const chain = await readChain(db);
      if (chain.kind === 'void') {
        await db.close();
        return chain;
      }
      return { kind: 'table', table: new LevelTable(db, parts, chain.flushes), meta: chain.meta };
    } catch (error) {
      await db.close().catch(() => undefined);
      return { kind: 'void', why: asError(error).message };
    }
  }

  /** Bytes that stand in the overlay and not yet on disk. */
  get overlayBytes(): number {
    return this.#overlayBytes;
  }

  get isFlushing(): boolean {
    return this.#frozen !== null;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const name = nameOf(key);
    const young = this.#overlay.get(name) ?? this.#frozen?.get(name);
    if (young !== undefined) return young.value ?? undefined;
    try {
      const stored = this.#db.getSync(key);
      return stored === undefined ? undefined : checked(key, stored);
    } catch (error) {
      this.#onFatal(asError(error));
      throw error;
    }
  }

  put(key: Uint8Array, value: Uint8Array): void {
    // Encoders reuse their buffers: the overlay keeps a copy.
    this.#overlay.set(nameOf(key), { key, value: value.slice() });
    this.#overlayBytes += key.length + value.length;
  }

  delete(key: Uint8Array): void {
    this.#overlay.set(nameOf(key), { key, value: null });
    this.#overlayBytes += key.length;
  }

  /** Writes the whole overlay with `meta` in one synced batch; durable once resolved. One at a time. */
  async flush(meta: FlushMeta): Promise<void> {
    if (this.#frozen !== null) throw new KvError('INTERNAL', 'a flush is already running');
    const frozen = this.#overlay;
    this.#frozen = frozen;
    this.#overlay = new Map();
    this.#overlayBytes = 0;
    try {
      await this.#db.batch(this.#operations(frozen, meta), { sync: true });
      this.#frozen = null;
    } catch (error) {
      // LevelDB acknowledges and loses writes after a failed one: nothing may be asked of it any more.
      this.#onFatal(asError(error));
      throw error;
    }
  }

  /** A fixed view of everything flushed and, where `withOverlay`, everything written so far. */
  snapshot(withOverlay: boolean): TableSnapshot {
    const young = withOverlay ? [this.#frozen, this.#overlay] : [];
    return new TableSnapshot(this.#db, this.#db.snapshot(), merged(young));
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  #operations(frozen: Overlay, meta: FlushMeta) {
    const operations: (
      | { type: 'put'; key: Uint8Array; value: Uint8Array }
      | { type: 'del'; key: Uint8Array }
    )[] = [];
    for (const { key, value } of frozen.values()) {
      if (value === null) operations.push({ type: 'del', key });
      else operations.push({ type: 'put', key, value: sealed(key, value) });
    }
    const previous = this.#flushes.at(-1) ?? 0;
    const index = meta.point.index;
    if (index !== previous) {
      const key = flushKey(index);
      const value = sealed(key, new ByteWriter(8).u64(previous).finish());
      operations.push({ type: 'put', key, value });
      this.#flushes.push(index);
      while (this.#flushes.length > FLUSHES_KEPT) {
        operations.push({ type: 'del', key: flushKey(this.#flushes.shift() ?? 0) });
      }
    }
    operations.push({ type: 'put', key: META_KEY, value: sealed(META_KEY, encodeMeta(meta)) });
    return operations;
  }
}

/** A fixed view of the table; close it in every case. */
export class TableSnapshot {
  readonly #db: Database;
  readonly #snapshot: DatabaseSnapshot;
  /** Young rows in byte order. */
  readonly #young: readonly {
    readonly name: string;
    readonly key: Uint8Array;
    readonly value: Uint8Array | null;
  }[];

  constructor(db: Database, snapshot: DatabaseSnapshot, young: Overlay) {
    this.#db = db;
    this.#snapshot = snapshot;
    this.#young = [...young]
      .map(([name, row]) => ({ name, ...row }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** At most `limit` rows of [first, end) in byte order. */
  async range(first: Uint8Array, end: Uint8Array, limit: number): Promise<readonly TableRow[]> {
    const young = this.#youngIn(first, end);
    // Each young row hides or adds at most one, so this many stored rows are always enough.
    const stored = await this.#db
      .iterator({ gte: first, lt: end, limit: limit + young.length, snapshot: this.#snapshot })
      .all();
    const rows = new Map<string, TableRow | null>();
    for (const [key, value] of stored) rows.set(nameOf(key), [key, checked(key, value)]);
    const complete = stored.length < limit + young.length;
    const last = stored.at(-1);
    const horizon = complete || last === undefined ? null : nameOf(last[0]);
    for (const { name, key, value } of young) {
      if (horizon !== null && name > horizon) continue;
      rows.set(name, value === null ? null : [key, value]);
    }
    return [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, row]) => (row === null ? [] : [row]))
      .slice(0, limit);
  }

  async close(): Promise<void> {
    await this.#snapshot.close();
  }

  #youngIn(first: Uint8Array, end: Uint8Array) {
    const from = nameOf(first);
    const to = nameOf(end);
    return this.#young.slice(lowerBound(this.#young, from), lowerBound(this.#young, to));
  }
}

function lowerBound(rows: readonly { readonly name: string }[], name: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merged(overlays: readonly (Overlay | null)[]): Overlay {
  const all: Overlay = new Map();
  for (const overlay of overlays) for (const [name, row] of overlay ?? []) all.set(name, row);
  return all;
}

type Chain =
  | { readonly kind: 'chain'; readonly meta: FlushMeta | null; readonly flushes: number[] }
  | { readonly kind: 'void'; readonly why: string };

/** The chain of flushes must lead without a hole from the oldest kept one to the last. */
async function readChain(db: Database): Promise<Chain> {
  const end = Uint8Array.of(FLUSH_PREFIX + 1);
  const rows = await db.iterator({ gte: Uint8Array.of(FLUSH_PREFIX), lt: end }).all();
  const stored = db.getSync(META_KEY);
  if (stored === undefined) {
    if (rows.length > 0) return { kind: 'void', why: 'the newest flush is missing' };
    return { kind: 'chain', meta: null, flushes: [] };
  }
  const meta = decodeMeta(checked(META_KEY, stored));
  const flushes: number[] = [];
  for (const [key, value] of rows) {
    const index = Number(Buffer.from(key).readBigUInt64BE(1));
    const previous = new ByteReader(checked(key, value)).u64();
    const before = flushes.at(-1);
    if (before !== undefined && previous !== before) {
      return { kind: 'void', why: `the flush before ${index} is missing` };
    }
    flushes.push(index);
  }
  if ((flushes.at(-1) ?? 0) !== meta.point.index) {
    return { kind: 'void', why: 'the newest flush is not the last of its chain' };
  }
  return { kind: 'chain', meta, flushes };
}

function encodeMeta(meta: FlushMeta): Uint8Array {
  return new ByteWriter(64)
    .u8(FORMAT_VERSION)
    .u64(meta.point.index)
    .u64(meta.point.term)
    .u8(meta.installed ? 1 : 0)
    .text(meta.digest)
    .finish();
}

function decodeMeta(bytes: Uint8Array): FlushMeta {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== FORMAT_VERSION) {
    throw new KvError('CORRUPT', `metadata format ${version} is not known to this build`);
  }
  const point = { index: logIndex(reader.u64()), term: term(reader.u64()) };
  const installed = reader.u8() === 1;
  const digest = reader.text();
  reader.end();
  return { point, installed, digest };
}

function flushKey(index: number): Uint8Array {
  const key = Buffer.alloc(9);
  key.writeUInt8(FLUSH_PREFIX, 0);
  key.writeBigUInt64BE(BigInt(index), 1);
  return key;
}

/** The value followed by the CRC of key and value. */
function sealed(key: Uint8Array, value: Uint8Array): Uint8Array {
  const row = Buffer.allocUnsafe(value.length + CRC_BYTES);
  row.set(value, 0);
  row.writeUInt32LE(crc32(value, crc32(key)), value.length);
  return row;
}

function checked(key: Uint8Array, stored: Uint8Array): Uint8Array {
  const length = stored.length - CRC_BYTES;
  if (length >= 0) {
    const value = stored.subarray(0, length);
    const crc = new ByteReader(stored.subarray(length)).u32();
    if (crc === crc32(value, crc32(key))) return value;
  }
  throw new KvError('CORRUPT', 'a row of the metadata fails its checksum');
}

/** Byte order of keys is code unit order of these names. */
const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
