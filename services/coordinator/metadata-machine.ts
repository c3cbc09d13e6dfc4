/**
 * The bridge between consensus and metadata: applies committed commands to the state, tells who waits,
 * flushes in coalesced synced batches, and gives and takes snapshots. Invariant: a flush never goes
 * beyond the own durable log, and what is applied beyond a flush the log still holds.
 */
import { assert } from '../common/assert.ts';
import type { Clock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import {
  type CopyId,
  type DiskId,
  type LogIndex,
  logIndex,
  type TxnId,
  term,
} from '../common/ids.ts';
import { Semaphore } from '../common/semaphore.ts';
import { MIB } from '../common/units.ts';
import type { SnapshotSource, StateMachine } from '../consensus/state-machine.ts';
import type { Disk } from '../disk/disk.ts';
import { MetadataState } from '../metadata/apply.ts';
import { decodeCommand } from '../metadata/command-codec.ts';
import { TABLE } from '../metadata/keys.ts';
import type { Applied, AskAnswer, Counters } from '../metadata/machine.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  GarbageRow,
  Marks,
  ThinRow,
  TxnOutcome,
  ValueRecord,
} from '../metadata/records.ts';
import type { Entry, LogPoint } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CounterMetric } from '../telemetry/metrics.ts';
import type { FlushMeta } from './flush-chain.ts';
import type { ListRequest, Page } from './gateway.ts';
import { LevelMetadataStore } from './level-metadata-store.ts';
import { Flusher } from './metadata-flusher.ts';
import { MetadataFolder } from './metadata-folder.ts';
import { listPage } from './metadata-listing.ts';
import { loadState, type OpenedContent, openTrusted } from './metadata-open.ts';
import type { Decision, Metadata, RecordScan, ScannedRecord } from './metadata-port.ts';
import { scanGarbage, scanRecords, scanThin } from './metadata-scans.ts';
import { readSnapshot, writeSnapshot } from './metadata-snapshot.ts';
import { OutcomeWaiters } from './outcome-waiters.ts';
import { findDecayedTable } from './table-file.ts';

const INSTALL_BATCH_BYTES = MIB;
/** Listings at once, and those that wait: each reads all shards. */
const LISTINGS_MAX = 2;
const LISTINGS_WAITING_MAX = 256;
const NO_POINT: LogPoint = { index: logIndex(0), term: term(0) };
export interface MetadataParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly damage: CounterMetric;
  readonly onFatal: (error: Error) => void;
}

export interface MetadataOptions {
  /** Folder of the metadata; holds the pointer and the tables. */
  readonly path: string;
}

type AppliedListener = (
  applied: readonly { readonly index: LogIndex; readonly result: Applied }[],
) => void;

/** One opened store with the state that it holds; an installed snapshot replaces all three at once. */
interface Content {
  readonly store: LevelMetadataStore;
  readonly state: MetadataState;
  readonly flusher: Flusher;
}

export class ReplicatedMetadata implements StateMachine, Metadata {
  readonly #parts: MetadataParts;
  readonly #folder: MetadataFolder;
  readonly #waiters = new OutcomeWaiters();
  readonly #listings = new Semaphore(LISTINGS_MAX, LISTINGS_WAITING_MAX);
  readonly #appliedListeners: AppliedListener[] = [];
  readonly #installedListeners: (() => void)[] = [];
  #content: Content;
  #applied: LogPoint;
  #isFailed = false;

  private constructor(parts: MetadataParts, folder: MetadataFolder, opened: OpenedContent) {
    this.#parts = parts;
    this.#folder = folder;
    this.#applied = opened.meta?.point ?? NO_POINT;
    this.#content = this.#adopt(opened);
  }

  /**
   * Opens the stored state; one that cannot be trusted is thrown away, counted and logged.
   * @throws KvError `DISK_FAILED` when it cannot be opened for a reason of the machine's.
   */
  static async open(parts: MetadataParts, options: MetadataOptions): Promise<ReplicatedMetadata> {
    const folder = await MetadataFolder.open(parts.disk, options.path);
    let metadata: ReplicatedMetadata | null = null;
    // Until it stands every failure is told by a rejection, and damage is mended here.
    const onFatal = (error: Error): void => {
      if (metadata !== null) metadata.#fail(error);
    };
    metadata = new ReplicatedMetadata(parts, folder, await openTrusted(parts, folder, onFatal));
    return metadata;
  }

