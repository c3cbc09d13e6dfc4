/**
 * The bridge between consensus and metadata: applies committed commands to the state, tells who waits,
 * flushes in coalesced synced batches, and gives and takes snapshots. Invariant: a flush never goes
 * beyond the own durable log, and what is applied beyond a flush the log still holds.
 */
import { assert } from '../common/assert.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { type CopyId, type DiskId, type LogIndex, type TxnId } from '../common/ids.ts';
import { Semaphore } from '../common/semaphore.ts';
import { SECOND_MS } from '../common/units.ts';
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
import { type Entry, type LogPoint, NO_POINT } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CounterMetric } from '../telemetry/metrics.ts';
import type { FlushMeta } from './flush-chain.ts';
import type { ListRequest, Page } from './gateway.ts';
import { LevelMetadataStore } from './level-metadata-store.ts';
import { buildContent } from './metadata-build.ts';
import { Flusher } from './metadata-flusher.ts';
import { MetadataFolder } from './metadata-folder.ts';
import { listPage } from './metadata-listing.ts';
import { type OpenedContent, openTrusted } from './metadata-open.ts';
import type { Decision, Metadata, RecordScan, ScannedRecord } from './metadata-port.ts';
import { scanGarbage, scanRecords, scanThin } from './metadata-scans.ts';
import { digestOfRows, type ScrubResult } from './metadata-scrub.ts';
import { writeSnapshot } from './metadata-snapshot.ts';
import { OutcomeWaiters } from './outcome-waiters.ts';
import type { StateDigest } from './state-exchange.ts';
import type { OpenTable } from './table.ts';
import { findDecayedTable } from './table-file.ts';
import type { TableView } from './table-view.ts';

/** Indexes at which all nodes compare their states. */
const DIGEST_EVERY = 1024;
/** Listings at once, and those that wait: each reads all shards. */
const LISTINGS_MAX = 2;
const LISTINGS_WAITING_MAX = 256;
/** When what a start can do without begins: once others that start beside it have the cores no more. */
const WARM_UP_AFTER_MS = 2 * SECOND_MS;
/** Between its parts: it takes about a tenth of a core. */
const WARM_UP_PAUSE_MS = 10;
/** Outcomes that are taken up before a pause: some milliseconds of the loop. */
const OUTCOMES_SLICE = 2048;

export interface MetadataParts {
  readonly disk: Disk;
  readonly openTable: OpenTable;
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
  readonly #digestListeners: ((digest: StateDigest) => void)[] = [];
  /** False while nobody can say whether this state or another node's is right: nothing rests on it. */
  isTrusted = true;
  /** Whether all others are here and have this node's running state: asked before it is thrown away. */
  othersAgree: () => boolean = () => false;
  #content: Content;
  #applied: LogPoint;
  #isFailed = false;
  readonly #closing = new AbortController();

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

  /** Bytes that the state takes on the disk, roughly. */
  storedBytes(): Promise<number> {
    return this.#content.store.storedBytes();
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
      if (index % DIGEST_EVERY === 0) this.#tellDigest(index);
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
    const { view, meta } = await this.#flushedView();
    const chunks = this.#watched(writeSnapshot(view, meta));
    return { point: meta.point, chunks, close: () => view.close() };
  }

  async installSnapshot(point: LogPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const onFatal = (error: Error): void => this.#fail(error);
    const opened = await buildContent(await this.#folder.prepareNext(), {
      point,
      chunks,
      openTable: this.#parts.openTable,
      onFatal,
    });
    const old = this.#content;
    failpoint('snapshot.built');
    await old.flusher.stop();
    const oldFolder = await this.#folder.publishNext();
    failpoint('snapshot.published');
    // From here on the snapshot is the state, also after a crash. No read falls between the two.
    this.#applied = point;
    this.#content = this.#adopt(opened);
    this.#waiters.decideAll((txnId) => this.#content.state.settled(txnId));
    for (const listener of this.#installedListeners) listener();
    await old.store.close();
    await this.#folder.remove(oldFolder);
    failpoint('snapshot.replaced');
  }

  /**
   * Reads all files against their checksums, which is fatal where one has decayed, and all rows of the
   * newest flush against its running digest. `pace` is awaited between parts.
   */
  async scrub(pace: () => Promise<void>): Promise<ScrubResult> {
    const bad = await findDecayedTable(this.#parts.disk, this.#folder.current, pace);
    if (bad !== null) this.#fail(new KvError('CORRUPT', `${bad.file}: ${bad.why}`));
    const { view, meta } = await this.#flushedView();
    try {
      const scanned = await digestOfRows(view, pace);
      return { index: meta.point.index, isSound: scanned === meta.digest };
    } finally {
      await view.close();
    }
  }

  /** Called with the digest at each index that all nodes compare, in the turn in which it is applied. */
  onDigest(listener: (digest: StateDigest) => void): void {
    this.#digestListeners.push(listener);
  }

  /**
   * Ends the process because this state is wrong. `isReplaceable`: others hold a right one, so the
   * next start throws this one away and gets theirs.
   */
  giveUp(error: KvError, isReplaceable: boolean): void {
    this.isTrusted = false;
    this.#end(error, isReplaceable);
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
    this.#closing.abort();
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
    void this.#warmUp(store, state);
    return { store, state, flusher };
  }

  /** What a start can do without, before somebody has to wait for it. */
  async #warmUp(store: LevelMetadataStore, state: MetadataState): Promise<void> {
    const { clock } = this.#parts;
    const pause = (): Promise<void> => sleep(clock, WARM_UP_PAUSE_MS);
    try {
      await sleep(clock, WARM_UP_AFTER_MS, this.#closing.signal);
    } catch {
      return;
    }
    try {
      while (!store.isClosed && !state.takeStoredOutcomes(OUTCOMES_SLICE)) await pause();
    } catch (thrown) {
      this.#fail(asError(thrown));
      return;
    }
    if (!store.isClosed) await store.learnKeys(pause);
  }

  /** A view of exactly the rows of the newest flush. */
  async #flushedView(): Promise<{ readonly view: TableView; readonly meta: FlushMeta }> {
    const { store, flusher } = this.#content;
    do await flusher.flush();
    while (flusher.isWriting);
    // No batch is on its way in this turn: the stored rows are exactly those of the newest flush.
    const meta = flusher.durable;
    if (meta === null) throw new KvError('NOT_READY', 'nothing is flushed yet');
    return { view: store.view(), meta };
  }

  /** A state that is not what was applied must not be served on, whoever finds it out. */
  async *#watched(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof KvError && error.code === 'STATE_DIVERGED') {
        this.giveUp(error, this.othersAgree());
      }
      throw error;
    }
  }

  #tellDigest(index: LogIndex): void {
    const digest = { index, digest: this.digest() };
    for (const listener of this.#digestListeners) listener(digest);
  }

  /** Rows that fail their check make the state void for the next start. */
  #fail(error: Error): void {
    this.#end(error, error instanceof KvError && error.code === 'CORRUPT');
  }

  /** Once, whatever else goes wrong. */
  #end(error: Error, isVoid: boolean): void {
    if (this.#isFailed) return;
    this.#isFailed = true;
    if (!isVoid) {
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
