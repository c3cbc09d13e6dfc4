/** The durable log as the driver sees it: one call, one write, one sync. Implemented by log-store.ts. */
import type { LogIndex } from '../common/ids.ts';
import type { Entry, HardState, LogPoint } from '../raft/types.ts';

/** The part of a Ready that must reach the disk. */
export interface LogWrite {
  readonly hardState: HardState | null;
  /** Entries of this index and above are void; cut before `entries` are appended. */
  readonly truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
}

/** Calls may overlap: they take effect in the order in which they were made. */
export interface RaftLog {
  /** Writes all in order with one sync; durable once resolved. */
  write(writes: readonly LogWrite[]): Promise<void>;
  /** The log is empty behind `base` from now on: a snapshot took its place. Durable once resolved. */
  restart(base: LogPoint): Promise<void>;
  /** Entries up to `base` are not needed any more; may keep some of them. */
  compact(base: LogPoint): Promise<void>;
  /** Recovering has ended by its exit rule. Durable once resolved. */
  setRecovered(): Promise<void>;
  /** Raises the witness and closes. */
  close(): Promise<void>;
}
