/**
 * The commands of the replicated state (docs/guarantees.md). `apply` is total: an unknown or
 * malformed command stops the process, everything else is answered.
 */
import type {
  BlobId,
  ClusterId,
  CopyId,
  Digest,
  DiskId,
  LogIndex,
  Session,
  TxnId,
} from '../common/ids.ts';
import type { ClusterRecord, DiskState, GarbageRow, Headers } from './records.ts';

/** Decided in apply, never before. `exists`: If-Match *; `absent`: If-None-Match *. */
export type Condition =
  | { readonly kind: 'exists' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'match'; readonly blobIds: readonly BlobId[] }
  | { readonly kind: 'none-match'; readonly blobIds: readonly BlobId[] };

/** A vote that a volume gave in a session. */
export interface StagedCopy {
  readonly disk: DiskId;
  readonly session: Session;
}

export interface PutBody {
  readonly kind: 'put';
  /** Also the copyId on all its volumes. */
  readonly blobId: BlobId;
  readonly size: number;
  readonly digest: Digest;
  readonly copies: readonly StagedCopy[];
  readonly headers: Headers;
}

/** A small value whose bytes are part of the state: every coordinator keeps them, no volume does. */
export interface InlineBody {
  readonly kind: 'inline';
  /** Names this value, as that of a put does. */
  readonly blobId: BlobId;
  readonly digest: Digest;
  readonly headers: Headers;
  readonly data: Uint8Array;
}

/** A delete of an absent key is `absent` (404) unless a condition refused it first. */
export type OpBody =
  | PutBody
  | InlineBody
  | { readonly kind: 'delete' }
  | { readonly kind: 'check' };

export interface Op {
  readonly key: Uint8Array;
  readonly condition: Condition | null;
  readonly body: OpBody;
}

export interface Commit {
  readonly kind: 'commit';
  readonly txnId: TxnId;
  /** Distinct disks that each put needs (minimum replicas); an inline value needs none. */
  readonly need: number;
  /** Copies below this make the key thin (replication factor). */
  readonly want: number;
  readonly idempotency: {
    readonly principal: string;
    readonly key: string;
    readonly requestHash: Digest;
  } | null;
  /** A key occurs once. */
  readonly ops: readonly Op[];
}

export interface Abort {
  readonly kind: 'abort';
  readonly txnId: TxnId;
}

/** Changes where copies of an unchanged value stand: repair, drain, rebalance. */
export interface Move {
  readonly kind: 'move';
  readonly txnId: TxnId;
  readonly key: Uint8Array;
  readonly blobId: BlobId;
  readonly from: { readonly disk: DiskId; readonly copyId: CopyId } | null;
  readonly to: { readonly disk: DiskId; readonly session: Session; readonly copyId: CopyId } | null;
  readonly want: number;
}

/** A copy is missing or bad: the key becomes thin. */
export interface Suspect {
  readonly kind: 'suspect';
  readonly key: Uint8Array;
  readonly blobId: BlobId;
  readonly disk: DiskId;
  readonly copyId: CopyId;
}

/** A volume begins a session. disk 0: an unformatted folder asks for a number; same nonce = retry. */
export interface Register {
  readonly kind: 'register';
  readonly disk: DiskId;
  readonly volume: string;
  readonly boots: number;
  readonly nonce: string;
  readonly clean: boolean;
  /** null: keep the stored zone. */
  readonly zone: string | null;
  readonly capacityBytes: number;
}

/** Every copy named before `session` was found on its disk or is suspect by now. */
export interface Reconciled {
  readonly kind: 'reconciled';
  readonly disk: DiskId;
  readonly session: Session;
}

export interface SetDisk {
  readonly kind: 'set-disk';
  readonly disk: DiskId;
  readonly state: DiskState | null;
  readonly zone: string | null;
}

export interface Advance {
  readonly kind: 'advance';
  readonly fence: LogIndex;
  readonly reclaim: LogIndex;
  readonly forget: LogIndex;
  readonly timeMs: number;
}

/** The disks have acknowledged these drops. */
export interface Reclaimed {
  readonly kind: 'reclaimed';
  readonly rows: readonly GarbageRow[];
}

export interface Pin {
  readonly kind: 'pin';
  readonly id: string;
}

export interface Unpin {
  readonly kind: 'unpin';
  readonly id: string;
}

/** Written once by the first leader; a second one changes nothing. */
export interface InitCluster {
  readonly kind: 'init-cluster';
  readonly clusterId: ClusterId;
  readonly members: ClusterRecord['members'];
  readonly redirectKey: string;
}

/** Raises the operator's epoch; a lower one changes nothing. */
export interface SetOperatorEpoch {
  readonly kind: 'set-operator-epoch';
  readonly epoch: number;
}

export type Command =
  | Commit
  | Abort
  | Move
  | Suspect
  | Register
  | SetDisk
  | Advance
  | Reclaimed
  | Pin
  | Unpin
  | InitCluster
  | SetOperatorEpoch
  | Reconciled;