  get applied(): LogPoint {
    return this.#applied;
  }

  get appliedIndex(): LogIndex {
    return this.#applied.index;
  }

  get flushed(): LogPoint {
    return this.#content.flusher.durable?.point ?? NO_POINT;
  }

  /** True where the newest flush is an installed snapshot: the log may end before it. */
  get installed(): boolean {
    return this.#content.flusher.durable?.installed ?? false;
  }

  get unflushedBytes(): number {
    return this.#content.store.unflushedBytes;
  }

  get marks(): Marks {
    return this.#content.state.marks;
  }

  get counters(): Counters {
    return this.#content.state.counters;
  }

  get cluster(): ClusterRecord {
    return this.#content.state.cluster;
  }

  /** Order-free digest of the applied state: equal on every node at the same index. */
  digest(): string {
    return this.#content.state.digest();
  }

  record(key: Uint8Array): ValueRecord | undefined {
    return this.#content.state.record(key);
  }

  suspects(key: Uint8Array): readonly Copy[] {
    return this.#content.state.suspects(key);
  }

  outcome(txnId: TxnId): TxnOutcome | undefined {
    return this.#content.state.outcome(txnId);
  }

  disk(disk: DiskId): DiskRecord | undefined {
    return this.#content.state.disk(disk);
  }

  disks(): readonly DiskRecord[] {
    return this.#content.state.disks();
  }

  ask(question: {
    readonly disk: DiskId;
    readonly copyId: CopyId;
    readonly txnId: TxnId;
    readonly owner: Uint8Array;
  }): AskAnswer {
    return this.#content.state.ask(question);
  }

  forgetMark(keep: number): LogIndex {
    return this.#content.state.forgetMark(keep);
  }

