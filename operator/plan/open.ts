/**
 * Step 11: what is still on its way. While anything is, nothing else is disturbed; a pod that is broken
 * for good does not count, or one bad pod would stop everything for ever.
 */
import type { Role } from '../api/names.ts';
import { ROLES } from '../desired/names.ts';
import { findPod, namesOf, stateOf } from './pods.ts';
import type { Expectation, Snapshot } from './types.ts';

/** A sentence about the first thing that is not settled; null: all is. */
export function openDisruption(s: Snapshot): string | null {
  for (const role of ROLES) {
    for (const name of namesOf(s, role, s.sts[role]?.replicas ?? 0)) {
      const unsettled = unsettledPod(s, name) ?? behind(s, name, role);
      if (unsettled !== null) return unsettled;
    }
  }
  return s.open === null || isMet(s, s.open) ? null : wordsOf(s.open);
}

function unsettledPod(s: Snapshot, name: string): string | null {
  const pod = findPod(s, name);
  if (pod === undefined) return `pod ${name} is missing`;
  const state = stateOf(pod, s.nowMs);
  return state === 'terminating' || state === 'starting' ? `pod ${name} is ${state}` : null;
}

/** A coordinator that is there must have caught up before another one goes. */
function behind(s: Snapshot, name: string, role: Role): string | null {
  const pod = findPod(s, name);
  const isHere = pod !== undefined && stateOf(pod, s.nowMs) === 'available';
  if (role !== 'coordinator' || !isHere) return null;
  const answer = s.coordinators[name] ?? 'unknown';
  if (answer === 'unknown') return `coordinator ${name} does not say how far it is`;
  return answer.caughtUp ? null : `coordinator ${name} is catching up`;
}

/** Longer than the call may take and a cache may lag. */
const UNSEEN_MS_MAX = 30_000;

/**
 * Seen with other eyes than the cache's that may be behind: another pod, another leader. A new pod that
 * is broken has come to its end as well: what is to be done about it is not for this step to say.
 *
 * An answer that was lost may have been a refusal, and leadership may have come back between two looks:
 * what has had no effect for so long will have none. If it still comes, it comes to the pod that would be
 * taken down again, or meets a precondition.
 */
export function isMet(s: Snapshot, open: Expectation): boolean {
  const isOverdue = s.nowMs - open.atMs >= UNSEEN_MS_MAX;
  if (open.kind === 'transfer') {
    return isOverdue || (s.cluster !== 'unknown' && s.cluster.leader.name !== open.oldLeader);
  }
  const pod = findPod(s, open.pod);
  if (pod === undefined) return false;
  if (pod.uid === open.oldUid) return isOverdue && !pod.deleting;
  const state = stateOf(pod, s.nowMs);
  return state === 'available' || state === 'broken';
}

const wordsOf = (open: Expectation): string =>
  open.kind === 'transfer'
    ? `leadership is leaving ${open.oldLeader}`
    : `pod ${open.pod} is being replaced`;
