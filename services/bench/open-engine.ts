/** A volume's engine as the benchmarks open it: synced always, nothing compacted, no reserve. */
import { join } from 'node:path';
import { systemClock } from '../common/clock.ts';
import { systemRandom } from '../common/random.ts';
import type { Disk } from '../disk/disk.ts';
import { openEngine } from '../storage/engine.ts';
import type { StorageEngine } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';

/** What fails it ends the benchmark. */
export const openBenchEngine = (disk: Disk, folder: string): Promise<StorageEngine> =>
  openEngine(
    {
      disk,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      metrics: createMetrics(),
    },
    {
      dataPath: folder,
      walPath: join(folder, 'wal'),
      fsync: { kind: 'always' },
      reserveBytes: 0,
      compactionBytesPerSecond: 0,
      capacityBytes: 0,
      onFailure: (error) => {
        throw error;
      },
    },
  );
