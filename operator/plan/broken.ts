/**
 * Step 10: a broken pod that is outdated holds nothing up and a newer template may mend it, so it goes
 * at once: also while nobody leads, and whatever the state of the data. A broken pod of the newest
 * template is left to kubelet and user.
 */
import { ROLES } from '../desired/names.ts';
import { isClaimLost, isObserved, isOutdated, stateOf, wantedPods } from './pods.ts';
import type { PodDelete, PodFacts, Snapshot } from './types.ts';

export interface BrokenFinding {
  readonly pods: readonly PodFacts[];
  /** Those of the newest template: what they have met would meet the next one too. */
  readonly newest: readonly PodFacts[];
  readonly delete: PodDelete | null;
}

export function brokenFinding(s: Snapshot, healthy: readonly string[] | null): BrokenFinding {
  const pods = ROLES.flatMap((role) => wantedPods(s, role)).filter(
    (pod) => stateOf(pod, s.nowMs) === 'broken',
  );
  const found = pods.find((pod) => mayDelete(s, pod, healthy));
  return {
    pods,
    newest: pods.filter((pod) => isObserved(s, pod.role) && !isOutdated(s, pod)),
    delete: found === undefined ? null : { pod: found.name, uid: found.uid, rv: found.rv },
  };
}

/** For eyes: which pod, and why. */
export function sentenceOf({ name, waitingReason, unschedulable, exitMessage }: PodFacts): string {
  const why = unschedulable ? 'no node takes it' : (waitingReason ?? 'it does not become ready');
  const words = exitMessage === null ? '' : ` (${exitMessage.trim()})`;
  return `pod ${name} is broken: ${why}${words}`;
}

function mayDelete(s: Snapshot, pod: PodFacts, healthy: readonly string[] | null): boolean {
  const hasClaims = !s.claims.some((claim) => claim.pod === pod.name && isClaimLost(claim));
  const isCounted = healthy?.includes(pod.name) === true;
  return isObserved(s, pod.role) && isOutdated(s, pod) && hasClaims && !isCounted;
}
