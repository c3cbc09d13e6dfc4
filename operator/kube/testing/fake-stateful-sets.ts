/**
 * The StatefulSet controller by hand: one `step` does all that the real one would do by itself, for sets
 * with `Parallel` and `OnDelete`, the only ones that the operator makes.
 */

import { isDeepStrictEqual } from 'node:util';
import { utf8 } from '../../../services/common/bytes.ts';
import type { Clock } from '../../../services/common/clock.ts';
import { keyHash } from '../../../services/common/key-hash.ts';
import { fieldOf, listOf, textOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { keyOf } from '../object.ts';
import type { KubeObject, OwnerReference } from '../types.ts';
import { isReady } from './eviction.ts';
import { clone, type Json } from './field-set.ts';
import type { MemoryKube } from './memory-kube.ts';
import { selects } from './selectors.ts';

const REVISION = 'controller-revision-hash';
const MANAGER = { manager: 'kube-controller-manager' };

/** Looks at every StatefulSet once: adopts, creates, condemns, and writes status. */
export function stepStatefulSets(kube: MemoryKube, clock: Clock): void {
  for (const set of kube.all(KINDS.statefulSet)) {
    if (set.metadata.deletionTimestamp === undefined) stepStatefulSet(kube, clock, set);
  }
}

function stepStatefulSet(kube: MemoryKube, clock: Clock, set: KubeObject): void {
  assertSupported(set);
  const revision = revisionOf(set);
  const replicas = Number(fieldOf(set, 'spec', 'replicas') ?? 1);
  const pods = new Map(ownPods(kube, set).map((pod) => [ordinalOf(set, pod), pod]));
  for (const [ordinal, pod] of pods) {
    const isCondemned = ordinal >= replicas && pod.metadata.deletionTimestamp === undefined;
    if (isCondemned) kube.drop(KINDS.pod, keyOf(pod));
  }
  for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
    if (!pods.has(ordinal)) createPod(kube, set, { ordinal, revision });
  }
  writeStatus(kube, set, { revision, nowMs: clock.wallMs() });
}

function assertSupported(set: KubeObject): void {
  const strategy = fieldOf(set, 'spec', 'updateStrategy', 'type');
  const management = fieldOf(set, 'spec', 'podManagementPolicy');
  if (strategy !== 'OnDelete' || management !== 'Parallel') {
    throw new Error(`only OnDelete and Parallel are known here: ${set.metadata.name}`);
  }
}

/** Changes with the pod template alone. */
function revisionOf(set: KubeObject): string {
  const text = JSON.stringify(fieldOf(set, 'spec', 'template'));
  return `${set.metadata.name}-${keyHash(utf8(text)).toString(16)}`;
}

function ordinalOf(set: KubeObject, { metadata }: { metadata: { name: string } }): number {
  const prefix = `${set.metadata.name}-`;
  const rest = metadata.name.startsWith(prefix) ? metadata.name.slice(prefix.length) : '';
  return /^\d+$/.test(rest) ? Number(rest) : -1;
}

/** Pods that the set controls, and those without a controller that it takes over. */
function ownPods(kube: MemoryKube, set: KubeObject): KubeObject[] {
  const { namespace = '', uid } = set.metadata;
  return kube.all(KINDS.pod, { namespace }).flatMap((pod) => {
    if (ordinalOf(set, pod) < 0) return [];
    const controller = pod.metadata.ownerReferences?.find((owner) => owner.controller === true);
    if (controller !== undefined) return controller.uid === uid ? [pod] : [];
    if (!selects(fieldOf(set, 'spec', 'selector'), pod.metadata.labels)) return [];
    if (pod.metadata.deletionTimestamp !== undefined) return [];
    const adopt = ({ metadata }: Json): void => {
      (metadata as Json)['ownerReferences'] = [ownerOf(set)];
    };
    return [kube.edit(KINDS.pod, keyOf(pod), adopt, MANAGER)];
  });
}

const ownerOf = ({ apiVersion, kind, metadata }: KubeObject): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid ?? '',
  controller: true,
  blockOwnerDeletion: true,
});

function createPod(
  kube: MemoryKube,
  set: KubeObject,
  { ordinal, revision }: { ordinal: number; revision: string },
): void {
  const name = `${set.metadata.name}-${ordinal}`;
  const { namespace = '' } = set.metadata;
  if (kube.read(KINDS.pod, { namespace, name }) !== null) return;
  const template = clone(fieldOf(set, 'spec', 'template')) as {
    metadata?: Json;
    spec: Json;
  };
  const claims = listOf(fieldOf(set, 'spec', 'volumeClaimTemplates')) as Json[];
  for (const claim of claims) createClaim(kube, set, { claim, pod: name });
  const volumes = claims.map((claim) => {
    const claimName = textOf(fieldOf(claim, 'metadata', 'name'));
    return { name: claimName, persistentVolumeClaim: { claimName: `${claimName}-${name}` } };
  });
  const labels = {
    ...(template.metadata?.['labels'] as Json | undefined),
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
    [REVISION]: revision,
  };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...template.metadata, name, namespace, labels, ownerReferences: [ownerOf(set)] },
    spec: {
      ...template.spec,
      hostname: name,
      volumes: [...volumes, ...listOf(template.spec['volumes'])],
    },
  };
  kube.put(KINDS.pod, pod, MANAGER.manager);
}

function createClaim(
  kube: MemoryKube,
  set: KubeObject,
  { claim, pod }: { claim: Json; pod: string },
): void {
  const { namespace = '' } = set.metadata;
  const name = `${textOf(fieldOf(claim, 'metadata', 'name'))}-${pod}`;
  if (kube.read(KINDS.claim, { namespace, name }) !== null) return;
  const labels = {
    ...(fieldOf(claim, 'metadata', 'labels') as Json | undefined),
    ...(fieldOf(set, 'spec', 'selector', 'matchLabels') as Json | undefined),
  };
  const made = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace, labels },
    spec: claim['spec'],
  };
  kube.put(KINDS.claim, made as unknown as KubeObject, MANAGER.manager);
}

function writeStatus(
  kube: MemoryKube,
  set: KubeObject,
  { revision, nowMs }: { revision: string; nowMs: number },
): void {
  const pods = ownPods(kube, set).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  const minReadyMs = Number(fieldOf(set, 'spec', 'minReadySeconds') ?? 0) * 1000;
  const ready = pods.filter(isReady);
  const status = {
    observedGeneration: set.metadata.generation,
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => readySinceMs(pod) + minReadyMs <= nowMs).length,
    updatedReplicas: pods.filter(({ metadata }) => metadata.labels?.[REVISION] === revision).length,
    // As the real one under OnDelete: the first revision, for ever.
    currentRevision: fieldOf(set, 'status', 'currentRevision') ?? revision,
    updateRevision: revision,
    collisionCount: 0,
  };
  if (isDeepStrictEqual(set['status'], status)) return;
  const change = (object: Json): void => {
    object['status'] = status;
  };
  kube.edit(KINDS.statefulSet, keyOf(set), change, { ...MANAGER, subresource: 'status' });
}

function readySinceMs(pod: KubeObject): number {
  const ready = listOf(fieldOf(pod, 'status', 'conditions')).find(
    (condition) => fieldOf(condition, 'type') === 'Ready',
  );
  return Date.parse(textOf(fieldOf(ready, 'lastTransitionTime')));
}
