/**
 * The replicated metadata as the rest of the coordinator sees it: synchronous questions on the applied
 * state, ordered listings on one store snapshot, and news of what was applied. Implemented by
 * metadata-machine.ts, which is also the consensus StateMachine.
 */
import type { DiskId, LogIndex, TxnId } from '../common/ids.ts';
import type { Applied, MetadataQueries } from '../metadata/machine.ts';
import type {
  GarbageRow,
  ThinRow,
  TxnOutcome,
  Undecided,
  ValueRecord,
} from '../metadata/records.ts';
import type { ListRequest, Page } from './gateway.ts';

export type Decision = TxnOutcome | Undecided;

/** A record of a scan; `rowKey` is where the scan goes on behind it. */
export interface ScannedRecord {
  readonly rowKey: Uint8Array;
  readonly key: Uint8Array;
  readonly value: ValueRecord;
}

export interface RecordScan {
  /** Row key to go on behind; null: from the first record. */
  readonly after: Uint8Array | null;
  readonly limit: number;
  readonly minIndex: LogIndex;
}

export interface Metadata extends MetadataQueries {
  readonly appliedIndex: LogIndex;
  /** False while nobody can say whether this state or another node's is right: nothing rests on it. */
  readonly isTrusted: boolean;
  /**
   * Calls back once when the outcome of `txnId` is applied here (also when it already is, and after an
   * installed snapshot that holds it). Answers a function that stops waiting.
   */
  awaitOutcome(txnId: TxnId, decided: (decision: Decision) => void): () => void;
  /** Called synchronously after each apply turn, with what was applied; jobs and registry listen here. */
  onApplied(
    listener: (applied: readonly { readonly index: LogIndex; readonly result: Applied }[]) => void,
  ): void;
  /** Called after a snapshot replaced the whole state. */
  onInstalled(listener: () => void): void;
  /** The forget mark that keeps the newest `keep` outcomes: what a leader puts into Advance. */
  forgetMark(keep: number): LogIndex;
  /** One page in byte order over all shards, from one store snapshot at `readIndex`. */
  list(request: ListRequest): Promise<Page>;
  /** Garbage of a disk with queuedAt < the reclaim mark, oldest first. */
  reclaimable(disk: DiskId, limit: number): Promise<readonly GarbageRow[]>;
  /** Thin keys after `after` (exclusive; null: from the start). */
  thin(after: Uint8Array | null, limit: number): Promise<readonly ThinRow[]>;
  /**
   * Records in the order of their row keys, as a flush at `minIndex` or later holds them: what was
   * written since may be missing. @throws KvError `NOT_READY` while no such flush can be made.
   */
  records(scan: RecordScan): Promise<readonly ScannedRecord[]>;
  /** Bytes of state not yet flushed; for back-pressure and metrics. */
  readonly unflushedBytes: number;
}
