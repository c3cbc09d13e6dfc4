/** What becomes of a worker that does not answer, and of the seeds after its own. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { WorkerPool } from './pool.ts';
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

describe('a pool of workers', () => {
  let pool: WorkerPool;

  beforeEach(() => {
    pool = new WorkerPool({ jobs: 1, mutant: null, timeoutMs: TOO_SHORT_MS });
  });

  afterEach(() => pool.close());

  test('gives the seed after one that never ended to a new worker, not to the killed one', async () => {
    for (const seed of [1, 2, 3]) {
      const { troubles } = await pool.run(jobOf(seed));
      expect(troubles).toEqual(['it has not ended within 0.05 s']);
    }
  });
});
