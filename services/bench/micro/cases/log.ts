/** The Raft log: an append with its sync, on a disk in memory, which costs code alone, and on a real one. */
import { systemClock } from '../../../common/clock.ts';
import { logIndex } from '../../../common/ids.ts';
import { systemRandom } from '../../../common/random.ts';
import { LogStore } from '../../../consensus/log-store.ts';
import { consensusMetrics } from '../../../consensus/metrics.ts';
import type { Disk } from '../../../disk/disk.ts';
import { MemoryDisk } from '../../../disk/memory-disk.ts';
import { NodeDisk } from '../../../disk/node-disk.ts';
import { silentLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { at } from '../../../testing/raft-probe.ts';
import { type MicroCase, mustHold, type Work } from '../micro-case.ts';
import { entriesAfter } from '../samples.ts';

export const LOG_CASES: readonly MicroCase[] = [1, 64].flatMap((batch) => {
  const entries = batch === 1 ? 'one entry a write' : `${batch} entries a write`;
  const shared = { of: 'entry', perStep: batch };
  return [
    {
      ...shared,
      name: `log: ${entries}, in memory`,
      onDisk: false,
      open: () => logWork(new MemoryDisk(), '/raft', batch),
    },
    {
      ...shared,
      name: `log: ${entries}, on disk`,
      onDisk: true,
      open: ({ folder }) => logWork(new NodeDisk(), folder, batch),
    },
  ];
});

async function logWork(disk: Disk, path: string, batch: number): Promise<Work> {
  const metrics = consensusMetrics(createMetrics());
  const parts = { disk, clock: systemClock, random: systemRandom, logger: silentLogger, metrics };
  const log = await LogStore.open(parts, { path, isMember: false });
  mustHold(log.initialState(logIndex(0)).entries.length === 0, 'a fresh log holds entries');
  let last = 0;
  return {
    async prepare() {
      if (last > 0) await log.compact(at(last, 1));
    },
    async run(steps) {
      for (let i = 0; i < steps; i += 1) {
        const entries = entriesAfter(last, batch);
        await log.write([{ hardState: null, truncateFrom: null, entries }]);
        last += batch;
      }
    },
    close: () => log.close(),
  };
}
