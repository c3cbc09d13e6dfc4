/** How pods are judged: available, broken, or neither (still on its way), and whether outdated. */
import type { Role } from '../api/names.ts';
import { podName } from '../api/names.ts';
import { MIN_READY_SECONDS } from '../desired/stateful-set.ts';
import type { PodFacts, Snapshot } from './types.ts';

const AVAILABLE_MS = MIN_READY_SECONDS * 1000;
/** Longer than this, an absence is no restart any more. */
export const ABSENCE_MS_MAX = 120_000;

/** Waits that no patience ends. */
const HOPELESS = new Set([
  'ErrImagePull',
  'ErrImageNeverPull',
  'ImagePullBackOff',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'CrashLoopBackOff',
]);

export type PodState = 'available' | 'broken' | 'terminating' | 'starting';

export function stateOf(pod: PodFacts, nowMs: number): PodState {
  if (pod.deleting) return 'terminating';
  const sinceMs = nowMs - pod.readySinceMs;
  if (pod.ready) return sinceMs >= AVAILABLE_MS ? 'available' : 'starting';
  const isBroken =
    pod.unschedulable || HOPELESS.has(pod.waitingReason ?? '') || sinceMs >= ABSENCE_MS_MAX;
  return isBroken ? 'broken' : 'starting';
}

/** Pods of a role below the replicas of its StatefulSet, by ordinal as a number. */
export function wantedPods(s: Snapshot, role: Role): readonly PodFacts[] {
  const replicas = s.sts[role]?.replicas ?? 0;
  return s.pods
    .filter((pod) => pod.role === role && pod.ordinal < replicas)
    .toSorted((a, b) => a.ordinal - b.ordinal);
}

/** The controller has taken up the last change of the StatefulSet, so its revision can be believed. */
export function isObserved(s: Snapshot, role: Role): boolean {
  const sts = s.sts[role];
  return sts !== null && sts.observedGeneration === sts.generation;
}

/** Never by `currentRevision`, which stays behind with OnDelete. */
export function isOutdated(s: Snapshot, pod: PodFacts): boolean {
  return isObserved(s, pod.role) && pod.revision !== s.sts[pod.role]?.updateRevision;
}

/** Names of the pods that a role should have. */
export const namesOf = (s: Snapshot, role: Role, count: number): readonly string[] =>
  Array.from({ length: count }, (_, ordinal) => podName(s.cr.name, role, ordinal));

export const findPod = (s: Snapshot, name: string): PodFacts | undefined =>
  s.pods.find((pod) => pod.name === name);

/** Claims that are lost or on their way out; nothing may be deleted that stands on one. */
export const isClaimLost = ({ phase, deleting }: Snapshot['claims'][number]): boolean =>
  phase === 'Lost' || deleting;
