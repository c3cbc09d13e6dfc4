/** What every part of a pass over one cluster has at hand. */
import type { Clock } from '../../services/common/clock.ts';
import type { Random } from '../../services/common/random.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import type { ClusterAdmin } from '../admin/types.ts';
import type { MiniKVCluster } from '../api/cluster.ts';
import type { Leadership } from '../kube/lease.ts';
import type { Call, Kube, KubeObject } from '../kube/types.ts';
import type { PlanEvent, Snapshot } from '../plan/types.ts';
import type { ClusterMemory } from './memory.ts';
import type { ReconcileMetrics } from './metrics.ts';

export const MANAGER = 'minikv-operator';

export interface PassComponents {
  readonly kube: Kube;
  readonly admin: ClusterAdmin;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReconcileMetrics;
}

export interface Pass extends PassComponents {
  readonly cr: MiniKVCluster;
  readonly memory: ClusterMemory;
  readonly leadership: Pick<Leadership, 'epoch' | 'assertFresh'>;
  readonly call: Call;
  /** Of the cluster, or of another object that it happened to. */
  readonly tell: (event: PlanEvent, about?: KubeObject) => void;
  /** Looks again, at the API server itself. */
  readonly lookLive: () => Promise<Snapshot>;
}

/** A later operator has acted on the store; this one must end. */
export class DeposedError extends Error {
  override readonly name = 'DeposedError';
}
