/**
 * A cluster's own admin API as a port. A read answers what a process said of itself, or `unknown`; a
 * change answers what became of it. Nothing is repeated here: after an unknown outcome the caller looks
 * again.
 */
import type { ClusterView, CoordinatorStatus, VolumeStatus } from '../../services/api/admin.ts';

/** The admin listener of one pod. */
export interface Target {
  readonly pod: string;
  /** An answer of another pod is not believed: addresses are used again. */
  readonly uid: string;
  /** host:port; null: the pod has no address yet. */
  readonly address: string | null;
}

/** For whom a call is made; it is refused where another cluster or a later operator is known. */
export interface Caller {
  readonly clusterId: string;
  readonly epoch: number;
}

type Known<T> = T | 'unknown';

export interface Answers {
  /** By pod name. */
  readonly coordinators: Readonly<Record<string, Known<CoordinatorStatus>>>;
  readonly volumes: Readonly<Record<string, Known<VolumeStatus>>>;
  readonly cluster: Known<ClusterView>;
}

export interface ReadTargets {
  readonly coordinators: readonly Target[];
  readonly volumes: readonly Target[];
  /** null: whoever answers; the view of the cluster is not asked for then. */
  readonly clusterId: string | null;
}

export type Outcome =
  | { readonly kind: 'done' }
  /** Not applied, and why. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** A later operator has acted: this one must not go on. */
  | { readonly kind: 'deposed' }
  /** May have been applied. */
  | { readonly kind: 'unknown'; readonly message: string };

export interface ClusterAdmin {
  /** All answers at once, within 6 s; who does not answer in time holds nobody else up. */
  read(targets: ReadTargets, signal: AbortSignal): Promise<Answers>;
  bootstrap(
    target: Target,
    request: {
      readonly clusterId: string;
      readonly members: readonly {
        readonly nodeId: number;
        readonly name: string;
        readonly address: string;
      }[];
    },
    signal: AbortSignal,
  ): Promise<Outcome>;
  /** To be asked of the leader. */
  transferLeader(
    target: Target,
    request: { readonly to: number; readonly expectedTerm: number } & Caller,
    signal: AbortSignal,
  ): Promise<Outcome>;
  setZone(
    target: Target,
    request: { readonly volume: string; readonly disk: number; readonly zone: string } & Caller,
    signal: AbortSignal,
  ): Promise<Outcome>;
}
