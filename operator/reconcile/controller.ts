/**
 * The loop over clusters as the operator's frame runs it: which changes concern which cluster, and one
 * look at one of them.
 */
import type { Clock } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import type { Random } from '../../services/common/random.ts';
import { HOUR_MS } from '../../services/common/units.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import type { Metrics } from '../../services/telemetry/metrics.ts';
import { HttpClusterAdmin } from '../admin/http-cluster-admin.ts';
import type { ClusterAdmin } from '../admin/types.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Informers } from '../kube/informers.ts';
import { KINDS } from '../kube/kinds.ts';
import type { Leadership } from '../kube/lease.ts';
import type { Change } from '../kube/reflector.ts';
import type { Kind, Kube, KubeObject } from '../kube/types.ts';
import { adminRequests, reconcileMetrics } from './metrics.ts';
import { DeposedError } from './pass.ts';
import { Reconciler, type ReconcilerOptions } from './reconciler.ts';
import { cachedView, WATCHED } from './view.ts';

export interface ControllerComponents {
  readonly kube: Kube;
  readonly informers: Pick<Informers, 'get' | 'list'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** For one call to the API server; a look makes many. */
const CALL_MS = 10_000;
/** For a cluster that is gone: if one of its name comes, that change says so. */
const GONE_MS = 24 * HOUR_MS;

/** What the operator's frame runs while this process leads. */
export const clusterController = (options: ReconcilerOptions) => ({
  kind: KINDS.cluster,
  watched: WATCHED,
  make(parts: ControllerComponents): ClusterController {
    const requests = adminRequests(parts.metrics);
    const admin = new HttpClusterAdmin({
      clock: parts.clock,
      onCall: (call, result) => requests.add(1, { call, result }),
    });
    return new ClusterController({ ...parts, admin }, options);
  },
});

export class ClusterController {
  readonly #parts: ControllerComponents;
  readonly #reconciler: Reconciler;

  constructor(
    parts: ControllerComponents & { readonly admin: ClusterAdmin },
    options: ReconcilerOptions,
  ) {
    this.#parts = parts;
    this.#reconciler = new Reconciler(
      {
        ...parts,
        metrics: reconcileMetrics(parts.metrics),
        view: cachedView(parts.informers),
        tell: (about, { type, reason, note }) =>
          parts.events.record({ about, type, reason, action: 'Reconcile', note }),
      },
      options,
    );
  }

  /** `namespace/name` of the cluster that a change concerns; none when it says nothing new. */
  keysOf(kind: Kind, change: Change): readonly string[] {
    const { object } = change;
    if (kind !== KINDS.cluster) return clusterKeysOf(kind, object);
    if (change.kind === 'deleted') this.#reconciler.forget(object.metadata.uid ?? '');
    // A change of status is our own doing.
    const isNews =
      change.kind === 'added' || (change.kind === 'updated' && isWish(change.before, object));
    return isNews ? [queueKey(object, object.metadata.name)] : [];
  }

  async reconcile(key: string, signal: AbortSignal): Promise<{ readonly requeueMs: number }> {
    const { informers, leadership, logger } = this.#parts;
    leadership.assertFresh();
    const slash = key.indexOf('/');
    const at = { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
    const object = informers.get(KINDS.cluster, at);
    if (object === null) return { requeueMs: GONE_MS };
    const call = {
      signal: AbortSignal.any([signal, leadership.signal]),
      deadlineMs: CALL_MS,
    };
    try {
      return { requeueMs: await this.#reconciler.reconcile(object, leadership, call) };
    } catch (thrown) {
      if (thrown instanceof DeposedError) {
        logger.error({ error: asError(thrown) }, 'operator deposed');
        // Ends the term, and with it the process.
        await leadership.release();
      }
      throw thrown;
    }
  }
}

const isWish = (before: KubeObject, after: KubeObject): boolean =>
  before.metadata.generation !== after.metadata.generation ||
  before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp;

const CLAIM = /^(?:data|wal)-(.+)-(?:coordinator|volume)-\d+$/;

function clusterKeysOf(kind: Kind, object: KubeObject): readonly string[] {
  const { name, labels } = object.metadata;
  const cluster =
    kind === KINDS.claim ? CLAIM.exec(name)?.[1] : labels?.['app.kubernetes.io/instance'];
  return cluster === undefined ? [] : [queueKey(object, cluster)];
}

const queueKey = ({ metadata }: KubeObject, cluster: string): string =>
  `${metadata.namespace ?? ''}/${cluster}`;
