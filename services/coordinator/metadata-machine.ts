/**
 * The bridge between consensus and metadata: applies committed commands to the state, tells who waits,
 * flushes in coalesced synced batches, and gives and takes snapshots. Invariant: a flush never goes
 * beyond the own durable log, and what is applied beyond a flush the log still holds.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import {
  type CopyId,
  type DiskId,
  type LogIndex,
  logIndex,
  type TxnId,
  term,
} from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { SnapshotSource, StateMachine } from '../consensus/state-machine.ts';
import type { Disk } from '../disk/disk.ts';
import { MetadataState } from '../metadata/apply.ts';
import { decodeCommand } from '../metadata/command-codec.ts';
import { keyOfThinKey, queueFrom, queueRowOf, TABLE } from '../metadata/keys.ts';
import type { Applied, AskAnswer, Counters } from '../metadata/machine.ts';
import { decodeThin } from '../metadata/record-codec.ts';
import type {
  ClusterRecord,
  DiskRecord,
  GarbageRow,
  Marks,
  ThinRow,
  TxnOutcome,
  ValueRecord,
} from '../metadata/records.ts';
import type { Entry, LogPoint } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ListRequest, Page } from './gateway.ts';
import { type FlushMeta, LevelTable, type TableRow } from './level-table.ts';
import { MetadataFolder } from './metadata-folder.ts';
import { listPage } from './metadata-listing.ts';
import type { Decision, Metadata } from './metadata-port.ts';
import { readSnapshot, writeSnapshot } from './metadata-snapshot.ts';
import { OutcomeWaiters } from './outcome-waiters.ts';

const FLUSH_EVERY_MS = 100;
const FLUSH_BYTES = 4 * MIB;
const LOAD_PAGE_ROWS = 10_000;
const INSTALL_BATCH_BYTES = 4 * MIB;
const NO_POINT: LogPoint = { index: logIndex(0), term: term(0) };
/** Tables of which `MetadataState.load` wants every row: all others are read on demand. */
const LOADED_TABLES: readonly number[] = [
  TABLE.outcome,
  TABLE.idempotency,
  TABLE.disk,
  TABLE.pin,
  TABLE.marks,
  TABLE.cluster,
  TABLE.counters,
];

export interface MetadataParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

export interface MetadataOptions {
  /** Folder of the metadata; holds the pointer and the tables. */
  readonly path: string;
}

type AppliedListener = (
  applied: readonly { readonly index: LogIndex; readonly result: Applied }[],
) => void;

export class ReplicatedMetadata implements StateMachine, Metadata {
  readonly #parts: MetadataParts;
  readonly #folder: MetadataFolder;
  readonly #waiters = new OutcomeWaiters();
  readonly #appliedListeners: AppliedListener[] = [];
  readonly #installedListeners: (() => void)[] = [];
  /** True where the stored state could not be trusted and was thrown away. */
  readonly wasVoid: boolean;
  #table: LevelTable;
  #state: MetadataState;
  #applied: LogPoint;
  #flushed: LogPoint;
  #logDurable: LogIndex;
  #installed: boolean;
  #lastMeta: FlushMeta | null;
  #flushing: Promise<void> | null = null;
  #timer: Timer | null = null;
  #isClosed = false;

  private constructor(
    parts: MetadataParts,
    opened: {
      readonly folder: MetadataFolder;
      readonly table: LevelTable;
      readonly state: MetadataState;
      readonly meta: FlushMeta | null;
      readonly wasVoid: boolean;
    },
  ) {
    this.#parts = parts;
    this.#folder = opened.folder;
    this.#table = opened.table;
    this.#state = opened.state;
    this.wasVoid = opened.wasVoid;
    this.#lastMeta = opened.meta;
    this.#applied = opened.meta?.point ?? NO_POINT;
    this.#flushed = this.#applied;
    this.#logDurable = this.#applied.index;
    this.#installed = opened.meta?.installed ?? false;
  }

  /** Opens the stored state; one that cannot be trusted is thrown away, and said so. */
  static async open(parts: MetadataParts, options: MetadataOptions): Promise<ReplicatedMetadata> {
    const folder = await MetadataFolder.open(parts.disk, options.path);
    let opened = await LevelTable.open(parts, folder.current);
    const wasVoid = opened.kind === 'void';
    if (opened.kind === 'void') {
      parts.logger.error({ why: opened.why }, 'metadata cannot be trusted and is rebuilt');
      await folder.discardCurrent();
      opened = await LevelTable.open(parts, folder.current);
    }
    if (opened.kind === 'void') throw new KvError('CORRUPT', `metadata: ${opened.why}`);
    const { table, meta } = opened;
    const state = await loadState(table, meta);
    return new ReplicatedMetadata(parts, { folder, table, state, meta, wasVoid });
  }

