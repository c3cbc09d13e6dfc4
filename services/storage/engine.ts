/**
 * The door of the room: one volume's segment store. It wires the parts together and guards the two
 * ends of its life; what each call does stands in staging (writes), reader (reads), compaction and
 * scrub. Invariant: after a failed write or sync nothing is acknowledged any more.
 */
import type { Clock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import type { CopyId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { ASIDE_SUFFIX } from '../disk/publish.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Compaction } from './compaction/run.ts';
import { DamageLog } from './damage.ts';
import type { Catalog } from './index/catalog.ts';
import { DROPPED, STAGED, STATES } from './index/entry.ts';
import {
  LIST_MAX,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SNAPSHOT_RECORDS_MIN,
} from './limits.ts';
import { sampleStorage, storageMetrics } from './metrics.ts';
import { NO_TXN, Reader } from './reader.ts';
import { type Recovered, recover } from './recover.ts';
import { scrub } from './scrub.ts';
import { SegmentFiles } from './segment/files.ts';
import { Journal } from './segment/journal.ts';
import { type Paths, pathsOf } from './segment/names.ts';
import { freezeCatalog, writeSnapshot } from './snapshot/file.ts';
import { Space } from './space.ts';
import { Staging } from './staging.ts';
import type {
  CopyInfo,
  CopyState,
  EngineUsage,
  FsyncPolicy,
  OpenReport,
  ReadResult,
  SettleResult,
  StageChunk,
  StageEnd,
  StorageEngine,
} from './types.ts';

export { VolumeFolder } from './volume-folder.ts';

export interface EngineComponents {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface EngineOptions {
  readonly dataPath: string;
  /** Folder of the active segment; may be below the data path. */
  readonly walPath: string;
  readonly fsync: FsyncPolicy;
  /** 4 KiB to almost 2 GiB; default 64 MiB. */
  readonly segmentBytes?: number;
  /** Free bytes below which staging is refused. */
  readonly reserveBytes: number;
  /** 0: as fast as it goes. */
  readonly compactionBytesPerSecond: number;
  /** Value bytes that the volume may hold; 0: what the disk has. */
  readonly capacityBytes: number;
  /** Called once, with the cause, when a write or sync has failed: the process must exit. */
  readonly onFailure: (error: KvError) => void;
}

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
  await disk.makeFolder(options.walPath);
  const lock = options.walPath === options.dataPath ? null : await disk.lock(options.walPath);
  try {
    return await SegmentEngine.open(components, { ...options, segmentBytes }, lock);
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

/** What the engine is made of once recovery is done. */
interface Parts extends EngineComponents {
  readonly lock: DiskLock | null;
  readonly paths: Paths;
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly damage: DamageLog;
  readonly reader: Reader;
  readonly journal: Journal;
  readonly compaction: Compaction;
  readonly staging: Staging;
  readonly space: Space;
}

type CompleteOptions = EngineOptions & { readonly segmentBytes: number };

class SegmentEngine implements StorageEngine {
  readonly report: OpenReport;
  readonly #parts: Parts;
  readonly #stopping = new AbortController();
  #snapshotRecords = 0;
  #snapshotting: Promise<void> | null = null;
  #compacting: Promise<boolean> | null = null;

  private constructor(parts: Parts, report: OpenReport) {
    this.#parts = parts;
    this.report = report;
  }

  static async open(
    components: EngineComponents,
    options: CompleteOptions,
    lock: DiskLock | null,
  ): Promise<SegmentEngine> {
    const { clock, disk, logger } = components;
    const beganMs = clock.monotonicMs();
    const paths = pathsOf(options.dataPath, options.walPath);
    const files = new SegmentFiles(disk, paths);
    const metrics = storageMetrics(components.metrics, options.fsync);
    const damage = new DamageLog({ logger, metrics });
    const recovered = await recover({ disk, files, clock, damage, paths });
    const wired = wire(components, options, { paths, files, metrics, damage, recovered });
    await wired.space.measure();
    const report = reportOf(recovered, damage, clock.monotonicMs() - beganMs);
    const engine = new SegmentEngine({ ...wired, lock }, report);
    wired.onSealed = () => engine.#onSealed();
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
    return this.#parts.staging.stageWhole(end, data, forceSync);
  }

  async finalize(copyId: CopyId): Promise<SettleResult> {
    this.#refuseIfEnded();
    return this.#parts.staging.finalize(copyId);
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
      if (copy?.state !== STAGED || copy.unsound) continue;
      const info = await reader.info(id, copy, this.#stagedForMs(id));
      if (info.sound) found.push(info);
    }
    return found;
  }

  usage(): EngineUsage {
    const { catalog, space, journal, damage } = this.#parts;
    const segments = catalog.segments.all();
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

  async compactOnce(signal?: AbortSignal): Promise<boolean> {
    this.#refuseIfEnded();
    const { staging, compaction, journal } = this.#parts;
    await staging.dropIdle();
    if (this.#compacting !== null) return false;
    const stop = this.#stopping.signal;
    const either = signal === undefined ? stop : AbortSignal.any([signal, stop]);
    this.#compacting = compaction.step(either).catch((error: unknown) => {
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
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    return scrub({ files, catalog, clock, damage }, bytesPerSecond, either);
  }

  async close(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(new KvError('STOPPING', 'the volume is stopping'));
    const { files, journal, lock } = this.#parts;
    try {
      await this.#compacting?.catch(() => false);
      await this.#snapshotting;
      if (journal.failure !== null) return;
      await journal.drain();
      await this.#writeSnapshot(true);
    } finally {
      journal.stop();
      await files.close();
      await lock?.release();
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

  /** Everything that the catalog knows is synced now: the moment for a snapshot, when one is due. */
  #onSealed(): void {
    const { catalog, compaction, journal } = this.#parts;
    const records = journal.placedRecords;
    const due = Math.max(SNAPSHOT_RECORDS_MIN, catalog.copyCount / 4);
    if (records - this.#snapshotRecords < due || compaction.running) return;
    if (this.#snapshotting !== null || this.#stopping.signal.aborted) return;
    this.#snapshotRecords = records;
    this.#snapshotting = this.#writeSnapshot(false).finally(() => {
      this.#snapshotting = null;
    });
  }

  /** A snapshot only saves time: where it cannot be written the next open reads the segments. */
  async #writeSnapshot(clean: boolean): Promise<void> {
    const { disk, paths, catalog, logger } = this.#parts;
    try {
      await writeSnapshot(disk, paths.snapshot, freezeCatalog(catalog, clean));
    } catch (error) {
      logger.warn({ error: asError(error) }, 'index snapshot could not be written');
      await disk.remove(paths.snapshot + ASIDE_SUFFIX);
    }
  }
}

interface Wired extends Omit<Parts, 'lock'> {
  onSealed: () => void;
}

function wire(
  components: EngineComponents,
  options: CompleteOptions,
  made: {
    readonly paths: Paths;
    readonly files: SegmentFiles;
    readonly metrics: ReturnType<typeof storageMetrics>;
    readonly damage: DamageLog;
    readonly recovered: Recovered;
  },
): Wired {
  const { disk, clock, random, logger } = components;
  const { files, metrics, damage, paths, recovered } = made;
  const { catalog } = recovered;
  const { segmentBytes, fsync } = options;
  const compaction = new Compaction(
    { disk, files, catalog, clock, random, logger, metrics, damage },
    { segmentBytes, bytesPerSecond: options.compactionBytesPerSecond },
  );
  const journal = new Journal(
    { files, catalog, clock, random, metrics },
    {
      fsync,
      segmentBytes,
      onFailure: options.onFailure,
      onSealed: () => wired.onSealed(),
      compacting: () => compaction.touching,
    },
    recovered.active,
  );
  const reader = new Reader(
    { files, catalog },
    {
      onDamage: (id, { segment, offset }, why) => {
        damage.corrupt({ segment, offset, why });
        if (catalog.copy(id)?.state !== DROPPED) catalog.markUnsound(id);
      },
    },
  );
  const space = new Space(
    { disk, clock, logger },
    {
      folders: [options.dataPath, options.walPath],
      reserveBytes: options.reserveBytes,
      capacityBytes: options.capacityBytes,
    },
  );
  const staging = new Staging(
    { journal, catalog, reader, space, clock },
    { votesSynced: fsync.kind === 'always' },
  );
  sampleStorage(components.metrics, {
    unsyncedBytes: () => journal.unsyncedBytes,
    unsyncedAgeMs: () => journal.unsyncedAgeMs,
  });
  const parts = { paths, files, catalog, damage, reader, journal, compaction, staging, space };
  const wired: Wired = { ...components, ...parts, onSealed: () => undefined };
  return wired;
}

function reportOf(recovered: Recovered, damage: DamageLog, openMs: number): OpenReport {
  return {
    copies: recovered.catalog.copyCount,
    fromSnapshot: recovered.fromSnapshot,
    replayedRecords: recovered.replayedRecords,
    openMs,
    clean: recovered.clean && damage.tornBytes === 0,
    tornBytes: damage.tornBytes,
    corruptRecords: damage.corruptRecords,
  };
}
