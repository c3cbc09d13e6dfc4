/**
 * The door of the room: one volume's segment store. It wires the parts together and guards the two
 * ends of its life; what each call does stands in staging (writes), reader (reads), compaction and
 * scrub. Invariant: after a failed write or sync nothing is acknowledged any more.
 */
import { underEither } from '../common/abort.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { CopyId } from '../common/ids.ts';
import type { DiskLock } from '../disk/disk.ts';
import { ASIDE_SUFFIX } from '../disk/publish.ts';
import { roomBeside } from './compaction/room.ts';
import { DROPPED, STAGED } from './copy-state.ts';
import { DamageLog } from './damage.ts';
import { STATES } from './index/entry.ts';
import {
  LIST_MAX,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SNAPSHOT_RECORDS_MIN,
} from './limits.ts';
import { storageMetrics } from './metrics.ts';
import { type CompleteOptions, type EngineParts, reportOf, wire } from './parts.ts';
import { NO_TXN } from './reader.ts';
import { recover } from './recover.ts';
import { scrub } from './scrub.ts';
import { SegmentFiles } from './segment/files.ts';
import { type Paths, pathsOf } from './segment/names.ts';
import { freezeCatalog, loadSnapshot, writeSnapshot } from './snapshot/file.ts';
import type {
  CopyInfo,
  CopyState,
  EngineComponents,
  EngineOptions,
  EngineUsage,
  OpenReport,
  ReadResult,
  SettleResult,
  StageChunk,
  StageEnd,
  StorageEngine,
  WholeCopy,
} from './types.ts';

export { VolumeFolder } from './volume-folder.ts';

/**
 * Opens or makes a volume's store. The data folder's lock is `VolumeFolder`'s; the wal folder's, where
 * it is another one, is taken here.
 * @throws KvError `LOCKED`, `DISK_FAILED`, `INVALID_ARGUMENT`.
 */
