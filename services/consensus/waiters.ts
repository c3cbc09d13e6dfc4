/**
 * What waits on the driver: reads for a confirmed index, anybody for an applied index. Bounded, and
 * every wait has a deadline that one sweep enforces.
 */
import { KvError } from '../common/errors.ts';
import type { LogIndex } from '../common/ids.ts';

const WAITERS_MAX = 100_000;

interface Waiter<T> {
  readonly deadlineMs: number;
  readonly resolve: (value: T) => void;
  readonly reject: (error: KvError) => void;
}

interface IndexWaiter extends Waiter<undefined> {
  readonly index: LogIndex;
}

/** Calls that wait until an index is applied. */
export class AppliedWaiters {
  #waiting: IndexWaiter[] = [];

  wait(index: LogIndex, deadlineMs: number): Promise<undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= WAITERS_MAX) {
        reject(new KvError('OVERLOADED', 'too many reads are waiting; try again shortly'));
        return;
      }
      this.#waiting.push({ index, deadlineMs, resolve, reject });
    });
  }

  applied(index: LogIndex): void {
    if (this.#waiting.length === 0) return;
    const ready = this.#waiting.filter((waiter) => waiter.index <= index);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((waiter) => waiter.index > index);
    for (const waiter of ready) waiter.resolve(undefined);
  }

  sweep(nowMs: number): void {
    const late = this.#waiting.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter(({ deadlineMs }) => deadlineMs > nowMs);
    for (const waiter of late) {
      waiter.reject(
        new KvError('DEADLINE_EXCEEDED', `index ${waiter.index} was not applied here in time`),
      );
    }
  }

  fail(error: KvError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) waiter.reject(error);
  }
}

/** Reads that wait for a ReadIndex round: all of one turn share one read id. */
export class ReadWaiters {
  #next: Waiter<LogIndex>[] = [];
  readonly #asked = new Map<number, Waiter<LogIndex>[]>();
  #readId = 0;
  #count = 0;

  get hasNew(): boolean {
    return this.#next.length > 0;
  }

  join(deadlineMs: number): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      if (this.#count >= WAITERS_MAX) {
        reject(new KvError('OVERLOADED', 'too many reads are waiting; try again shortly'));
        return;
      }
      this.#count += 1;
      this.#next.push({ deadlineMs, resolve, reject });
    });
  }

  /** The id under which all new reads are asked for now. */
  depart(): number {
    this.#readId += 1;
    this.#asked.set(this.#readId, this.#next);
    this.#next = [];
    return this.#readId;
  }

  /** The round of `readId` is confirmed at `index`, and `index` is applied. */
  confirmed(readId: number, index: LogIndex): void {
    const waiters = this.#take(readId);
    this.#count -= waiters.length;
    for (const waiter of waiters) waiter.resolve(index);
  }

  /** The round of `readId` was lost: its reads join the next one. */
  lost(readId: number): void {
    this.#next.push(...this.#take(readId));
  }

  sweep(nowMs: number): void {
    this.#next = this.#expire(this.#next, nowMs);
    for (const [readId, waiters] of this.#asked) {
      const kept = this.#expire(waiters, nowMs);
      if (kept.length === 0) this.#asked.delete(readId);
      else this.#asked.set(readId, kept);
    }
  }

  fail(error: KvError): void {
    const all = [...this.#next, ...[...this.#asked.values()].flat()];
    this.#next = [];
    this.#asked.clear();
    this.#count = 0;
    for (const waiter of all) waiter.reject(error);
  }

  #take(readId: number): Waiter<LogIndex>[] {
    const waiters = this.#asked.get(readId) ?? [];
    this.#asked.delete(readId);
    return waiters;
  }

  #expire(waiters: Waiter<LogIndex>[], nowMs: number): Waiter<LogIndex>[] {
    const kept = waiters.filter(({ deadlineMs }) => deadlineMs > nowMs);
    if (kept.length === waiters.length) return waiters;
    this.#count -= waiters.length - kept.length;
    for (const waiter of waiters) {
      if (waiter.deadlineMs <= nowMs) {
        waiter.reject(new KvError('NO_LEADER', 'no leader confirmed the read in time; try again'));
      }
    }
    return kept;
  }
}
