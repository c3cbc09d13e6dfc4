/**
 * The rows of the metadata in LevelDB, under a synchronous overlay. Writes stand in the overlay at
 * once and go down together, in one synced batch that carries its own index and names the flush
 * before it, so rows that LevelDB lost in silence are seen at open. Every value carries its CRC. Any
 * error of LevelDB is final: after a failed write it acknowledges and loses later ones
 * (docs/formats/metadata.md).
 */
import { assert } from '../common/assert.ts';
import { asError, KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';
import { TABLES_END, TABLES_FIRST } from '../metadata/keys.ts';
import { inLogOrder, type OutcomeRow } from '../metadata/outcomes.ts';
import type { MetadataStore } from '../metadata/store.ts';
import {
  CHAIN_END,
  CHAIN_FIRST,
  FlushChain,
  type FlushMeta,
  META_KEY,
  type ReadChain,
} from './flush-chain.ts';
import { KnownKeys } from './known-keys.ts';
import type { MetadataDamage } from './metadata-damage.ts';
import {
  OUTCOMES_END,
  OUTCOMES_FIRST,
  OutcomePages,
  PAGES_END,
  PAGES_FIRST,
  type ReadPages,
} from './outcome-pages.ts';
import { RowCache } from './row-cache.ts';
import type { OpenTable, Table, TableOperation } from './table.ts';
import { checked, nameOf, sealed, type YoungRow } from './table-rows.ts';
import { TableView } from './table-view.ts';

/** `void`: this state cannot be trusted; throw it away and rebuild it. */
export type OpenedStore =
  | {
      readonly kind: 'store';
      readonly store: LevelMetadataStore;
      readonly meta: FlushMeta | null;
      /** Oldest first: `MetadataState` keeps them in memory. To be gone through once. */
      readonly outcomes: Iterable<OutcomeRow>;
    }
  | ({ readonly kind: 'void' } & MetadataDamage);

/** About 40,000 records that are read again and again, or 10,000 with values of 1 KiB. */
const READ_BYTES_MAX = 16 * MIB;

/** Rows written since the last freeze. */
interface Generation {
  readonly rows: Map<string, YoungRow>;
  bytes: number;
}

/** A generation that stands for a point, on its way to the disk and still readable. */
interface Frozen extends Generation {
  readonly meta: FlushMeta;
  readonly outcomes: readonly TableOperation[];
}

export interface StoreParts {
  readonly openTable: OpenTable;
  /** The store failed for good: the process must stop. `CORRUPT`: what it holds is void. */
  readonly onFatal: (error: Error) => void;
}

export class LevelMetadataStore implements MetadataStore {
  readonly #db: Table;
  readonly #chain: FlushChain;
  readonly #outcomes: OutcomePages;
  readonly #onFatal: (error: Error) => void;
  readonly #known = new KnownKeys();
  /** None of them is in the overlay, which would be newer. */
  readonly #read = new RowCache(READ_BYTES_MAX);
  #pause: (() => Promise<void>) | null = null;
  #young: Generation = { rows: new Map(), bytes: 0 };
  #frozen: Frozen | null = null;
  #isClosed = false;

  private constructor(db: Table, chain: FlushChain, outcomes: OutcomePages, parts: StoreParts) {
    this.#db = db;
    this.#chain = chain;
    this.#outcomes = outcomes;
    this.#onFatal = parts.onFatal;
  }

  /**
   * Opens or makes the store in `folder` and checks its flush chain.
   * @throws KvError `DISK_FAILED` when LevelDB cannot open for a reason that says nothing of its rows:
   * a full disk, a lock. They must not be thrown away for that.
   */
  static async open(parts: StoreParts, folder: string): Promise<OpenedStore> {
    let db: Table | null = null;
    try {
      db = await parts.openTable(folder);
      const rows = await db.iterator({ gte: CHAIN_FIRST, lt: CHAIN_END }).all();
      const read = FlushChain.read(rows, db.getSync(META_KEY));
      if (read.kind === 'chain') {
        const { pages, rows } = await openOutcomes(db, read);
        const store = new LevelMetadataStore(db, read.chain, pages, parts);
        return { kind: 'store', store, meta: read.meta, outcomes: rows };
      }
      await db.close();
      return { kind: 'void', damage: 'flush_chain', why: read.why };
    } catch (thrown) {
      await db?.close().catch(() => undefined);
      return { kind: 'void', ...damageOf(thrown) };
    }
  }

  /** Also of one whose place a snapshot has taken. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes that are not on disk yet. */
  get unflushedBytes(): number {
    return this.#young.bytes + (this.#frozen?.bytes ?? 0);
  }

  /** What waits to be written, or is being written; null: nothing. */
  get frozen(): FlushMeta | null {
    return this.#frozen?.meta ?? null;
  }

  /** Bytes of all rows on the disk, roughly. */
  storedBytes(): Promise<number> {
    return this.#db.approximateSize(Uint8Array.of(TABLES_FIRST), Uint8Array.of(TABLES_END));
  }

  /** The caller does not change the arrays that it puts here, nor those that it gets. */
  get(key: Uint8Array): Uint8Array | undefined {
    const name = nameOf(key);
    const young = this.#young.rows.get(name) ?? this.#frozen?.rows.get(name);
    if (young !== undefined) return young.value ?? undefined;
    return (
      this.#read.find(name) ?? (this.#known.mayHave(key) ? this.#stored(key, name) : undefined)
    );
  }

  #stored(key: Uint8Array, name: string): Uint8Array | undefined {
    try {
      const stored = this.#db.getSync(key);
      if (stored === undefined) return undefined;
      const value = checked(key, stored);
      this.#read.keep(name, value);
      return value;
    } catch (thrown) {
      throw this.#failed(asError(thrown));
    }
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#known.add(key);
    this.#set({ key, value });
    this.#young.bytes += key.length + value.length;
  }

  delete(key: Uint8Array): void {
    this.#known.removed(key);
    this.#set({ key, value: null });
    this.#young.bytes += key.length;
  }

  #set(row: YoungRow): void {
    const name = nameOf(row.key);
    this.#read.forget(name);
    this.#young.rows.set(name, row);
  }

  pushOutcome(key: Uint8Array, value: Uint8Array): void {
    this.#outcomes.push(key, value);
    this.#young.bytes += key.length + value.length;
  }

  shiftOutcome(): void {
    this.#outcomes.shift();
  }

  /** Ends a generation: what was put until now is the state at `meta`. Only while nothing is frozen. */
  freeze(meta: FlushMeta): void {
    assert(this.#frozen === null, 'a generation is frozen already');
    this.#frozen = { ...this.#young, meta, outcomes: this.#outcomes.take() };
    this.#young = { rows: new Map(), bytes: 0 };
  }

  /** Writes the frozen generation in one synced batch; durable once resolved. One call at a time. */
  async writeFrozen(): Promise<void> {
    const frozen = this.#frozen;
    assert(frozen !== null, 'nothing is frozen');
    const operations: TableOperation[] = [];
    for (const { key, value } of frozen.rows.values()) {
      if (value === null) operations.push({ type: 'del', key });
      else operations.push({ type: 'put', key, value: sealed(key, value) });
    }
    operations.push(...frozen.outcomes);
    operations.push(...this.#chain.append(frozen.meta));
    try {
      await this.#db.batch(operations, { sync: true });
    } catch (thrown) {
      throw this.#failed(asError(thrown));
    }
    this.#frozen = null;
    if (this.#pause !== null && this.#known.isStale) void this.learnKeys(this.#pause);
  }

  /**
   * Reads the keys of all rows, with pauses, so that a row which is not there needs no look-up; from then
   * on whenever many have gone. Ends with the store; never rejects.
   */
  async learnKeys(pause: () => Promise<void>): Promise<void> {
    this.#pause = pause;
    try {
      await this.#known.learn((range) => this.#db.keys(range).all(), this.#unflushedKeys(), pause);
    } catch (thrown) {
      this.#failed(asError(thrown));
    }
  }

  *#unflushedKeys(): Generator<Uint8Array> {
    for (const rows of [this.#frozen?.rows, this.#young.rows]) {
      for (const { key } of rows?.values() ?? []) yield key;
    }
  }

  /**
   * A fixed view; with `table`, the young rows of that table show in it, without they do not: then it
   * is the state of the newest flush. Close it in every case.
   */
  view(table?: number): TableView {
    const young = new Map<string, YoungRow>();
    for (const rows of table === undefined ? [] : [this.#frozen?.rows, this.#young.rows]) {
      for (const [name, row] of rows ?? []) if (row.key[0] === table) young.set(name, row);
    }
    const snapshot = this.#db.snapshot();
    return new TableView({
      db: this.#db,
      snapshot,
      young,
      failed: (error) => void this.#failed(error),
    });
  }

  /** Views that are still open end with an error. Unflushed rows are forgotten: the log has them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#db.close();
  }

  /** A read that comes after the close is the reader's affair; anything else ends the process. */
  #failed(error: Error): Error {
    if (this.#isClosed) return new KvError('STOPPING', 'the metadata store is closed');
    this.#onFatal(error);
    return error;
  }
}

/** The stored outcomes; those of an older format become a page first, in one batch. */
async function openOutcomes(
  db: Table,
  { chain, meta, hasOutcomeRows }: Extract<ReadChain, { kind: 'chain' }>,
): Promise<ReadPages> {
  if (meta === null || !hasOutcomeRows) {
    return OutcomePages.read(await db.iterator({ gte: PAGES_FIRST, lt: PAGES_END }).all());
  }
  const stored = await db.iterator({ gte: OUTCOMES_FIRST, lt: OUTCOMES_END }).all();
  const rows = inLogOrder(stored.map(([key, value]) => [key, checked(key, value)]));
  const pages = new OutcomePages();
  for (const [key, value] of rows) pages.push(key, value);
  const removed = rows.map(([key]): TableOperation => ({ type: 'del', key }));
  await db.batch([...removed, ...pages.take(), ...chain.append(meta)], { sync: true });
  return { pages, rows };
}

/**
 * What a failed open or load says of the rows. LevelDB gives the reason as the cause of "failed to
 * open". @throws KvError `DISK_FAILED` where it says nothing of them.
 */
export function damageOf(thrown: unknown): MetadataDamage {
  const error = asError(thrown);
  if (error instanceof KvError && error.code === 'CORRUPT') {
    return { damage: 'row', why: error.message };
  }
  const why = messageOf(error.cause) ?? error.message;
  if (/^Corruption|No such file|^NotFound/.test(why)) return { damage: 'unopenable', why };
  throw new KvError('DISK_FAILED', `the metadata store does not open: ${why}`, { cause: error });
}

const messageOf = (cause: unknown): string | undefined =>
  typeof cause === 'object' && cause !== null && 'message' in cause
    ? String(cause.message)
    : undefined;
