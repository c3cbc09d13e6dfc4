/**
 * Steps 12 and 13: available pods of an older template, one at a time. Volumes first, highest ordinal
 * first; then followers; the leader last, after leadership has gone to a member that is up to date. A
 * broken pod of the newest template ends it: the harm stops at the first one.
 */
import { type BrokenFinding, sentenceOf } from './broken.ts';
import { type Blocked, coordinatorGate, interruptsWrites, volumeGate } from './gates.ts';
import { isOutdated, stateOf, wantedPods } from './pods.ts';
import type { Quorum } from './quorum.ts';
import type { Action, ClusterAnswer, PodFacts, Snapshot } from './types.ts';

const REFUSALS_MAX = 3;
const REFUSALS_WITHIN_MS = 60_000;

export interface Roll {
  /** Outdated pods, available or not. */
  readonly outdated: { readonly coordinator: number; readonly volume: number };
  readonly action: Action | null;
  readonly blocked: Blocked | null;
  /** The action stops writes for a while, and no wait would change that. */
  readonly interrupts: boolean;
}

export function rollOf(s: Snapshot, quorum: Quorum, { newest }: BrokenFinding): Roll {
  const volumes = wantedPods(s, 'volume').filter((pod) => isOutdated(s, pod));
  const coordinators = wantedPods(s, 'coordinator').filter((pod) => isOutdated(s, pod));
  const outdated = { coordinator: coordinators.length, volume: volumes.length };
  const none = { outdated, action: null, blocked: null, interrupts: false };
  const [broken] = newest;
  if (broken !== undefined) {
    return { ...none, blocked: { reason: 'BrokenPod', message: sentenceOf(broken) } };
  }
  const volume = availableOf(s, volumes).at(-1);
  if (volume !== undefined) {
    const blocked = volumeGate(s);
    if (blocked !== null) return { ...none, blocked };
    return { ...none, action: evict(volume, outdated.volume), interrupts: interruptsWrites(s) };
  }
  const waiting = availableOf(s, coordinators);
  if (waiting.length === 0) return none;
  const blocked = coordinatorGate(s, quorum);
  if (blocked !== null || s.cluster === 'unknown') return { ...none, blocked };
  const action = coordinatorAction(s, s.cluster, { waiting, quorum, outdated });
  return { ...none, action, interrupts: action.kind === 'evict' && quorum.voters === 1 };
}

const availableOf = (s: Snapshot, pods: readonly PodFacts[]): readonly PodFacts[] =>
  pods.filter((pod) => stateOf(pod, s.nowMs) === 'available');

const evict = ({ role, name, uid, rv }: PodFacts, outdated: number): Action => ({
  kind: 'evict',
  role,
  outdated,
  pod: name,
  uid,
  rv,
});

function coordinatorAction(
  s: Snapshot,
  cluster: ClusterAnswer,
  found: {
    readonly waiting: readonly PodFacts[];
    readonly quorum: Quorum;
    readonly outdated: Roll['outdated'];
  },
): Action {
  const { waiting, quorum, outdated } = found;
  const { leader, term } = cluster;
  const followers = waiting.filter(({ name }) => name !== leader.name);
  const next = followers.at(-1);
  if (next !== undefined) return evict(next, outdated.coordinator);
  const [last] = waiting.slice(-1);
  const target = successor(s, cluster, quorum);
  const refusals = s.transferRefusedMs.filter((atMs) => s.nowMs - atMs < REFUSALS_WITHIN_MS);
  // SIGTERM hands leadership over too; the transfer only makes it the best member's.
  if (last !== undefined && (target === undefined || refusals.length >= REFUSALS_MAX)) {
    return evict(last, outdated.coordinator);
  }
  return {
    kind: 'transfer',
    from: leader.name,
    to: target?.name ?? '',
    toNodeId: target?.nodeId ?? 0,
    expectedTerm: term,
  };
}

/** The healthy voter of the newest template that is furthest; ties go to the lowest node id. */
function successor(
  s: Snapshot,
  { leader, members }: ClusterAnswer,
  { healthy }: Quorum,
): ClusterAnswer['members'][number] | undefined {
  const updated = wantedPods(s, 'coordinator').filter((pod) => !isOutdated(s, pod));
  return members
    .filter(({ name, nodeId }) => nodeId !== leader.nodeId && healthy?.includes(name) === true)
    .filter(({ name }) => updated.some((pod) => pod.name === name))
    .toSorted((a, b) => b.matchIndex - a.matchIndex || a.nodeId - b.nodeId)[0];
}
