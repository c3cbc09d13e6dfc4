/**
 * The parts of an engine and how they hold on to each other: made once recovery is done, with no
 * behaviour of its own.
 */
import { Compaction } from './compaction/run.ts';
import { DROPPED } from './copy-state.ts';
import type { DamageLog } from './damage.ts';
import type { Catalog } from './index/catalog.ts';
import { type StorageMetrics, sampleStorage } from './metrics.ts';
import { Reader } from './reader.ts';
import type { Recovered } from './recover.ts';
import type { SegmentFiles } from './segment/files.ts';
import { Journal } from './segment/journal.ts';
import type { Paths } from './segment/names.ts';
import { Space } from './space.ts';
import { Staging } from './staging.ts';
import type { EngineComponents, EngineOptions, OpenReport } from './types.ts';

export interface EngineParts extends EngineComponents {
  readonly paths: Paths;
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly damage: DamageLog;
  readonly reader: Reader;
  readonly journal: Journal;
  readonly compaction: Compaction;
  readonly staging: Staging;
  readonly space: Space;
  /** Called after a sync that left nothing unsynced; set once the engine stands. */
  onAllSynced: () => void;
}

export type CompleteOptions = EngineOptions & { readonly segmentBytes: number };

export function wire(
  components: EngineComponents,
  options: CompleteOptions,
  made: {
    readonly paths: Paths;
    readonly files: SegmentFiles;
    readonly metrics: StorageMetrics;
    readonly damage: DamageLog;
    readonly recovered: Recovered;
  },
): EngineParts {
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
      onAllSynced: () => wired.onAllSynced(),
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
      onRefused: ({ segment, offset }, why) => damage.refused({ segment, offset, why }),
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
    open: () => staging.open,
    staged: () => catalog.staged,
    live: () => ({ copies: catalog.copyCount, bytes: catalog.valueBytes }),
  });
  const parts = { paths, files, catalog, damage, reader, journal, compaction, staging, space };
  const wired: EngineParts = { ...components, ...parts, onAllSynced: () => undefined };
  return wired;
}

export function reportOf(recovered: Recovered, damage: DamageLog, openMs: number): OpenReport {
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
