/**
 * Work that is looked for at intervals and never overlaps with itself. A run that fails is logged
 * and tried again at the next turn; `stop` waits for a run under way, which learns it by its signal.
 */
import type { Clock, Timer } from '../../common/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface PeriodicJobOptions {
  readonly name: string;
  readonly intervalMs: number;
  /** Asked at each turn; cheap. */
  readonly isDue: () => boolean;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export class PeriodicJob {
  readonly #components: { readonly clock: Clock; readonly logger: Logger };
  readonly #options: PeriodicJobOptions;
  readonly #abort = new AbortController();
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;

  constructor(
    components: { readonly clock: Clock; readonly logger: Logger },
    options: PeriodicJobOptions,
  ) {
    this.#components = components;
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#components.clock.after(this.#options.intervalMs, () => {
      this.poke();
      this.start();
    });
  }

  /** Looks for work now. */
  poke(): void {
    if (this.#running !== null || this.#abort.signal.aborted || !this.#options.isDue()) return;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#options.run(this.#abort.signal);
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        this.#components.logger.warn({ job: this.#options.name, error }, 'job failed');
      }
    } finally {
      this.#running = null;
    }
  }
}
