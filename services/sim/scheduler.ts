/**
 * The one queue of a simulation: events in the order of their virtual time, ties in the order of their
 * making, each followed by all promises that it settles. Invariant: nothing else drives the simulation,
 * so equal seeds make equal events; the trace says whether they did.
 */
import type { Timer } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { LastWords } from './last-words.ts';
import type { Life } from './life.ts';
import { Trace } from './trace.ts';

/** Kinds of events, as the trace has them. */
export const EVENT = { timer: 1, soon: 2, disk: 3, network: 4, process: 5, plan: 6 } as const;
export type EventKind = (typeof EVENT)[keyof typeof EVENT];

interface Event {
  atMs: number;
  order: number;
  readonly kind: EventKind;
  /** Whose step it is; null: of the world around the processes. */
  readonly life: Life | null;
  /** null: taken back. */
  fn: (() => void) | null;
}

/** Events that run before the loop of the machine has a turn again. */
const BURST = 64;
/** Events at one instant; more are a loop that never lets time pass. */
const EVENTS_AT_ONCE_MAX = 100_000;

export class Scheduler {
  readonly trace = new Trace();
  readonly #heap: Event[] = [];
  /** Events at the present time, first in first out: most of what a process does. */
  #now: Event[] = [];
  #nowHead = 0;
  #atOnce = 0;
  #order = 0;
  #nowMs = 0;
  #eventCount = 0;
  #current: Life | null = null;
  readonly #checks: (() => void)[] = [];
  readonly #words = new LastWords();
  #drive: Drive | null = null;

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Whose event is being run, or whose promises settle. */
  get current(): Life | null {
    return this.#current;
  }

  onEvent(check: () => void): void {
    this.#checks.push(check);
  }

  schedule(delayMs: number, life: Life | null, kind: EventKind, fn: () => void): Timer {
    this.#order += 1;
    const event: Event = { atMs: this.#nowMs + delayMs, order: this.#order, kind, life, fn };
    if (delayMs <= 0) {
      event.atMs = this.#nowMs;
      this.#now.push(event);
    } else this.#push(event);
    return {
      cancel: () => {
        event.fn = null;
      },
    };
  }

  /** Runs `fn` as a step of `life` within the present event; a paused one does it when it goes on. */
  enter(life: Life, fn: () => void): void {
    if (life.isOver) return;
    if (life.isPaused) {
      life.parked.push(fn);
      return;
    }
    this.#current = life;
    this.#step(life, fn);
  }

  /** Events until `endMs`, or until `isDone` holds after one; answers whether it does. */
  drive(endMs: number, isDone: () => boolean): Promise<boolean> {
    if (this.#drive !== null) return Promise.reject(new Error('somebody drives already'));
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        this.#drive = null;
        this.#words.stopListening();
        finish();
      };
      this.#drive = {
        endMs,
        isDone,
        resolve: (holds) => settle(() => resolve(holds)),
        reject: (error) => settle(() => reject(error)),
      };
      this.#words.listen((error) => this.#unhandled(error));
      this.#burst();
    });
  }

  /** As many immediates at once: the machine settles promises between each two, and nothing more. */
  #burst(): void {
    for (let i = 1; i < BURST; i += 1) setImmediate(this.#turn);
    setImmediate(() => {
      this.#turn();
      if (this.#drive !== null) this.#burst();
    });
  }

  readonly #turn = (): void => {
    const drive = this.#drive;
    if (drive === null) return;
    try {
      this.#endEvent();
      if (this.#words.error !== null) throw this.#words.error;
      if (drive.isDone()) {
        drive.resolve(true);
        return;
      }
      const event = this.#next(drive.endMs);
      if (event === null) {
        this.#nowMs = drive.endMs;
        drive.resolve(drive.isDone());
        return;
      }
      this.#run(event);
    } catch (thrown) {
      drive.reject(asError(thrown));
    }
  };

  #isInEvent = false;

  #run(event: Event): void {
    const { life, fn } = event;
    if (fn === null || life?.isOver === true) return;
    if (life?.isPaused === true) {
      // Taken back while it waits, it does nothing.
      life.parked.push(() => event.fn?.());
      return;
    }
    event.fn = null;
    this.#eventCount += 1;
    this.#isInEvent = true;
    this.trace.event(this.#nowMs, life?.number ?? 0, event.kind);
    this.#current = life;
    if (life === null) fn();
    else this.#step(life, fn);
  }

  /** What a process throws beside all promises ends it, as it would end a real one. */
  #step(life: Life, fn: () => void): void {
    try {
      fn();
    } catch (thrown) {
      life.fail(asError(thrown));
    }
  }

  #endEvent(): void {
    if (!this.#isInEvent) return;
    this.#isInEvent = false;
    this.#current = null;
    for (const check of this.#checks) check();
  }

  /** A rejection that nobody handles ends the process whose step made it. */
  #unhandled(error: Error): void {
    if (this.#current === null) this.#words.error ??= error;
    else this.#current.fail(error);
  }

  #next(endMs: number): Event | null {
    const first = this.#heap[0];
    const now = this.#now[this.#nowHead];
    if (now !== undefined && (first === undefined || isBefore(now, first))) {
      this.#nowHead += 1;
      this.#atOnce += 1;
      if (this.#atOnce > EVENTS_AT_ONCE_MAX) {
        throw new Error(
          `time stands still at ${this.#nowMs} ms: ${this.#atOnce} events and more to come`,
        );
      }
      if (this.#nowHead === this.#now.length) {
        this.#now = [];
        this.#nowHead = 0;
      }
      return now;
    }
    if (first === undefined || first.atMs > endMs) return null;
    this.#nowMs = first.atMs;
    this.#atOnce = 0;
    this.#pop();
    return first;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = heap[below];
      if (child === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        below += 1;
        child = right;
      }
      if (isBefore(last, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

interface Drive {
  readonly endMs: number;
  readonly isDone: () => boolean;
  readonly resolve: (holds: boolean) => void;
  readonly reject: (error: Error) => void;
}

const isBefore = (a: Event, b: Event): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
