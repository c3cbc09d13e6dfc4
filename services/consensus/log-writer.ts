/**
 * Persistence beside the loop: the loop goes on stepping while a sync is in flight, and everything
 * that gathers meanwhile goes down in one write and one sync. What must not leave before it is
 * durable waits here, in order.
 */
import { asError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { LogPoint, Ready } from '../raft/types.ts';
import type { RaftLog } from './raft-log.ts';

export interface LogWriterEvents {
  /** This Ready's hard state and entries, and all before them, are durable. Called in order. */
  persisted(ready: Ready, last: LogPoint | null): void;
  failed(error: Error): void;
}

export class LogWriter {
  readonly #log: RaftLog;
  readonly #events: LogWriterEvents;
  #queue: Ready[] = [];
  #running: Promise<void> | null = null;

  constructor(log: RaftLog, events: LogWriterEvents) {
    this.#log = log;
    this.#events = events;
  }

  /** Queues the work of one Ready; its messages may leave once `persisted` is called. */
  add(ready: Ready): void {
    if (this.#running === null && !mustWrite(ready)) {
      this.#events.persisted(ready, null);
      return;
    }
    for (const { data } of ready.entries) failpoint('raft.appended', data);
    this.#queue.push(ready);
    this.#running ??= this.#run();
  }

  /** Resolves once nothing is queued or in flight. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const batch = this.#queue;
        this.#queue = [];
        const writes = batch.filter(mustWrite);
        if (writes.length > 0) await this.#log.write(writes);
        if (batch.some(({ recovered }) => recovered)) await this.#log.setRecovered();
        for (const ready of batch) {
          for (const { data } of ready.entries) failpoint('raft.durable', data);
          this.#events.persisted(ready, lastPoint(ready));
        }
      }
    } catch (error) {
      this.#queue = [];
      this.#events.failed(asError(error));
    } finally {
      this.#running = null;
    }
  }
}

const mustWrite = (ready: Ready): boolean =>
  ready.hardState !== null ||
  ready.truncateFrom !== null ||
  ready.entries.length > 0 ||
  ready.recovered;

function lastPoint(ready: Ready): LogPoint | null {
  const last = ready.entries.at(-1);
  return last === undefined ? null : { index: last.index, term: last.term };
}
