/**
 * Persistence beside the loop: the loop goes on stepping while a sync is in flight, and everything
 * that gathers meanwhile goes down in one write and one sync. What must not leave before it is
 * durable waits here, in order, and nothing else does: messages that have left and entries that are
 * applied are let go. So what waits during a sync that hangs is no more than the log holds of it in
 * memory: on a leader up to the bytes at which the core takes no more proposals, on a follower what the
 * leader sends before an answer.
 */
import { asError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { LogPoint, Ready } from '../raft/types.ts';
import type { RaftLog } from './raft-log.ts';

/** What of a Ready waits for the disk. */
export type PersistWork = Pick<
  Ready,
  'hardState' | 'truncateFrom' | 'entries' | 'messagesAfterPersist' | 'recovered'
>;

export interface LogWriterEvents {
  /** This Ready's hard state and entries, and all before them, are durable. Called in order. */
  persisted(work: PersistWork, last: LogPoint | null): void;
  failed(error: Error): void;
}

export class LogWriter {
  readonly #log: RaftLog;
  readonly #events: LogWriterEvents;
  #queue: PersistWork[] = [];
  #running: Promise<void> | null = null;

  constructor(log: RaftLog, events: LogWriterEvents) {
    this.#log = log;
    this.#events = events;
  }

  /** Queues the work of one Ready; its messages may leave once `persisted` is called. */
  add(whole: Ready): void {
    const { hardState, truncateFrom, entries, messagesAfterPersist, recovered } = whole;
    const ready = { hardState, truncateFrom, entries, messagesAfterPersist, recovered };
    if (!mustWrite(ready) && messagesAfterPersist.length === 0) return;
    if (this.#running === null && !mustWrite(ready)) {
      this.#events.persisted(ready, null);
      return;
    }
    for (const { data } of entries) failpoint('raft.appended', data);
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

const mustWrite = (ready: PersistWork): boolean =>
  ready.hardState !== null ||
  ready.truncateFrom !== null ||
  ready.entries.length > 0 ||
  ready.recovered;

function lastPoint(ready: PersistWork): LogPoint | null {
  const last = ready.entries.at(-1);
  return last === undefined ? null : { index: last.index, term: last.term };
}
