/**
 * The clock of a simulated machine, which may go faster or slower than virtual time and show a wrong
 * time of day, and the view that one life of a process has of it. It never goes back.
 */
import type { Clock } from '../common/clock.ts';
import type { Life } from './life.ts';
import { EVENT, type Scheduler } from './scheduler.ts';
import type { SimClock } from './types.ts';

const EPOCH_MS = 1_700_000_000_000;
const NO_TIMER = { cancel: () => undefined };

export class MachineClock implements SimClock {
  readonly #scheduler: Scheduler;
  /** What it showed when its rate changed last. */
  #shownMs = 0;
  #sinceMs = 0;
  #rate = 1;
  wallSkewMs = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    if (!(rate > 0)) throw new RangeError(`a clock does not go at rate ${rate}`);
    this.#shownMs = this.#monotonicMs();
    this.#sinceMs = this.#scheduler.nowMs;
    this.#rate = rate;
  }

  /** The clock as one life of a process sees it. A timer keeps the rate that it was set at. */
  viewOf(life: Life): Clock {
    const scheduler = this.#scheduler;
    return {
      monotonicMs: () => this.#monotonicMs(),
      wallMs: () => EPOCH_MS + this.wallSkewMs + Math.floor(this.#monotonicMs()),
      after: (delayMs, fn) => {
        if (life.isOver) return NO_TIMER;
        return scheduler.schedule(delayMs / this.#rate, life, EVENT.timer, fn);
      },
      soon: (fn) => {
        if (!life.isOver) scheduler.schedule(0, life, EVENT.soon, fn);
      },
    };
  }

  #monotonicMs(): number {
    return this.#shownMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate;
  }
}
