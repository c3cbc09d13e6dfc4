/**
 * Works off a queue with a bounded number of workers. Each look at a key has a deadline; whoever runs over
 * it is aborted, but its key is not free before it has ended: two never work on one key.
 */
import { underEither } from '../../services/common/abort.ts';
import type { Clock } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import { SECOND_MS } from '../../services/common/units.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import type { WorkerMetrics } from './metrics.ts';
import type { WorkQueue } from './work-queue.ts';

/** Looks at one key. Throwing has it looked at again soon, answering at the time that is answered. */
export type Work = (key: string, signal: AbortSignal) => Promise<{ readonly requeueMs: number }>;

export interface WorkersComponents {
  readonly queue: WorkQueue;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: WorkerMetrics;
  readonly work: Work;
}

export interface WorkersOptions {
  readonly count: number;
  /** For one look at one key. */
  readonly deadlineMs: number;
}

export class Workers {
  readonly #parts: WorkersComponents;
  readonly #options: WorkersOptions;
  readonly #stop = new AbortController();
  readonly #startedMs = new Map<string, number>();
  #done: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkersComponents, options: WorkersOptions) {
    this.#parts = parts;
    this.#options = options;
    parts.metrics.sampleLongest(() => this.longestMs / SECOND_MS);
    parts.metrics.sampleDepth(() => parts.queue.depth);
  }

  /** For how long the oldest look that has not ended runs, in milliseconds; 0: none. */
  get longestMs(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    return Math.max(0, ...[...this.#startedMs.values()].map((startMs) => nowMs - startMs));
  }

  start(): void {
    const { count } = this.#options;
    this.#done = Promise.all(Array.from({ length: count }, () => this.#workOff()));
  }

  /** Aborts what runs and resolves when all of it has ended. */
  async stop(): Promise<void> {
    this.#parts.queue.close();
    this.#stop.abort(new Error('the operator stops'));
    await this.#done;
  }

  async #workOff(): Promise<void> {
    const { queue } = this.#parts;
    for (let key = await queue.take(); key !== null; key = await queue.take()) {
      try {
        await this.#look(key);
      } finally {
        queue.done(key);
      }
    }
  }

  async #look(key: string): Promise<void> {
    const { queue, clock, logger, metrics, work } = this.#parts;
    const { deadlineMs } = this.#options;
    const startMs = clock.monotonicMs();
    this.#startedMs.set(key, startMs);
    const late = new AbortController();
    const timer = clock.after(deadlineMs, () => late.abort(new Error('the look took too long')));
    let result = 'ok';
    try {
      const { requeueMs } = await underEither(this.#stop.signal, late.signal, (signal) =>
        work(key, signal),
      );
      queue.forget(key);
      queue.addAfter(key, requeueMs);
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      result = late.signal.aborted ? 'late' : 'error';
      logger.warn({ key, error: asError(thrown) }, 'reconcile failed');
      queue.retry(key);
    } finally {
      timer.cancel();
      this.#startedMs.delete(key);
      metrics.total.add(1, { result });
      metrics.seconds.observe((clock.monotonicMs() - startMs) / SECOND_MS);
    }
  }
}
