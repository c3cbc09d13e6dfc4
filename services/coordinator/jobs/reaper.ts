/**
 * Drops garbage copies on live disks and takes their rows out of the state. A row leaves only after
 * its disk has acknowledged the drop; a disk that is away keeps its rows.
 */
import type { Clock } from '../../common/clock.ts';
import { failpoint } from '../../common/failpoint.ts';
import type { CopyId, DiskId } from '../../common/ids.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metadata } from '../metadata-port.ts';
import type { JobMetrics } from '../metrics.ts';
import type { VolumeClient, VolumeDirectory } from '../volume-port.ts';
import { orAborted } from './or-aborted.ts';
import { PeriodicJob } from './periodic-job.ts';

export interface ReaperComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly volumes: VolumeClient;
  readonly metrics: JobMetrics;
}

/** Rows of one command. */
const ROWS_MAX = 4096;
/** A proposal of which nothing is seen for so long is made again. */
const PROPOSAL_MS = 2 * SECOND_MS;

/** Runs on the leader; drops are idempotent, so two reapers would do no harm. */
export class Reaper {
  readonly #components: ReaperComponents;
  readonly #job: PeriodicJob;
  /** When rows of the disk were proposed that the state still lists. */
  readonly #proposedMs = new Map<DiskId, number>();

  constructor(components: ReaperComponents) {
    this.#components = components;
    const { consensus, metadata } = components;
    this.#job = new PeriodicJob(components, {
      name: 'reaper',
      intervalMs: SECOND_MS,
      isDue: () =>
        metadata.isTrusted && metadata.counters.garbage > 0 && consensus.status().role === 'leader',
      run: (signal) => this.#run(signal),
    });
  }

  start(): void {
    this.#components.metadata.onApplied((applied) => {
      const isOurs = applied.some(
        ({ result }) => result.kind === 'done' && result.command === 'reclaimed',
      );
      if (!isOurs) return;
      this.#proposedMs.clear();
      // After the turn that applies: there may be more rows.
      this.#components.clock.soon(() => this.#job.poke());
    });
    this.#job.start();
  }

  stop(): Promise<void> {
    return this.#job.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { directory, metadata } = this.#components;
    const live = directory.live().map(({ disk }) => disk);
    const gone = metadata.disks().filter(({ state }) => state === 'gone');
    await Promise.all([
      ...live.map((disk) =>
        this.#reap(disk, (copyIds) => orAborted(this.#drop(disk, copyIds), signal), signal),
      ),
      // Nobody is left to acknowledge: the rows of a gone disk just go.
      ...gone.map(({ disk }) =>
        this.#reap(disk, (copyIds) => Promise.resolve(copyIds.map(() => true)), signal),
      ),
    ]);
  }

  #drop(disk: DiskId, copyIds: readonly CopyId[]): Promise<readonly boolean[]> {
    return this.#components.volumes.settle(disk, 'drop', copyIds);
  }

  async #reap(
    disk: DiskId,
    drop: (copyIds: readonly CopyId[]) => Promise<readonly boolean[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, consensus, logger, metadata, metrics } = this.#components;
    const proposedMs = this.#proposedMs.get(disk);
    if (proposedMs !== undefined && clock.monotonicMs() - proposedMs < PROPOSAL_MS) return;
    const rows = await metadata.reclaimable(disk, ROWS_MAX);
    if (rows.length === 0 || signal.aborted) return;
    failpoint('reaper.dropping');
    try {
      const dropped = await drop(rows.map(({ copyId }) => copyId));
      const gone = rows.filter((_, i) => dropped[i] === true);
      if (gone.length === 0) return;
      failpoint('reaper.dropped');
      this.#proposedMs.set(disk, clock.monotonicMs());
      consensus.propose(encodeCommand({ kind: 'reclaimed', rows: gone }), () => undefined);
      failpoint('reaper.reclaiming');
      metrics.copiesReclaimed.add(gone.length);
    } catch (error) {
      logger.debug({ disk, error }, 'garbage not dropped');
    }
  }
}
