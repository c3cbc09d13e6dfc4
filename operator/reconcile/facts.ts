/**
 * Kubernetes objects read as the facts that a plan is made of. What an object does not say reads as the
 * careful value: not ready, not current, nothing allowed.
 */
import { type ClusterStatus, KIND, type MiniKVCluster } from '../api/cluster.ts';
import { CONDITION_REASONS, type ConditionType } from '../api/conditions.ts';
import { CLUSTER_ID_LABEL } from '../api/names.ts';
import {
  objectLabels,
  parseClaimName,
  parsePodName,
  TEMPLATE_HASH_ANNOTATION,
  TEMPLATE_VERSION_ANNOTATION,
} from '../desired/names.ts';
import type { NotedTemplate } from '../desired/wanted.ts';
import { fieldOf, listOf, textOf } from '../kube/json.ts';
import type { KubeObject, OwnerReference } from '../kube/types.ts';
import type {
  BudgetFacts,
  ClaimFacts,
  ConditionFacts,
  PodFacts,
  StatefulSetFacts,
  StatusFacts,
} from '../plan/types.ts';

const numberOf = (value: unknown, otherwise: number): number =>
  typeof value === 'number' ? value : otherwise;

const timeOf = (value: unknown): number | null => {
  const ms = Date.parse(textOf(value));
  return Number.isNaN(ms) ? null : ms;
};

const isDeleting = ({ metadata }: KubeObject): boolean => metadata.deletionTimestamp !== undefined;

const controllerIn = ({ metadata }: KubeObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller === true);

/** uid of the object that controls this one; null: nobody does. */
export const controllerOf = (object: KubeObject): string | null =>
  controllerIn(object)?.uid ?? null;

/** Whose an object of our names is; only ours is touched. */
export type Belonging =
  | 'ours'
  /** On its way out, or of a cluster object of this name that was there before and takes it along. */
  | 'leaving'
  /** Somebody else's: it stays until somebody takes it away. */
  | 'foreign';

/**
 * By its controller. What nobody controls is ours if it wears the labels of what we make: a deletion of
 * the cluster that orphans its objects leaves them those. Else a user has made it, or a chart.
 */
export function belongingOf(object: KubeObject, { metadata }: MiniKVCluster): Belonging {
  if (isDeleting(object)) return 'leaving';
  const controller = controllerIn(object);
  if (controller === undefined) return wearsOurs(object, metadata.name) ? 'ours' : 'foreign';
  if (controller.uid === metadata.uid) return 'ours';
  const isBefore = controller.kind === KIND && controller.name === metadata.name;
  return isBefore ? 'leaving' : 'foreign';
}

/** What every operator has labelled its objects with; a label that is added one day is not asked of older ones. */
const MARKS = ['app.kubernetes.io/managed-by', 'app.kubernetes.io/instance'] as const;

function wearsOurs({ metadata }: KubeObject, cluster: string): boolean {
  const ours = objectLabels(cluster);
  return MARKS.every((label) => metadata.labels?.[label] === ours[label]);
}

export function statusFacts(status: ClusterStatus = {}): StatusFacts {
  const { observedGeneration = 0, clusterID = null, origin = null, bootstrapped = false } = status;
  const conditions = conditionFacts(status.conditions ?? []);
  return { observedGeneration, clusterId: clusterID, origin, bootstrapped, conditions };
}

function conditionFacts(
  found: NonNullable<ClusterStatus['conditions']>,
): StatusFacts['conditions'] {
  const facts: Partial<Record<ConditionType, ConditionFacts>> = {};
  for (const { type, status, reason, lastTransitionTime } of found) {
    if (!isConditionType(type)) continue;
    facts[type] = { status, reason, sinceMs: timeOf(lastTransitionTime) ?? 0 };
  }
  return facts;
}

const isConditionType = (text: string): text is ConditionType =>
  Object.hasOwn(CONDITION_REASONS, text);

export function setFacts(set: KubeObject): StatefulSetFacts {
  return {
    uid: set.metadata.uid ?? '',
    generation: numberOf(set.metadata.generation, 0),
    observedGeneration: numberOf(fieldOf(set, 'status', 'observedGeneration'), -1),
    replicas: numberOf(fieldOf(set, 'spec', 'replicas'), 1),
    updateRevision: textOf(fieldOf(set, 'status', 'updateRevision')),
    noted: notedTemplate(set),
  };
}

function notedTemplate({ metadata }: KubeObject): NotedTemplate | null {
  const version = Number(metadata.annotations?.[TEMPLATE_VERSION_ANNOTATION] ?? 'none');
  const hash = metadata.annotations?.[TEMPLATE_HASH_ANNOTATION];
  return Number.isInteger(version) && hash !== undefined ? { version, hash } : null;
}

/** null for a pod that is none of this cluster's. */
export function podFacts(cluster: string, pod: KubeObject): PodFacts | null {
  const place = parsePodName(cluster, pod.metadata.name);
  if (place === null) return null;
  const ready = conditionOf(pod, 'Ready');
  const createdMs = timeOf(pod.metadata.creationTimestamp) ?? 0;
  return {
    ...place,
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? '',
    rv: pod.metadata.resourceVersion ?? '',
    revision: pod.metadata.labels?.['controller-revision-hash'] ?? '',
    ip: textOf(fieldOf(pod, 'status', 'podIP')) || null,
    node: textOf(fieldOf(pod, 'spec', 'nodeName')) || null,
    ready: fieldOf(ready, 'status') === 'True',
    readySinceMs: timeOf(fieldOf(ready, 'lastTransitionTime')) ?? createdMs,
    deleting: isDeleting(pod),
    ...containerFacts(pod),
    unschedulable: fieldOf(conditionOf(pod, 'PodScheduled'), 'reason') === 'Unschedulable',
  };
}

function containerFacts(pod: KubeObject): Pick<PodFacts, 'waitingReason' | 'exitMessage'> {
  const statuses = ['initContainerStatuses', 'containerStatuses'].flatMap((field) =>
    listOf(fieldOf(pod, 'status', field)),
  );
  const first = (...path: readonly string[]): string | null =>
    statuses.map((status) => textOf(fieldOf(status, ...path))).find((text) => text !== '') ?? null;
  return {
    waitingReason: first('state', 'waiting', 'reason'),
    exitMessage:
      first('state', 'terminated', 'message') ?? first('lastState', 'terminated', 'message'),
  };
}

const conditionOf = (object: KubeObject, type: string): unknown =>
  listOf(fieldOf(object, 'status', 'conditions')).find((one) => fieldOf(one, 'type') === type);

/** null for a claim that is none of this cluster's. */
export function claimFacts(cr: MiniKVCluster, claim: KubeObject): ClaimFacts | null {
  const place = parseClaimName(cr.metadata.name, claim.metadata.name);
  if (place === null) return null;
  const owners = claim.metadata.ownerReferences ?? [];
  return {
    ...place,
    name: claim.metadata.name,
    uid: claim.metadata.uid ?? '',
    phase: textOf(fieldOf(claim, 'status', 'phase')),
    deleting: isDeleting(claim),
    clusterId: claim.metadata.labels?.[CLUSTER_ID_LABEL] ?? null,
    owned: owners.some(({ uid }) => uid === cr.metadata.uid),
  };
}

export const budgetFacts = (pdb: KubeObject): BudgetFacts => ({
  current: fieldOf(pdb, 'status', 'observedGeneration') === pdb.metadata.generation,
  allowed: numberOf(fieldOf(pdb, 'status', 'disruptionsAllowed'), 0),
});
