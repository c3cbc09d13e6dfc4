/**
 * What waits on the driver: reads for a confirmed index, anybody for an applied index. Bounded, and
 * every wait has a deadline that one sweep enforces.
 */
import { KvError } from '../common/errors.ts';
import type { LogIndex } from '../common/ids.ts';
import { InFlight } from '../common/in-flight.ts';

const WAITERS_MAX = 100_000;

interface Waiter<T> {
  readonly deadlineMs: number;
  readonly resolve: (value: T) => void;
  readonly reject: (error: KvError) => void;
}

interface IndexWaiter extends Waiter<undefined> {
  readonly index: LogIndex;
}

/** Calls that wait, each until its deadline; a bounded number of them. */
abstract class WaitList<W extends Waiter<undefined>> {
  #waiting: W[] = [];

  sweep(nowMs: number): void {
    for (const waiter of this.#take(({ deadlineMs }) => deadlineMs <= nowMs)) {
      waiter.reject(this.late(waiter));
    }
  }

  fail(error: KvError): void {
    for (const waiter of this.#take(() => true)) waiter.reject(error);
  }

  /** What a waiter is told whose deadline has passed. */
  protected abstract late(waiter: W): KvError;

  protected add(waiter: W): void {
    if (this.#waiting.length < WAITERS_MAX) this.#waiting.push(waiter);
    else waiter.reject(new KvError('OVERLOADED', 'too many calls are waiting; try again shortly'));
  }

  protected release(isReady: (waiter: W) => boolean): void {
    for (const waiter of this.#take(isReady)) waiter.resolve(undefined);
  }

  #take(isTaken: (waiter: W) => boolean): readonly W[] {
    const taken = this.#waiting.filter((waiter) => isTaken(waiter));
    if (taken.length > 0) this.#waiting = this.#waiting.filter((waiter) => !isTaken(waiter));
    return taken;
  }
}

/** Calls that wait until an index is applied. */
class AppliedWaiters extends WaitList<IndexWaiter> {
  wait(index: LogIndex, deadlineMs: number): Promise<undefined> {
    return new Promise((resolve, reject) => {
      this.add({ index, deadlineMs, resolve, reject });
    });
  }

  applied(applied: LogIndex): void {
    this.release(({ index }) => index <= applied);
  }

  protected override late({ index }: IndexWaiter): KvError {
    return new KvError('DEADLINE_EXCEEDED', `index ${index} was not applied here in time`);
  }
}

/** Calls that wait until some node leads. */
class LeaderWaiters extends WaitList<Waiter<undefined>> {
  wait(deadlineMs: number): Promise<undefined> {
    return new Promise((resolve, reject) => {
      this.add({ deadlineMs, resolve, reject });
    });
  }

  led(): void {
    this.release(() => true);
  }

  protected override late(): KvError {
    return new KvError('NO_LEADER', 'the coordinators have no leader at present');
  }
}

/** Reads that wait for a ReadIndex round: all of one turn share one read id. */
class ReadWaiters {
  #next: Waiter<LogIndex>[] = [];
  readonly #asked = new InFlight<number, Waiter<LogIndex>[]>();
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
    const waiters = this.#asked.take(readId) ?? [];
    this.#count -= waiters.length;
    for (const waiter of waiters) waiter.resolve(index);
  }

  /** The round of `readId` was lost: its reads join the next one. */
  lost(readId: number): void {
    this.#next.push(...(this.#asked.take(readId) ?? []));
  }

  sweep(nowMs: number): void {
    this.#next = this.#expire(this.#next, nowMs);
    for (const [readId, waiters] of this.#asked.entries()) {
      const kept = this.#expire(waiters, nowMs);
      if (kept.length === 0) this.#asked.take(readId);
      else this.#asked.set(readId, kept);
    }
  }

  fail(error: KvError): void {
    const all = [...this.#next, ...this.#asked.drain().flat()];
    this.#next = [];
    this.#count = 0;
    for (const waiter of all) waiter.reject(error);
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

/** All that waits on one driver. */
export class Waiters {
  readonly reads = new ReadWaiters();
  readonly applied = new AppliedWaiters();
  readonly leader = new LeaderWaiters();

  /** Ends the waits whose deadline has passed. */
  sweep(nowMs: number): void {
    for (const waiters of this.#all) waiters.sweep(nowMs);
  }

  fail(error: KvError): void {
    for (const waiters of this.#all) waiters.fail(error);
  }

  get #all(): readonly (ReadWaiters | AppliedWaiters | LeaderWaiters)[] {
    return [this.reads, this.applied, this.leader];
  }
}
