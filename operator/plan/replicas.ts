/**
 * Steps 4 and 6: how many pods there shall be. More than now is just an apply; fewer never happens, and
 * a wish for fewer is held and said aloud.
 */
import type { Role } from '../api/names.ts';
import type { Snapshot } from './types.ts';

export interface Held {
  readonly reason: 'VolumeScaleIn' | 'CoordinatorCount';
  readonly message: string;
}

export function replicasOf(s: Snapshot): Readonly<Record<Role, number>> {
  const { coordinators, volumes } = s.cr.spec;
  return {
    coordinator: coordinatorCount(s, coordinators.replicas),
    volume: Math.max(volumes.replicas, presentCount(s, 'volume')),
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
