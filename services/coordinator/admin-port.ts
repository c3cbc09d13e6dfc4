/**
 * What a coordinator can tell and do for its operators, free of HTTP. Implemented where the
 * coordinator is put together, called by http/. Failures are `KvError`s.
 */
import type {
  BootstrapAnswer,
  BootstrapRequest,
  ClusterView,
  CoordinatorStatus,
  TransferAnswer,
  TransferRequest,
  VolumeChange,
  VolumeChangeAnswer,
} from '../api/admin.ts';

/** What the readiness probe is answered from; no quorum in it. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; null where ready. */
  readonly reason: string | null;
  readonly healthyVolumes: number;
  readonly isLeader: boolean;
}

export interface AdminPort {
  /** Cheap: asked at every answer. Name of the leader as known here. */
  leaderName(): string | null;
  /** Milliseconds since a leader was heard: the bound of a stale read's age. null: never. */
  leaderContactMs(): number | null;
  health(): Readiness;
  /** This node's own view; needs no quorum. */
  status(): CoordinatorStatus;
  /** The leader's view at a ReadIndex. @throws KvError `NO_LEADER`, `DEADLINE_EXCEEDED`. */
  cluster(timeoutMs: number): Promise<ClusterView>;
  /** null before the node has an identity. */
  clusterId(): string | null;
  /** The greatest epoch applied here. */
  operatorEpoch(): number;
  /**
   * Resolves once a command with `epoch` is applied. @throws KvError `STALE_EPOCH` when a greater one
   * was applied first.
   */
  raiseOperatorEpoch(epoch: number, timeoutMs: number): Promise<void>;
  /** @throws KvError `CLUSTER_EXISTS`, `PEER_NOT_EMPTY`, `PEER_UNKNOWN`. A repeat answers the state. */
  bootstrap(request: BootstrapRequest, timeoutMs: number): Promise<BootstrapAnswer>;
  /** @throws KvError `NOT_LEADER`, `TERM_CHANGED`, `TARGET_BEHIND`, `TRANSFER_FAILED`. */
  transferLeader(request: TransferRequest, timeoutMs: number): Promise<TransferAnswer>;
  /** @throws KvError `WRONG_NODE` when the disk is not that volume's, `INVALID_ARGUMENT`. */
  setVolume(name: string, change: VolumeChange, timeoutMs: number): Promise<VolumeChangeAnswer>;
}
