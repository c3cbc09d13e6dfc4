/**
 * The active segment, which is the write-ahead log. Records of one loop turn are one write and share
 * one sync; while a sync runs the next batch gathers. Offsets are given when a batch is encoded, so a
 * batch never straddles two segments. Any failed write or sync is final: what was not acknowledged by
 * then never will be.
 */
import type { Clock, Timer } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import type { Random } from '../../common/random.ts';
import type { DiskFile } from '../../disk/disk.ts';
import { COMMITTED, STAGED } from '../copy-state.ts';
import type { Catalog } from '../index/catalog.ts';
import {
  BATCH_BYTES_MAX,
  EARLY_WRITE_BYTES,
  QUEUE_BYTES_MAX,
  QUEUE_RECORDS_MAX,
} from '../limits.ts';
import type { StorageMetrics } from '../metrics.ts';
import { type Draft, draft, encodeDropRange, KIND, NO_COPY, recordBytesOf } from '../record.ts';
import type { FsyncPolicy } from '../types.ts';
import { encodeBatch } from './batch.ts';
import type { SegmentFiles } from './files.ts';
import { SEGMENT_HEADER_BYTES } from './header.ts';

export interface JournalComponents {
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: StorageMetrics;
}

export interface JournalOptions {
  readonly fsync: FsyncPolicy;
  readonly segmentBytes: number;
  readonly onFailure: (error: KvError) => void;
  /** After a sync, where all that the catalog knows is synced at this moment. */
  readonly onAllSynced: () => void;
  /** The segments that compaction replaces just now and, last, the one that it writes; else none. */
  readonly compacting: () => readonly number[];
}

export interface ActiveSegment {
  readonly segment: number;
  readonly salt: number;
  readonly file: DiskFile;
  written: number;
  synced: number;
}

