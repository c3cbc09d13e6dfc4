/** The controller of disruption budgets by hand, for budgets with `maxUnavailable`. */
import { fieldOf, isRecord } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { keyOf } from '../object.ts';
import type { KubeObject } from '../types.ts';
import { isReady } from './eviction.ts';
import type { MemoryKube } from './memory-kube.ts';
import { selects } from './selectors.ts';

/** Counts the pods of every budget once and writes what may be disrupted now. */
export function stepBudgets(kube: MemoryKube): void {
  for (const budget of kube.all(KINDS.disruptionBudget)) stepBudget(kube, budget);
}

function stepBudget(kube: MemoryKube, budget: KubeObject): void {
  const { namespace = '', generation } = budget.metadata;
  const selector = fieldOf(budget, 'spec', 'selector');
  const pods = kube
    .all(KINDS.pod, { namespace })
    .filter(({ metadata }) => selects(selector, metadata.labels));
  const evicted = fieldOf(budget, 'status', 'disruptedPods');
  const disruptedPods = Object.fromEntries(
    Object.entries(isRecord(evicted) ? evicted : {}).filter(([, uid]) =>
      pods.some(({ metadata }) => metadata.uid === uid && metadata.deletionTimestamp === undefined),
    ),
  );
  const expectedPods = expectedOf(kube, pods);
  const healthy = pods.filter(
    (pod) =>
      isReady(pod) &&
      pod.metadata.deletionTimestamp === undefined &&
      disruptedPods[pod.metadata.name] === undefined,
  );
  const desiredHealthy = expectedPods - Number(fieldOf(budget, 'spec', 'maxUnavailable') ?? 0);
  const status = {
    observedGeneration: generation,
    expectedPods,
    currentHealthy: healthy.length,
    desiredHealthy,
    disruptionsAllowed: Math.max(0, expectedPods === 0 ? 0 : healthy.length - desiredHealthy),
    disruptedPods,
  };
  kube.edit(
    KINDS.disruptionBudget,
    keyOf(budget),
    (object) => {
      object['status'] = status;
    },
    { manager: 'kube-controller-manager', subresource: 'status' },
  );
}

/** Pods that there should be: the replicas of the StatefulSets that control these. */
function expectedOf(kube: MemoryKube, pods: readonly KubeObject[]): number {
  const owners = new Set(
    pods.flatMap(({ metadata }) => metadata.ownerReferences ?? []).map(({ uid }) => uid),
  );
  return kube
    .all(KINDS.statefulSet)
    .filter(({ metadata }) => owners.has(metadata.uid ?? ''))
    .reduce((sum, set) => sum + Number(fieldOf(set, 'spec', 'replicas') ?? 1), 0);
}
