/**
 * Reads all that the volume holds once soon after its start and once a day from then on, slowly, so that
 * decay is found while other volumes still have the value whole. Whoever hears of it is told at once.
 */
import { type Clock, sleep } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { HOUR_MS, SECOND_MS } from '../common/units.ts';
import type { StorageEngine } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A first pass would take from others that start beside it the cores that they start with. */
const START_AFTER_MS = 5 * SECOND_MS;
const REST_MS = 24 * HOUR_MS;

export interface ScrubberParts {
  readonly engine: Pick<StorageEngine, 'scrub'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A pass has met damage. */
  readonly found: () => void;
}

export interface ScrubberOptions {
  /** 0: never. */
  readonly bytesPerSecond: number;
}

export class Scrubber {
  readonly #parts: ScrubberParts;
  readonly #options: ScrubberOptions;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: ScrubberParts, options: ScrubberOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  start(): void {
    if (this.#options.bytesPerSecond > 0) this.#running = this.#run();
  }

  /** Resolves once nothing is being read any more. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { clock, logger } = this.#parts;
    const rest = (ms: number): Promise<void> => sleep(clock, ms, signal).catch(() => undefined);
    await rest(START_AFTER_MS);
    while (!signal.aborted) {
      try {
        await this.#pass(signal);
      } catch (error) {
        if (!signal.aborted) logger.warn({ error: asError(error) }, 'scrub failed');
      }
      await rest(REST_MS);
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { engine, logger, found } = this.#parts;
    const { checked, bad } = await engine.scrub(this.#options.bytesPerSecond, signal);
    logger.info({ checked, bad }, 'scrub passed');
    if (bad > 0) found();
  }
}
