/** What the eviction call of the API server checks before it deletes a pod. */
import { fieldOf, listOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { KubeError } from '../kube-error.ts';
import type { KubeObject, ObjectKey, Preconditions } from '../types.ts';
import type { Json } from './field-set.ts';
import type { MemoryStore } from './memory-store.ts';
import { selects } from './selectors.ts';

/** @throws KubeError 429 while a disruption budget of the pod does not allow it. */
export function evictPod(store: MemoryStore, key: ObjectKey, options: Preconditions): void {
  const pod = store.mustRead(KINDS.pod, key);
  const budgets = store
    .all(KINDS.disruptionBudget)
    .filter(
      ({ metadata, spec }) =>
        metadata.namespace === key.namespace &&
        selects(fieldOf(spec, 'selector'), pod.metadata.labels),
    );
  if (budgets.length > 1) {
    const message = 'This pod has more than one PodDisruptionBudget';
    throw new KubeError({ code: 500, reason: 'InternalError', message });
  }
  const [budget] = budgets;
  if (budget !== undefined && !isFree(pod, budget)) charge(store, budget, pod);
  store.delete(KINDS.pod, key, { ...options, propagation: 'Background' });
}

/** Pods that serve nothing cost the budget nothing. */
function isFree(pod: KubeObject, budget: KubeObject): boolean {
  const phase = fieldOf(pod, 'status', 'phase');
  if (pod.metadata.deletionTimestamp !== undefined || phase !== 'Running') return true;
  if (isReady(pod)) return false;
  if (fieldOf(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow') return true;
  const healthy = Number(fieldOf(budget, 'status', 'currentHealthy'));
  return healthy > 0 && healthy >= Number(fieldOf(budget, 'status', 'desiredHealthy'));
}

export const isReady = (pod: KubeObject): boolean =>
  listOf(fieldOf(pod, 'status', 'conditions')).some(
    (condition) =>
      fieldOf(condition, 'type') === 'Ready' && fieldOf(condition, 'status') === 'True',
  );

function charge(store: MemoryStore, budget: KubeObject, pod: KubeObject): void {
  const status = (budget['status'] ?? {}) as Json;
  if (Number(status['observedGeneration'] ?? 0) < (budget.metadata.generation ?? 0)) {
    throw refused('the disruption budget is still being processed by the server', 10_000);
  }
  const allowed = Number(status['disruptionsAllowed'] ?? 0);
  if (allowed < 1) throw refused('the disruption budget needs more healthy pods', undefined);
  const disruptedPods = {
    ...(status['disruptedPods'] as Json | undefined),
    [pod.metadata.name]: pod.metadata.uid,
  };
  const next = { ...budget, status: { ...status, disruptionsAllowed: allowed - 1, disruptedPods } };
  store.replace(KINDS.disruptionBudget, next, {
    manager: 'Update:kube-apiserver:status',
    subresource: 'status',
  });
}

const refused = (message: string, retryAfterMs: number | undefined): KubeError =>
  new KubeError({
    code: 429,
    reason: 'TooManyRequests',
    message: "Cannot evict pod as it would violate the pod's disruption budget.",
    retryAfterMs,
    causes: [{ reason: 'DisruptionBudget', message, field: '' }],
  });
