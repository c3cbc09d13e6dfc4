/** Runs compaction in the background, a step at a time, and rests while there is nothing to gain. */
import { type Clock, sleep } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { SECOND_MS } from '../common/units.ts';
import type { StorageEngine } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';

const REST_MS = 5 * SECOND_MS;

export class Compactor {
  readonly #engine: StorageEngine;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: { engine: StorageEngine; clock: Clock; logger: Logger }) {
    this.#engine = parts.engine;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves once the step under way has ended. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const worked = await this.#engine.compactOnce(signal);
        if (!worked) await sleep(this.#clock, REST_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.warn({ error: asError(error) }, 'compaction step failed');
        await sleep(this.#clock, REST_MS, signal).catch(() => undefined);
      }
    }
  }
}