export async function openEngine(
  components: EngineComponents,
  options: EngineOptions,
): Promise<StorageEngine> {
  const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
  if (segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > SEGMENT_BYTES_MAX) {
    throw new KvError('INVALID_ARGUMENT', `a segment cannot have ${segmentBytes} bytes`);
  }
  const { disk } = components;
  const paths = pathsOf(options.dataPath, options.walPath);
  /* On its way while the folder is made and locked; whoever awaits it hears of a failure. */
  const loading = loadSnapshot(disk, paths.snapshot);
  loading.catch(() => undefined);
  await disk.makeFolder(options.walPath);
  const lock = options.walPath === options.dataPath ? null : await disk.lock(options.walPath);
  try {
    const complete = { ...options, segmentBytes };
    return await SegmentEngine.open(components, complete, { lock, paths, loading });
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

class SegmentEngine implements StorageEngine {
  readonly report: OpenReport;
  readonly #parts: EngineParts;
  readonly #lock: DiskLock | null;
  readonly #stopping = new AbortController();
  readonly #snapshotRecordsMin: number;
  /** Records that the last snapshot knows. */
  #snapshotRecords = 0;
  #snapshotting: Promise<void> | null = null;
  #compacting: Promise<boolean> | null = null;

  private constructor(
    parts: EngineParts,
    options: { readonly lock: DiskLock | null; readonly snapshotRecordsMin: number },
    report: OpenReport,
  ) {
    this.#parts = parts;
    this.#lock = options.lock;
    this.#snapshotRecordsMin = options.snapshotRecordsMin;
    this.report = report;
  }

  static async open(
    components: EngineComponents,
    options: CompleteOptions,
    begun: {
      readonly lock: DiskLock | null;
      readonly paths: Paths;
      readonly loading: ReturnType<typeof loadSnapshot>;
    },
  ): Promise<SegmentEngine> {
    const { clock, disk, logger } = components;
    const { paths, loading } = begun;
    const beganMs = clock.monotonicMs();
    const files = new SegmentFiles(disk, paths);
    const metrics = storageMetrics(components.metrics, options.fsync);
    const damage = new DamageLog({ logger, metrics });
    const { endedCleanly = false, damagedSlots = 0 } = options.folder ?? {};
    if (damagedSlots > 0) damage.identitySlot();
    const parts = { disk, files, clock, damage, paths, loading, endedCleanly };
    const recovered = await recover(parts);
    const wired = wire(components, options, { paths, files, metrics, damage, recovered });
    await wired.space.measure();
    const report = reportOf(recovered, damage, clock.monotonicMs() - beganMs);
    const { snapshotRecordsMin = SNAPSHOT_RECORDS_MIN } = options;
    const engine = new SegmentEngine(wired, { lock: begun.lock, snapshotRecordsMin }, report);
    wired.onAllSynced = () => engine.#snapshotIfDue();
    await wired.staging.dropLeftOpen();
    const { fsync } = options;
    logger.info({ ...report, fsync, corruptRecords: damage.corruptCount }, 'store opened');
    return engine;
  }

  async stageChunk(chunk: StageChunk): Promise<void> {
    this.#refuseIfEnded();
    return this.#parts.staging.stageChunk(chunk);
  }

  async stageEnd(end: StageEnd, forceSync = false): Promise<void> {
    this.#refuseIfEnded();
    return this.#parts.staging.stageEnd(end, forceSync);
  }

  async stageWhole(end: StageEnd, data: Uint8Array, forceSync = false): Promise<void> {
    this.#refuseIfEnded();
    const [refusal] = await this.#parts.staging.stageWholes([{ end, data }], forceSync);
    if (refusal instanceof Error) throw refusal;
  }

  async stageWholes(values: readonly WholeCopy[]): Promise<readonly (Error | null)[]> {
    this.#refuseIfEnded();
    return this.#parts.staging.stageWholes(values, false);
  }

  async finalize(copyId: CopyId): Promise<SettleResult> {
    const [result = 'not-found'] = await this.finalizeAll([copyId]);
    return result;
  }

  async finalizeAll(copyIds: readonly CopyId[]): Promise<readonly SettleResult[]> {
    this.#refuseIfEnded();
    return this.#parts.staging.finalize(copyIds);
  }

  async drop(copyId: CopyId): Promise<SettleResult> {
    this.#refuseIfEnded();
    await this.#parts.staging.drop(copyId);
    return 'ok';
  }

  async dropIfOpen(copyId: CopyId): Promise<void> {
    this.#refuseIfEnded();
    return this.#parts.staging.dropIfOpen(copyId);
  }

  async read(copyId: CopyId, offset: number, length: number): Promise<ReadResult> {
    this.#refuseIfEnded();
    return this.#parts.reader.read(copyId, offset, length);
  }

  sizeOf(copyId: CopyId): number | null {
    this.#refuseIfEnded();
    const { catalog } = this.#parts;
    const copy = catalog.copy(copyId);
    if (copy === undefined || copy.state === DROPPED || copy.unsound) return null;
    return catalog.sizeOf(copyId, copy);
  }

  async info(copyId: CopyId): Promise<CopyInfo | undefined> {
    this.#refuseIfEnded();
    const { catalog, reader, staging } = this.#parts;
    const copy = catalog.copy(copyId);
    if (copy !== undefined) return reader.info(copyId, copy, this.#stagedForMs(copyId));
    const open = staging.openCopy(copyId);
    if (open === undefined) return undefined;
    return {
      copyId,
      state: 'open',
      txnId: NO_TXN,
      owner: new Uint8Array(0),
      sizeBytes: open.bytes,
      sound: true,
      refused: false,
      stagedForMs: open.idleMs,
    };
  }

  async list(
    after: CopyId | null,
    limit: number,
    states: readonly CopyState[],
  ): Promise<readonly CopyInfo[]> {
    this.#refuseIfEnded();
    const { catalog, reader } = this.#parts;
    const wanted = (state: number): boolean => states.includes(STATES[state] ?? 'dropped');
    const page = catalog.page(after, Math.min(limit, LIST_MAX), wanted);
    return reader.infos(page, (id) => this.#stagedForMs(id));
  }

  async staged(olderThanMs: number, limit: number): Promise<readonly CopyInfo[]> {
    this.#refuseIfEnded();
    const { catalog, reader } = this.#parts;
    const found: CopyInfo[] = [];
    for (const id of [...catalog.stagedAt.keys()]) {
      if (found.length >= limit || this.#stagedForMs(id) < olderThanMs) break;
      const copy = catalog.copy(id);
      if (copy?.state !== STAGED) continue;
      const info = await reader.info(id, copy, this.#stagedForMs(id));
      // Of a copy whose owner cannot be read nobody could say that it may go.
      if (info.owner.length > 0) found.push(info);
    }
    return found;
  }

  usage(): EngineUsage {
    const { catalog, space, journal, damage } = this.#parts;
    const segments = catalog.segments.all();
    space.refresh();
    return {
      copies: catalog.copyCount,
      liveBytes: catalog.valueBytes,
      diskBytes: segments.reduce((sum, info) => sum + info.bytes, 0),
      freeBytes: space.freeBytes(catalog.valueBytes),
      capacityBytes: space.capacityBytes,
      unsyncedBytes: journal.unsyncedBytes,
      segments: segments.length,
      indexBytes: catalog.indexBytes,
      syncs: journal.syncs,
      corruptRecords: damage.corruptCount,
    };
  }

  setCompactionRate(bytesPerSecond: number): void {
    this.#parts.compaction.setRate(bytesPerSecond);
  }

  async compactOnce(signal?: AbortSignal): Promise<boolean> {
    this.#refuseIfEnded();
    const { staging, compaction, journal } = this.#parts;
    await staging.dropIdle();
    if (this.#compacting !== null) return false;
    const stop = this.#stopping.signal;
    const placed = (): Promise<void> => journal.placed();
    const step = underEither(signal ?? stop, stop, (either) =>
      compaction.step({ placed, signal: either }),
    );
    this.#compacting = step.catch((error: unknown) => {
      journal.fail(error);
      throw journal.failure ?? asError(error);
    });
    try {
      return await this.#compacting;
    } finally {
      this.#compacting = null;
    }
  }

  scrub(
    bytesPerSecond: number,
    signal: AbortSignal,
  ): Promise<{ readonly checked: number; readonly bad: number }> {
    const { files, catalog, clock, damage } = this.#parts;
    return underEither(signal, this.#stopping.signal, (either) =>
      scrub({ files, catalog, clock, damage }, bytesPerSecond, either),
    );
  }

  async close(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(new KvError('STOPPING', 'the volume is stopping'));
    const { files, journal } = this.#parts;
    try {
      await this.#compacting?.catch(() => false);
      await this.#snapshotting;
      if (journal.failure !== null) return;
      await journal.drain();
      await this.#writeSnapshot(true);
      failpoint('engine.closed');
    } finally {
      journal.stop();
      await files.close();
      await this.#lock?.release();
    }
  }

  #stagedForMs(id: CopyId): number {
    const at = this.#parts.catalog.stagedAt.get(id);
    return at === undefined ? Number.POSITIVE_INFINITY : this.#parts.clock.monotonicMs() - at;
  }

  #refuseIfEnded(): void {
    const { failure } = this.#parts.journal;
    if (failure !== null) throw failure;
    if (this.#stopping.signal.aborted) throw new KvError('STOPPING', 'the volume is stopping');
  }

  /**
   * Everything that the catalog knows is synced now. A snapshot bounds what the next open replays, and
   * writing one costs what the index weighs: so one is due after a share of the index in records.
   */
  #snapshotIfDue(): void {
    const { catalog, compaction, journal } = this.#parts;
    const records = journal.placedRecords;
    const due = Math.max(this.#snapshotRecordsMin, catalog.copyEntries / 4);
    if (records - this.#snapshotRecords < due || compaction.running) return;
    if (this.#snapshotting !== null || this.#stopping.signal.aborted) return;
    this.#snapshotRecords = records;
    this.#snapshotting = this.#writeSnapshot(false).finally(() => {
      this.#snapshotting = null;
    });
  }

  /**
   * A snapshot only saves time: where it cannot be written the next open reads the segments. One between
   * must not take the last of the disk from the journal; at the end that needs no more.
   */
  async #writeSnapshot(clean: boolean): Promise<void> {
    const { disk, paths, catalog, logger } = this.#parts;
    const bytes = catalog.indexBytes;
    const frozen = freezeCatalog(catalog, clean);
    try {
      const hasRoom = clean || (await roomBeside(disk, paths.snapshot)) >= bytes;
      if (hasRoom) await writeSnapshot(disk, paths.snapshot, frozen);
      else logger.warn({ bytes }, 'no room for an index snapshot');
    } catch (error) {
      logger.warn({ error: asError(error) }, 'index snapshot could not be written');
      await disk.remove(paths.snapshot + ASIDE_SUFFIX).catch(() => undefined);
    }
  }
}
