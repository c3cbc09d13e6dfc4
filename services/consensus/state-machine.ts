/**
 * What the consensus driver replicates. `apply` is synchronous and deterministic; durability of its
 * effects is the machine's own affair, except that a flush never runs ahead of the own log.
 */
import type { LogIndex } from '../common/ids.ts';
import type { Entry, LogPoint } from '../raft/types.ts';

export interface StateMachine {
  readonly applied: LogPoint;
  /** Applied state up to here is durable: the log may be cut behind it. */
  readonly flushed: LogPoint;
  /** Applies committed entries in order, without gaps; an entry that it cannot understand throws. */
  apply(entries: readonly Entry[]): void;
  /**
   * The own log is durable up to `index`; only up to there may a flush go. It falls when entries are
   * voided whose successors are not on disk yet.
   */
  logDurable(index: LogIndex): void;
  /** Writes all that is applied and allowed to disk; resolves once durable. */
  flush(): Promise<void>;
  /**
   * A consistent copy of the state at a flushed point: the chunks of one self-describing,
   * self-checking stream. Call `close` in every case.
   */
  openSnapshot(): Promise<SnapshotSource>;
  /**
   * Replaces the whole state by a snapshot, durably and atomically: a crash at any step leaves the
   * old or the new state. @throws KvError `CORRUPT` when the stream does not verify; state untouched.
   */
  installSnapshot(point: LogPoint, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface SnapshotSource {
  readonly point: LogPoint;
  readonly chunks: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
