/**
 * Once a day reads all stored metadata and holds them against their checksums and against the digest of
 * what was applied, so that decay on a disk that is rarely restarted does not stay unseen. What differs
 * ends the process: the next start rebuilds the table.
 */
import { type Clock, sleep } from '../../common/clock.ts';
import { HOUR_MS } from '../../common/units.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { PeriodicJob } from './periodic-job.ts';

const EVERY_MS = 24 * HOUR_MS;
/** Between two parts of about a thousand rows: requests come first. */
const PAUSE_MS = 20;

export interface ScrubComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metadata: { scrub(pause: () => Promise<void>): Promise<void> };
}

export class MetadataScrub {
  readonly #job: PeriodicJob;

  constructor(components: ScrubComponents) {
    const { clock, logger, metadata } = components;
    this.#job = new PeriodicJob(components, {
      name: 'metadata scrub',
      intervalMs: EVERY_MS,
      isDue: () => true,
      run: async (signal) => {
        await metadata.scrub(() => sleep(clock, PAUSE_MS, signal));
        logger.info({}, 'metadata scrub passed');
      },
    });
  }

  start(): void {
    this.#job.start();
  }

  stop(): Promise<void> {
    return this.#job.stop();
  }
}
