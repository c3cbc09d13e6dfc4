/** What becomes of a worker that does not answer, and of the seeds after its own. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { type PoolOptions, WorkerPool } from './pool.ts';
import type { Job } from './worker.ts';

/** Far less than it takes to start a process, load the simulator and run a cluster. */
const TOO_SHORT_MS = 50;

const jobOf = (seed: number): Job => ({
  seed,
  profile: 'within',
  only: [],
  isVerbose: false,
  isTwice: false,
});

const open = (options: Partial<PoolOptions>): WorkerPool => {
  latest = new WorkerPool({
    jobs: 1,
    mutant: null,
    timeoutMs: 60_000,
    ...options,
  });
  return latest;
};

let latest: WorkerPool | null = null;

afterEach(() => latest?.close());

describe('a pool of workers', () => {
  test('gives the seed after one that never ended to a new worker, not to the killed one', async () => {
    const pool = open({ timeoutMs: TOO_SHORT_MS });
    for (const seed of [1, 2, 3]) {
      const { troubles } = await pool.run(jobOf(seed));
      expect(troubles).toEqual(['it has not ended within 0.05 s']);
    }
  });

  test('runs one seed after the other, and none is lost', async () => {
    const pool = open({});
    for (const seed of [1, 2]) {
      const { troubles, events } = await pool.run(jobOf(seed));
      expect(troubles).toEqual([]);
      expect(events).toBeGreaterThan(0);
    }
  });
});
