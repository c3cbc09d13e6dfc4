/**
 * Steps 4 and 6: how many pods there shall be. More than now is just an apply; fewer happens only to
 * volumes that never ran, and any other wish for fewer is held and said aloud.
 */
import { podName, type Role } from '../api/names.ts';
import type { Snapshot } from './types.ts';

export interface Held {
  readonly reason: 'VolumeScaleIn' | 'CoordinatorCount';
  readonly message: string;
}

export function replicasOf(s: Snapshot): Readonly<Record<Role, number>> {
  const { coordinators, volumes } = s.cr.spec;
  return {
    coordinator: coordinatorCount(s, coordinators.replicas),
    volume: volumeCount(s, volumes.replicas),
  };
}

/** The member list is the authority; before there is one, what was begun goes on with its own size. */
function coordinatorCount(s: Snapshot, asked: number): number {
  const voters = voterNames(s);
  if (voters !== null) return Math.max(voters.length, s.sts.coordinator?.replicas ?? 0);
  const present = presentCount(s, 'coordinator');
  return present === 0 ? asked : present;
}

/** Pods that there are or were, by StatefulSet and claims. */
function presentCount(s: Snapshot, role: Role): number {
  const ordinals = s.claims.filter((claim) => claim.role === role).map(({ ordinal }) => ordinal);
  return Math.max(s.sts[role]?.replicas ?? 0, ...ordinals.map((ordinal) => ordinal + 1));
}

/** As many as there are or were; those on top that are not asked for any more and never ran are given up. */
function volumeCount(s: Snapshot, asked: number): number {
  let count = Math.max(asked, presentCount(s, 'volume'));
  while (count > asked && hasNeverRun(s, count - 1)) count -= 1;
  return count;
}

/**
 * True only of a volume that cannot hold anything: no node has its pod, no claim of it was ever bound (a
 * bound one may get lost and is never Pending again), and the leader knows no disk of its name. If it was
 * placed since the look, its bound claim has it counted again, and it comes back with what it holds.
 */
function hasNeverRun(s: Snapshot, ordinal: number): boolean {
  const name = podName(s.cr.name, 'volume', ordinal);
  const isPlaced = s.pods.some((pod) => pod.name === name && pod.node !== null);
  const wasBound = s.claims.some(({ pod, phase }) => pod === name && phase !== 'Pending');
  if (isPlaced || wasBound) return false;
  if (s.cluster !== 'unknown') return !s.cluster.volumes.some((volume) => volume.name === name);
  // Given up before, or with nobody there at all: without a leader too a claim that was left behind, and
  // that nothing was ever bound to, must not bring it back.
  return s.sts.volume === null || ordinal >= s.sts.volume.replicas;
}

/** Names of the voters, by the leader or else by any member; null where nobody knows. */
export function voterNames(s: Snapshot): readonly string[] | null {
  if (s.cluster !== 'unknown') {
    return s.cluster.members.filter(({ voter }) => voter).map(({ name }) => name);
  }
  for (const answer of Object.values(s.coordinators)) {
    if (answer === 'unknown' || answer.voters.length === 0) continue;
    if (answer.state === 'member' || answer.state === 'recovering') {
      return answer.voters.map(({ name }) => name);
    }
  }
  return null;
}

export function heldChanges(
  { cr: { spec } }: Snapshot,
  replicas: Readonly<Record<Role, number>>,
): readonly Held[] {
  const held: Held[] = [];
  const { coordinators, volumes } = spec;
  if (coordinators.replicas !== replicas.coordinator) {
    const message =
      `coordinators.replicas is ${coordinators.replicas} and there are ${replicas.coordinator}; ` +
      `their number cannot change in this release: put back ${replicas.coordinator}`;
    held.push({ reason: 'CoordinatorCount', message });
  }
  if (volumes.replicas < replicas.volume) {
    const message =
      `volumes.replicas is ${volumes.replicas} and there are ${replicas.volume}; ` +
      `volumes are not taken away in this release: put back ${replicas.volume}`;
    held.push({ reason: 'VolumeScaleIn', message });
  }
  return held;
}