  get applied(): LogPoint {
    return this.#applied;
  }

  get appliedIndex(): LogIndex {
    return this.#applied.index;
  }

  get flushed(): LogPoint {
    return this.#flushed;
  }

  /** True where the newest flush is an installed snapshot: the log may end before it. */
  get installed(): boolean {
    return this.#installed;
  }

  get unflushedBytes(): number {
    return this.#table.overlayBytes;
  }

  get marks(): Marks {
    return this.#state.marks;
  }

  get counters(): Counters {
    return this.#state.counters;
  }

  get cluster(): ClusterRecord {
    return this.#state.cluster;
  }

  record(key: Uint8Array): ValueRecord | undefined {
    return this.#state.record(key);
  }

  outcome(txnId: TxnId): TxnOutcome | undefined {
    return this.#state.outcome(txnId);
  }

  disk(disk: DiskId): DiskRecord | undefined {
    return this.#state.disk(disk);
  }

  disks(): readonly DiskRecord[] {
    return this.#state.disks();
  }

  ask(question: {
    readonly disk: DiskId;
    readonly copyId: CopyId;
    readonly txnId: TxnId;
    readonly owner: Uint8Array;
  }): AskAnswer {
    return this.#state.ask(question);
  }

  apply(entries: readonly Entry[]): void {
    const results: { index: LogIndex; result: Applied }[] = [];
    for (const entry of entries) {
      if (entry.index !== this.#applied.index + 1) {
        throw new KvError(
          'INTERNAL',
          `entry ${entry.index} does not follow ${this.#applied.index}`,
        );
      }
      if (entry.kind === 'command') {
        const result = this.#state.apply(entry.index, decodeCommand(entry.data));
        results.push({ index: entry.index, result });
        if (result.kind === 'txn') this.#waiters.decide(result.txnId, result.outcome);
      }
      this.#applied = { index: entry.index, term: entry.term };
    }
    for (const listener of this.#appliedListeners) listener(results);
    this.#scheduleFlush();
  }

  logDurable(index: LogIndex): void {
    if (index > this.#logDurable) this.#logDurable = index;
    this.#scheduleFlush();
  }

  async flush(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
    if (this.#isClosed || this.#applied.index === this.#flushed.index) return;
    this.#flushing = this.#flushNow();
    try {
      await this.#flushing;
    } finally {
      this.#flushing = null;
    }
  }

  async openSnapshot(): Promise<SnapshotSource> {
    await this.flush();
    while (this.#flushing !== null) await this.#flushing;
    // No batch is in flight in this turn: the stored rows are exactly those of `meta`.
    const view = this.#table.snapshot(false);
    const meta = this.#lastMeta;
    if (meta === null) {
      await view.close();
      throw new KvError('NOT_READY', 'nothing is flushed yet');
    }
    return { point: meta.point, chunks: writeSnapshot(view, meta), close: () => view.close() };
  }

  async installSnapshot(point: LogPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    while (this.#flushing !== null) await this.#flushing;
    const path = await this.#folder.prepareNext();
    const opened = await LevelTable.open(this.#parts, path);
    if (opened.kind === 'void') throw new KvError('CORRUPT', `a new table is void: ${opened.why}`);
    const { table } = opened;
    const digest = await this.#fill(table, point, chunks);
    await this.#table.close();
    await table.close();
    await this.#folder.publishNext();
    const reopened = await LevelTable.open(this.#parts, this.#folder.current);
    if (reopened.kind === 'void') throw new KvError('CORRUPT', `metadata: ${reopened.why}`);
    this.#table = reopened.table;
    this.#state = await loadState(reopened.table, reopened.meta);
    if (this.#state.digest() !== digest)
      throw new KvError('CORRUPT', 'the installed state differs');
    this.#lastMeta = reopened.meta;
    this.#applied = point;
    this.#flushed = point;
    this.#logDurable = point.index;
    this.#installed = true;
    this.#waiters.decideAll((txnId) => this.#state.settled(txnId));
    for (const listener of this.#installedListeners) listener();
  }

  awaitOutcome(txnId: TxnId, decided: (decision: Decision) => void): () => void {
    const known = this.#state.settled(txnId);
    if (known === undefined) return this.#waiters.add(txnId, decided);
    decided(known);
    return () => undefined;
  }

  onApplied(listener: AppliedListener): void {
    this.#appliedListeners.push(listener);
  }

  onInstalled(listener: () => void): void {
    this.#installedListeners.push(listener);
  }

  list(request: ListRequest): Promise<Page> {
    return listPage(this.#table.snapshot(true), request, this.#applied.index);
  }

  async reclaimable(disk: DiskId, limit: number): Promise<readonly GarbageRow[]> {
    const first = queueFrom(disk, logIndex(0));
    const end = queueFrom(disk, this.#state.marks.reclaim);
    const rows = await this.#rows(first, end, limit);
    return rows.map(([key]) => queueRowOf(disk, key));
  }

  async thin(after: Uint8Array | null, limit: number): Promise<readonly ThinRow[]> {
    const first = Uint8Array.of(TABLE.thin, ...(after === null ? [] : [...after, 0]));
    const rows = await this.#rows(first, Uint8Array.of(TABLE.thin + 1), limit);
    return rows.map(([key, value]) => decodeThin(keyOfThinKey(key), value));
  }

  /** Flushes what may be flushed and closes. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.flush();
    this.#isClosed = true;
    await this.#table.close();
  }

  async #rows(first: Uint8Array, end: Uint8Array, limit: number): Promise<readonly TableRow[]> {
    const view = this.#table.snapshot(true);
    try {
      return await view.range(first, end, limit);
    } finally {
      await view.close();
    }
  }

  /** Nothing waits longer than the interval or past the size; a flush under way sees to the next. */
  #scheduleFlush(): void {
    if (this.#isClosed || this.#flushing !== null) return;
    const isLarge = this.#table.overlayBytes >= FLUSH_BYTES;
    if (isLarge && this.#mayFlush) {
      this.#flushInBackground();
    } else if (this.#timer === null && this.#applied.index > this.#flushed.index) {
      this.#timer = this.#parts.clock.after(FLUSH_EVERY_MS, () => {
        this.#timer = null;
        if (this.#mayFlush && this.#flushing === null) this.#flushInBackground();
        else this.#scheduleFlush();
      });
    }
  }

  get #mayFlush(): boolean {
    return this.#applied.index > this.#flushed.index && this.#applied.index <= this.#logDurable;
  }

  #flushInBackground(): void {
    this.flush().then(
      () => this.#scheduleFlush(),
      (error: unknown) => this.#parts.onFatal(asError(error)),
    );
  }

  async #flushNow(): Promise<void> {
    if (!this.#mayFlush) return;
    const point = this.#applied;
    this.#state.checkpoint();
    const meta = { point, digest: this.#state.digest(), installed: false };
    await this.#table.flush(meta);
    this.#flushed = point;
    this.#lastMeta = meta;
    this.#installed = false;
  }

  /** Writes a snapshot's rows into a new table; answers the digest of the state that they make. */
  async #fill(
    table: LevelTable,
    point: LogPoint,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<string> {
    try {
      const contents = await readSnapshot(chunks, async (rows) => {
        for (const [key, value] of rows) table.put(key, value);
        if (table.overlayBytes >= INSTALL_BATCH_BYTES) {
          await table.flush({ point: NO_POINT, digest: '', installed: true });
        }
      });
      if (contents.point.index !== point.index || contents.point.term !== point.term) {
        throw new KvError('CORRUPT', 'the snapshot is of another point than announced');
      }
      await table.flush({ point, digest: contents.digest, installed: true });
      return contents.digest;
    } catch (error) {
      await table.close();
      throw error;
    }
  }
}

async function loadState(table: LevelTable, meta: FlushMeta | null): Promise<MetadataState> {
  if (meta === null) return MetadataState.empty(table);
  const view = table.snapshot(false);
  const rows: TableRow[] = [];
  try {
    for (const first of LOADED_TABLES) {
      let next: Uint8Array = Uint8Array.of(first);
      while (true) {
        const page = await view.range(next, Uint8Array.of(first + 1), LOAD_PAGE_ROWS);
        rows.push(...page);
        const last = page.at(-1);
        if (last === undefined) break;
        next = Uint8Array.of(...last[0], 0);
      }
    }
  } finally {
    await view.close();
  }
  return MetadataState.load(table, rows, meta.digest);
}