  apply(entries: readonly Entry[]): void {
    const { state, flusher } = this.#content;
    const results: { index: LogIndex; result: Applied }[] = [];
    for (const { index, term, kind, data } of entries) {
      assert(
        index === this.#applied.index + 1,
        `entry ${index} does not follow ${this.#applied.index}`,
      );
      failpoint('raft.committed', data);
      if (kind === 'command') {
        results.push({ index, result: state.apply(index, decodeCommand(data)) });
      }
      this.#applied = { index, term };
    }
    for (const { result } of results) {
      if (result.kind === 'txn') this.#waiters.decide(result.txnId, result.outcome);
    }
    for (const listener of this.#appliedListeners) listener(results);
    flusher.changed();
  }

  logDurable(index: LogIndex): void {
    this.#content.flusher.logDurable(index);
  }

  flush(): Promise<void> {
    return this.#content.flusher.flush();
  }

  async openSnapshot(): Promise<SnapshotSource> {
    const { store, flusher } = this.#content;
    do await flusher.flush();
    while (flusher.isWriting);
    // No batch is on its way in this turn: the stored rows are exactly those of the newest flush.
    const meta = flusher.durable;
    if (meta === null) throw new KvError('NOT_READY', 'nothing is flushed yet');
    const view = store.view();
    const chunks = this.#watched(writeSnapshot(view, meta));
    return { point: meta.point, chunks, close: () => view.close() };
  }

  /**
   * Reads all that is stored and holds it against its checksums and the digest of what was applied;
   * what differs is fatal. `pause` is awaited between parts.
   */
  async scrub(pause: () => Promise<void>): Promise<void> {
    const bad = await findDecayedTable(this.#parts.disk, this.#folder.current, pause);
    if (bad !== null) this.#fail(new KvError('CORRUPT', `${bad.file}: ${bad.why}`));
    const source = await this.openSnapshot();
    try {
      for await (const _ of source.chunks) await pause();
    } finally {
      await source.close();
    }
  }

  async installSnapshot(point: LogPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const opened = await this.#build(await this.#folder.prepareNext(), point, chunks);
    const old = this.#content;
    await old.flusher.stop();
    const oldFolder = await this.#folder.publishNext();
    // From here on the snapshot is the state, also after a crash. No read falls between the two.
    this.#applied = point;
    this.#content = this.#adopt(opened);
    this.#waiters.decideAll((txnId) => this.#content.state.settled(txnId));
    for (const listener of this.#installedListeners) listener();
    await old.store.close();
    await this.#folder.remove(oldFolder);
  }

  awaitOutcome(txnId: TxnId, decided: (decision: Decision) => void): () => void {
    const known = this.#content.state.settled(txnId);
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
    return this.#listings.run(() =>
      listPage(this.#content.store.view(TABLE.record), request, this.#applied.index),
    );
  }

  reclaimable(disk: DiskId, limit: number): Promise<readonly GarbageRow[]> {
    const { store, state } = this.#content;
    return scanGarbage(store.view(TABLE.queue), { disk, reclaim: state.marks.reclaim, limit });
  }

  thin(after: Uint8Array | null, limit: number): Promise<readonly ThinRow[]> {
    return scanThin(this.#content.store.view(TABLE.thin), { after, limit });
  }

  async records(scan: RecordScan): Promise<readonly ScannedRecord[]> {
    if (this.flushed.index < scan.minIndex) await this.flush();
    if (this.flushed.index < scan.minIndex) {
      throw new KvError('NOT_READY', `the state of index ${scan.minIndex} is not on disk yet`);
    }
    return scanRecords(this.#content.store.view(), scan);
  }

  /** Flushes what may be flushed and closes. */
  async close(): Promise<void> {
    const { flusher, store } = this.#content;
    await flusher.flush();
    await flusher.stop();
    await store.close();
  }

  #adopt({ store, state, meta }: OpenedContent): Content {
    const flusher = new Flusher(
      {
        clock: this.#parts.clock,
        store,
        checkpoint: () => {
          state.checkpoint();
          return { point: this.#applied, digest: state.digest(), installed: false };
        },
        appliedIndex: () => this.#applied.index,
        onFatal: (error) => this.#fail(error),
      },
      meta,
    );
    return { store, state, flusher };
  }

  /** Builds a snapshot's state in a new folder, synced. */
  async #build(
    folder: string,
    point: LogPoint,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<OpenedContent> {
    const onFatal = (error: Error): void => this.#fail(error);
    const opened = await LevelMetadataStore.open({ onFatal }, folder);
    if (opened.kind === 'void') throw new KvError('CORRUPT', `a new store is void: ${opened.why}`);
    const { store } = opened;
    try {
      const contents = await readSnapshot(chunks, async (rows) => {
        for (const [key, value] of rows) store.put(key, value);
        if (store.unflushedBytes >= INSTALL_BATCH_BYTES) await write(store, UNFINISHED);
      });
      if (contents.point.index !== point.index || contents.point.term !== point.term) {
        throw new KvError('CORRUPT', 'the snapshot is of another point than announced');
      }
      const meta = { point, digest: contents.digest, installed: true };
      await write(store, meta);
      return { store, state: await loadState(store, meta), meta };
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** A state that is not what was applied must not be served on, whoever finds it out. */
  async *#watched(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof KvError && error.code === 'CORRUPT') this.#fail(error);
      throw error;
    }
  }

  /** Once: rows that fail their check make the state void for the next start, whatever else is wrong. */
  #fail(error: Error): void {
    if (this.#isFailed) return;
    this.#isFailed = true;
    if (!(error instanceof KvError) || error.code !== 'CORRUPT') {
      this.#parts.onFatal(error);
      return;
    }
    this.#folder.condemnCurrent().then(
      () => this.#parts.onFatal(error),
      (failure: unknown) => {
        this.#parts.logger.error({ error: asError(failure) }, 'void metadata not marked');
        this.#parts.onFatal(error);
      },
    );
  }
}

/** What a half-built store stands for: nothing. It is never published. */
const UNFINISHED: FlushMeta = { point: NO_POINT, digest: '', installed: true };

async function write(store: LevelMetadataStore, meta: FlushMeta): Promise<void> {
  store.freeze(meta);
  await store.writeFrozen();
}
