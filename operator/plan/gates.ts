/**
 * May an available pod be taken down now? Each part asks for a known value. The answer is the first part
 * that fails, as the reason of `RollBlocked`; null: the gate is open.
 */
import { minReplicasOf } from '../api/defaults.ts';
import type { Role } from '../api/names.ts';
import { findPod } from './pods.ts';
import type { Quorum } from './quorum.ts';
import type { Snapshot } from './types.ts';

export interface Blocked {
  readonly reason:
    | 'BrokenPod'
    | 'Quorum'
    | 'UnderReplicated'
    | 'VolumeUnavailable'
    | 'Budget'
    | 'ClaimLost'
    | 'StateUnknown';
  readonly message: string;
}

export function coordinatorGate(
  s: Snapshot,
  { voters, majority, healthy }: Quorum,
): Blocked | null {
  if (s.cluster === 'unknown' || healthy === null) return stateUnknown;
  const strangers = s.cluster.members.filter(
    ({ voter, name }) => voter && findPod(s, name)?.role !== 'coordinator',
  );
  if (strangers.length > 0) {
    const names = strangers.map(({ name }) => name).join(', ');
    return { reason: 'StateUnknown', message: `voters without a pod: ${names}` };
  }
  const unbound = unboundClaims(s, 'coordinator');
  if (unbound !== null) return unbound;
  // One voter alone has no safe moment; it is restarted while it is well.
  const isSafe = voters === 1 ? healthy.length === 1 : healthy.length - 1 >= majority;
  if (!isSafe) {
    const message = `${healthy.length} of ${voters} voters are healthy and ${majority} must stay`;
    return { reason: 'Quorum', message };
  }
  return budget(s, 'coordinator');
}

export function volumeGate(s: Snapshot): Blocked | null {
  const { cluster } = s;
  if (cluster === 'unknown') return stateUnknown;
  const { underReplicated, lost } = cluster.data;
  if (underReplicated - lost > 0) {
    const message = 'values have fewer copies than asked for; waiting for repair';
    return { reason: 'UnderReplicated', message };
  }
  const away = cluster.volumes.filter(({ refs, live }) => refs > 0 && !live);
  if (away.length > 0) {
    const names = away.map(({ name, disk }) => `${name} (disk ${disk})`).join(', ');
    return { reason: 'VolumeUnavailable', message: `disks with data are away: ${names}` };
  }
  const unbound = unboundClaims(s, 'volume');
  if (unbound !== null) return unbound;
  const closed = budget(s, 'volume');
  if (closed !== null || interruptsWrites(s)) return closed;
  const live = liveVolumes(cluster);
  const least = minReplicasOf(s.cr.spec.volumes);
  if (live - 1 >= least) return null;
  const message = `${live} volumes are live and a write needs ${least}`;
  return { reason: 'VolumeUnavailable', message };
}

/**
 * A claim that is being deleted goes as soon as no pod holds it, and what lies in it is gone for good. One
 * that was never bound holds nothing; it counts only where its pod is wanted.
 */
function unboundClaims(s: Snapshot, role: Role): Blocked | null {
  const replicas = s.sts[role]?.replicas ?? 0;
  const unbound = s.claims
    .filter((claim) => claim.role === role)
    .filter(({ phase, deleting, ordinal }) => {
      const isLeftBehind = phase === 'Pending' && ordinal >= replicas;
      return !isLeftBehind && (phase !== 'Bound' || deleting);
    });
  if (unbound.length === 0) return null;
  const names = unbound
    .map(({ name, deleting }) => (deleting ? `${name} (being deleted)` : name))
    .join(', ');
  return { reason: 'ClaimLost', message: `claims are not bound: ${names}` };
}

/** With so few volumes a restart always stops writes: there is nothing to wait for. */
export function interruptsWrites({ cr: { spec } }: Snapshot): boolean {
  const { replicas, replicationFactor } = spec.volumes;
  return replicas <= minReplicasOf(spec.volumes) || replicationFactor === 1;
}

export const liveVolumes = (cluster: Exclude<Snapshot['cluster'], 'unknown'>): number =>
  cluster.volumes.filter(({ live, state }) => live && state === 'active').length;

const stateUnknown: Blocked = {
  reason: 'StateUnknown',
  message: 'no leader tells the state of the cluster',
};

function budget(s: Snapshot, role: Role): Blocked | null {
  const pdb = s.pdb[role];
  if (pdb?.current === true && pdb.allowed >= 1) return null;
  const message = `the disruption budget of ${role}s allows no eviction now`;
  return { reason: 'Budget', message };
}
