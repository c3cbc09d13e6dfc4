/**
 * What the replicated state holds. Every row has one owner key (keys.ts) and one codec; sizes are in
 * bytes, indexes are Raft indexes.
 */
import type {
  BlobId,
  ClusterId,
  CopyId,
  Digest,
  DiskId,
  LogIndex,
  NodeId,
  Session,
} from '../common/ids.ts';

/** When a record was written: Raft index and place among the ops of that command. */
export interface Version {
  readonly index: LogIndex;
  readonly ordinal: number;
}

/** One stored copy of a blob. */
export interface Copy {
  readonly disk: DiskId;
  readonly copyId: CopyId;
}

/** Headers kept with a value: Content-Type and `X-Minikv-Meta-*` (names lower-case), 2 KiB in all. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** The value of one key. */
export interface ValueRecord {
  readonly blobId: BlobId;
  readonly size: number;
  readonly digest: Digest;
  readonly version: Version;
  /** Of an inline value: none. */
  readonly copies: readonly Copy[];
  readonly headers: Headers;
  /** The bytes of an inline value; null: volumes hold them. */
  readonly data: Uint8Array | null;
}

/** How a mutation ended; what a repeated command, an idempotent retry and `GET /txn/ID` answer. */
export type TxnOutcome =
  | { readonly kind: 'applied'; readonly index: LogIndex; readonly results: readonly OpResult[] }
  | { readonly kind: 'precondition-failed'; readonly index: LogIndex; readonly failedOp: number }
  | { readonly kind: 'no-replicas'; readonly index: LogIndex; readonly confirmed: number }
  | { readonly kind: 'idempotency-mismatch'; readonly index: LogIndex }
  | { readonly kind: 'refused'; readonly index: LogIndex; readonly reason: MoveRefusal }
  | { readonly kind: 'aborted'; readonly index: LogIndex };

/** What became of one op of an applied Commit. */
export interface OpResult {
  readonly effect: 'created' | 'replaced' | 'deleted' | 'absent' | 'checked';
  readonly version: Version;
  /**
   * Copies that count, after striking stale sessions; 0 for a delete or a check. Of an inline value: the
   * coordinators that keep it, at most as many as were wanted.
   */
  readonly copyCount: number;
  /** Of a put: its blob. Empty otherwise. */
  readonly blobId: BlobId | '';
}

export type MoveRefusal = 'record-changed' | 'copy-unknown' | 'stale-session' | 'copy-count';

/** Refusals that write no outcome row. */
export type Undecided =
  | { readonly kind: 'expired' }
  | { readonly kind: 'forgotten' }
  | { readonly kind: 'malformed'; readonly why: string };

export type DiskState = 'active' | 'draining' | 'gone';

/** A formatted volume folder. */
export interface DiskRecord {
  readonly disk: DiskId;
  /** The volume's name: finds its address, proves nothing. */
  readonly volume: string;
  readonly boots: number;
  readonly nonce: string;
  readonly session: Session;
  readonly state: DiskState;
  /** Empty: a zone of its own. */
  readonly zone: string;
  readonly capacityBytes: number;
  /** Number of record references to this disk. */
  readonly refs: number;
  /** False after an unclean or unexpected start, until every copy named before it was looked for. */
  readonly reconciled: boolean;
}

/** The marks only rise. forget <= fence; reclaim <= every pin. */
export interface Marks {
  readonly fence: LogIndex;
  readonly reclaim: LogIndex;
  /** Births below are forgotten. */
  readonly forget: LogIndex;
  /** Replicated wall time in ms, for expiry and display: never falls. */
  readonly timeMs: number;
}

export interface ClusterRecord {
  readonly clusterId: ClusterId | '';
  readonly members: readonly {
    readonly node: NodeId;
    readonly name: string;
    readonly address: string;
  }[];
  /** 32 random bytes as hex that sign redirects; minted by the first leader. */
  readonly redirectKey: string;
  readonly operatorEpoch: number;
  readonly nextDisk: number;
}

/** A copy waiting for its bytes to be dropped. */
export interface GarbageRow {
  readonly disk: DiskId;
  readonly queuedAt: LogIndex;
  readonly copyId: CopyId;
}

/** A key with fewer good copies than the replication factor. */
export interface ThinRow {
  readonly key: Uint8Array;
  readonly blobId: BlobId;
  /** Copies reported bad; empty where copies are merely too few. */
  readonly suspects: readonly Copy[];
}
