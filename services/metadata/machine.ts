/**
 * The door of metadata: applied results and questions that can be answered synchronously from the
 * applied state. The class that implements it holds small state (disks, marks, outcomes, counters) in
 * memory and everything else in the MetadataStore.
 */
import type { CopyId, DiskId, LogIndex, Session, TxnId } from '../common/ids.ts';
import type { Command } from './commands.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  Marks,
  TxnOutcome,
  Undecided,
  ValueRecord,
} from './records.ts';

/** What one applied command answered. */
export type Applied =
  | { readonly kind: 'txn'; readonly txnId: TxnId; readonly outcome: TxnOutcome | Undecided }
  | { readonly kind: 'registered'; readonly nonce: string; readonly result: RegisterResult }
  | {
      readonly kind: 'done';
      readonly command: Exclude<Command['kind'], 'commit' | 'abort' | 'move' | 'register'>;
    };

export type RegisterResult =
  | { readonly kind: 'accepted'; readonly disk: DiskId; readonly session: Session }
  | {
      readonly kind: 'refused';
      readonly why: 'unknown-disk' | 'disk-gone' | 'other-volume' | 'stale-boot';
    };

/** Answers to "may these bytes go?" (docs/guarantees.md, in doubt). */
export type AskAnswer = 'KEEP' | 'DROP' | 'LATER';

export interface Counters {
  readonly keys: number;
  readonly bytes: number;
  /** Keys with fewer good copies than wanted. */
  readonly underReplicated: number;
  /** Keys without any good copy. */
  readonly lost: number;
  readonly garbage: number;
}

export interface MetadataQueries {
  readonly marks: Marks;
  readonly counters: Counters;
  readonly cluster: ClusterRecord;
  record(key: Uint8Array): ValueRecord | undefined;
  /** The listed copies of a key that are reported absent or bad. */
  suspects(key: Uint8Array): readonly Copy[];
  outcome(txnId: TxnId): TxnOutcome | undefined;
  disk(disk: DiskId): DiskRecord | undefined;
  disks(): readonly DiskRecord[];
  ask(question: {
    readonly disk: DiskId;
    readonly copyId: CopyId;
    readonly txnId: TxnId;
    readonly owner: Uint8Array;
  }): AskAnswer;
}

export interface MetadataMachine extends MetadataQueries {
  /** Applies the command at `index`. Total and deterministic. */
  apply(index: LogIndex, command: Command): Applied;
}