interface Pending {
  readonly draft: Draft;
  /** Settles only once synced. */
  readonly synced: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Journal {
  readonly #parts: JournalComponents;
  readonly #options: JournalOptions;
  #active: ActiveSegment | null;
  #queue: Pending[] = [];
  #queueBytes = 0;
  /** Taken from the queue, being written. */
  #batch: readonly Pending[] = [];
  /** Written, waiting for the next sync; then covered by the one that runs. */
  #waiters: Pending[] = [];
  #covered: readonly Pending[] = [];
  #scheduled = false;
  #writing = false;
  /** The last write that was begun has ended. */
  #written: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | null = null;
  /** The interval has passed, or somebody wants everything down. */
  #syncDue = false;
  #intervalTimer: Timer | null = null;
  #unsyncedSinceMs: number | null = null;
  #drained: (() => void)[] = [];
  #failure: KvError | null = null;
  #syncs = 0;
  #placedRecords = 0;

  constructor(
    components: JournalComponents,
    options: JournalOptions,
    active: ActiveSegment | null,
  ) {
    this.#parts = components;
    this.#options = options;
    this.#active = active;
  }

  get failure(): KvError | null {
    return this.#failure;
  }

  get syncs(): number {
    return this.#syncs;
  }

  /** Records placed by this journal. */
  get placedRecords(): number {
    return this.#placedRecords;
  }

  get unsyncedBytes(): number {
    return this.#active === null ? 0 : this.#active.written - this.#active.synced;
  }

  /** Milliseconds that the oldest unsynced byte has waited. */
  get unsyncedAgeMs(): number {
    const since = this.#unsyncedSinceMs;
    return since === null ? 0 : this.#parts.clock.monotonicMs() - since;
  }

  /**
   * Appends a record; resolves once written, or once synced where that is wanted.
   * @throws KvError `DISK_FAILED`, `OVERLOADED`.
   */
  append(record: Draft, synced: boolean): Promise<void> {
    return this.appendAll([record], synced);
  }

  /** `append` of at least one record, in order; resolves when the last one does, the others then have. */
  appendAll(records: readonly Draft[], synced: boolean): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#queueBytes > QUEUE_BYTES_MAX || this.#queue.length >= QUEUE_RECORDS_MAX) {
      return Promise.reject(new KvError('OVERLOADED', 'too many records wait to be written'));
    }
    return new Promise((resolve, reject) => {
      const last = records.at(-1);
      for (const record of records) {
        const done = record === last ? resolve : ignore;
        this.#queue.push({ draft: record, synced, resolve: done, reject });
        this.#queueBytes += recordBytesOf(record);
      }
      this.#schedule();
    });
  }

  /** Resolves once everything appended so far is written and synced. */
  async drain(): Promise<void> {
    this.#syncDue = true;
    const idle = new Promise<void>((resolve) => this.#drained.push(resolve));
    this.#schedule();
    await idle;
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * Resolves once the catalog knows of each drop whose segments are named by now: compaction must not move
   * what such a drop does not name.
   */
  async placed(): Promise<void> {
    await this.#written;
    if (this.#failure !== null) throw this.#failure;
  }

  stop(): void {
    this.#intervalTimer?.cancel();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#parts.clock.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Starts whatever may run now; each end of a write or sync comes back here. */
  #pump(): void {
    if (this.#failure !== null) {
      this.#wakeDrained();
      return;
    }
    const mayWrite = this.#syncing === null || this.#queueBytes >= EARLY_WRITE_BYTES;
    if (!this.#writing && this.#queue.length > 0 && mayWrite) this.#startWrite();
    if (this.#wantsSync() && this.#syncing === null && !this.#writing) this.#startSync();
    const idle = this.#queue.length === 0 && !this.#writing && this.#syncing === null;
    if (idle) this.#wakeDrained();
  }

  #wantsSync(): boolean {
    return this.#waiters.length > 0 || (this.#syncDue && this.unsyncedBytes > 0);
  }

  #wakeDrained(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const wake of drained) wake();
  }

  #startWrite(): void {
    this.#writing = true;
    this.#written = this.#writeBatch().then(
      () => {
        this.#writing = false;
        if (this.#wantsSync() && this.#syncing === null) this.#startSync();
        this.#pump();
      },
      (error: unknown) => this.fail(error),
    );
  }

  #startSync(): void {
    this.#syncing = this.#sync().then(
      () => {
        this.#syncing = null;
        this.#pump();
      },
      (error: unknown) => this.fail(error),
    );
  }

  async #writeBatch(): Promise<void> {
    const active = this.#active ?? (await this.#openNext());
    this.#batch = this.#take(active);
    if (this.#batch.length === 0) {
      await this.#roll(active);
      return;
    }
    const drafts = this.#batch.map(({ draft: next }) => this.#complete(next, active.segment));
    // Where nothing else waits for a sync the write carries its own: one call of the system, not two.
    const carriesSync = this.unsyncedBytes === 0 && this.#batch.some(({ synced }) => synced);
    await this.#write(active, drafts, carriesSync);
    this.#settle(this.#batch);
    this.#batch = [];
    if (carriesSync) {
      // It has made all before it durable too.
      this.#cover();
      this.#answerCovered();
    }
  }

  /** As many waiting records as fit the segment and one write call. */
  #take(active: ActiveSegment): readonly Pending[] {
    const empty = active.written === SEGMENT_HEADER_BYTES;
    let bytes = 0;
    let count = 0;
    for (const { draft: next } of this.#queue) {
      const size = recordBytesOf(next);
      const fits = active.written + bytes + size <= this.#options.segmentBytes;
      if (!fits && !(empty && count === 0)) break;
      if (count > 0 && bytes + size > BATCH_BYTES_MAX) break;
      bytes += size;
      count += 1;
    }
    this.#queueBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  /**
   * A drop names the segments of what it drops, known only now that all before it is placed, and no more:
   * it has to stay until the last of them is gone.
   */
  #complete(record: Draft, segment: number): Draft {
    if (record.kind !== KIND.drop) return record;
    const { catalog } = this.#parts;
    const segments = new Set(catalog.segmentsOf(record.copyId));
    const state = catalog.copy(record.copyId)?.state;
    // Of a copy that is not staged yet more may be in this very batch.
    if (state !== STAGED && state !== COMMITTED) segments.add(segment);
    const touched = this.#options.compacting();
    const output = touched.at(-1);
    if (output !== undefined && touched.some((one) => segments.has(one))) segments.add(output);
    const lowest = Math.min(...segments);
    const highest = Math.max(...segments);
    return { ...record, meta: encodeDropRange({ lowest, highest }) };
  }

  async #write(
    active: ActiveSegment,
    drafts: readonly Draft[],
    carriesSync: boolean,
  ): Promise<void> {
    const { segment, salt, written: offset, synced: syncedTo } = active;
    const { parts, bytes } = encodeBatch(drafts, { segment, salt, offset, syncedTo });
    const beganMs = this.#parts.clock.monotonicMs();
    if (carriesSync) await active.file.writeSynced(offset, parts);
    else await active.file.write(offset, parts);
    active.written += bytes;
    if (carriesSync) this.#noteSync(active, active.written, beganMs);
    else this.#unsyncedSinceMs ??= this.#parts.clock.monotonicMs();
    this.#place(active, drafts, offset);
    this.#armInterval();
  }

  #place(active: ActiveSegment, drafts: readonly Draft[], start: number): void {
    const { catalog, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const { segment } = active;
    let offset = start;
    for (const { kind, flags, copyId, meta, data } of drafts) {
      const recordBytes = recordBytesOf({ kind, flags, copyId, meta, data, dataCrc: 0 });
      const dataBytes = data.length;
      const placed = { kind, flags, copyId, meta, segment, offset, dataBytes, recordBytes };
      catalog.apply(placed, true, nowMs);
      offset += recordBytes;
    }
    this.#placedRecords += drafts.length;
    const info = catalog.segments.get(segment);
    if (info !== undefined) info.bytes = active.written;
  }

  #settle(batch: readonly Pending[]): void {
    for (const pending of batch) {
      failpoint('volume.written', pending.draft.meta);
      if (pending.synced) this.#waiters.push(pending);
      else pending.resolve();
    }
  }

  async #sync(): Promise<void> {
    const active = this.#active;
    this.#cover();
    this.#syncDue = false;
    if (active !== null) {
      const target = active.written;
      const beganMs = this.#parts.clock.monotonicMs();
      await active.file.sync();
      this.#noteSync(active, target, beganMs);
    }
    this.#answerCovered();
  }

  /** Whoever waits now is answered by the next sync to end. */
  #cover(): void {
    this.#covered = this.#waiters;
    this.#waiters = [];
  }

  #answerCovered(): void {
    for (const pending of this.#covered) pending.resolve();
    this.#covered = [];
    if (this.unsyncedBytes === 0) this.#options.onAllSynced();
  }

  #noteSync(active: ActiveSegment, target: number, beganMs: number): void {
    const { clock, metrics } = this.#parts;
    const endedMs = clock.monotonicMs();
    active.synced = Math.max(active.synced, target);
    this.#unsyncedSinceMs = active.written > active.synced ? beganMs : null;
    this.#syncs += 1;
    metrics.syncs.add();
    metrics.fsyncSeconds.observe((endedMs - beganMs) / 1000);
  }

  /** Sealing syncs the segment before the next opens, whatever the policy. */
  async #roll(active: ActiveSegment): Promise<void> {
    await this.#syncing;
    if (this.#failure !== null) throw this.#failure;
    await this.#write(active, [draft(KIND.seal, NO_COPY)], false);
    await this.#sync();
    failpoint('segment.sealed');
    await this.#parts.files.sealActive();
    failpoint('segment.moved');
    const info = this.#parts.catalog.segments.get(active.segment);
    if (info !== undefined) info.sealed = true;
    this.#active = null;
  }

  async #openNext(): Promise<ActiveSegment> {
    const { files, catalog, random } = this.#parts;
    const segment = catalog.segments.next();
    const salt = random.below(2 ** 32);
    const file = await files.createActive({ segment, salt, replaces: [] });
    failpoint('segment.created');
    catalog.segments.add(segment, salt).bytes = SEGMENT_HEADER_BYTES;
    const header = SEGMENT_HEADER_BYTES;
    this.#active = { segment, salt, file, written: header, synced: header };
    return this.#active;
  }

  #armInterval(): void {
    const { fsync } = this.#options;
    if (fsync.kind !== 'interval' || this.#intervalTimer !== null) return;
    this.#intervalTimer = this.#parts.clock.after(fsync.intervalMs, () => {
      this.#intervalTimer = null;
      this.#syncDue = true;
      this.#pump();
    });
  }

  /** Refuses everything from now on; the first cause is told once. */
  fail(cause: unknown): void {
    if (this.#failure !== null) return;
    const failure = new KvError('DISK_FAILED', 'a write or sync of the volume failed', { cause });
    this.#failure = failure;
    this.#intervalTimer?.cancel();
    const refused = [...this.#covered, ...this.#waiters, ...this.#batch, ...this.#queue];
    this.#waiters = [];
    this.#queue = [];
    this.#queueBytes = 0;
    for (const pending of refused) pending.reject(failure);
    this.#wakeDrained();
    this.#options.onFailure(failure);
  }
}

const ignore = (): void => undefined;
