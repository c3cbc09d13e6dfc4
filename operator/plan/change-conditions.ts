/** The conditions that say what the operator is about, and what keeps it from it. */
import type { ConditionFinding } from '../api/conditions.ts';
import { roleName } from '../api/names.ts';
import { ROLES } from '../desired/names.ts';
import { sentenceOf } from './broken.ts';
import type { Findings } from './findings.ts';
import type { Blocked } from './gates.ts';
import { ABSENCE_MS_MAX, isObserved, namesOf } from './pods.ts';
import type { Snapshot } from './types.ts';

/** Creation lasts until `Ready` is true for the first time. */
export function progressing(
  s: Snapshot,
  f: Findings,
  ready: ConditionFinding<'Ready'>,
): ConditionFinding<'Progressing'> {
  const type = 'Progressing';
  const creating = ready.reason === 'Bootstrapping' ? creation(f) : null;
  const moving = hindrance(f) ?? creating ?? rolling(f) ?? scaling(s, f) ?? ending(s, f);
  return (
    moving ??
    applying(s, f) ?? { type, status: 'False', reason: 'Settled', message: 'all is as asked for' }
  );
}

function hindrance({ identity, objects }: Findings): ConditionFinding<'Progressing'> | null {
  const type = 'Progressing';
  if (identity.kind === 'waiting') {
    const message = `waiting for old objects to go: ${identity.objects.join(', ')}`;
    return { type, status: 'False', reason: 'WaitingForOldObjects', message };
  }
  if (objects.overlayProblems.length > 0) {
    const message = objects.overlayProblems.join('; ');
    return { type, status: 'False', reason: 'OverlayRejected', message };
  }
  if (objects.refused.length === 0) return null;
  const message = objects.refused.join('; ');
  return { type, status: 'False', reason: 'ApplyRejected', message };
}

type Move = 'Creating' | 'Applying' | 'RollingVolumes' | 'RollingCoordinators' | 'ScalingOut';

const moves = (reason: Move, message: string): ConditionFinding<'Progressing'> => ({
  type: 'Progressing',
  status: 'True',
  reason,
  message,
});

const creation = (f: Findings): ConditionFinding<'Progressing'> =>
  moves('Creating', f.open ?? 'the cluster is being formed');

function rolling(f: Findings): ConditionFinding<'Progressing'> | null {
  const { volume, coordinator } = f.roll.outdated;
  if (volume > 0) return moves('RollingVolumes', wait(f, `${volume} volumes to go`));
  if (coordinator > 0) {
    return moves('RollingCoordinators', wait(f, `${coordinator} coordinators to go`));
  }
  return null;
}

function scaling(s: Snapshot, f: Findings): ConditionFinding<'Progressing'> | null {
  const unborn = unregistered(s, f);
  return unborn.length === 0 ? null : moves('ScalingOut', `volumes to come: ${unborn.join(', ')}`);
}

const LASTING = ['RollingVolumes', 'RollingCoordinators', 'ScalingOut'] as const;

/** The last pod of a change is of the new template, or known to the store, and does not serve yet. */
function ending(s: Snapshot, { open }: Findings): ConditionFinding<'Progressing'> | null {
  const before = s.cr.status.conditions.Progressing?.reason;
  const lasting = LASTING.find((reason) => reason === before);
  return lasting === undefined || open === null ? null : moves(lasting, open);
}

/** Before Kubernetes has taken up the StatefulSets nobody knows yet which pods are outdated. */
function applying(s: Snapshot, { objects }: Findings): ConditionFinding<'Progressing'> | null {
  const unseen = ROLES.filter((role) => s.sts[role] !== null && !isObserved(s, role));
  const keys = new Set([
    ...objects.changing,
    ...unseen.map((role) => `StatefulSet/${roleName(s.cr.name, role)}`),
  ]);
  return keys.size === 0 ? null : moves('Applying', `not in force yet: ${[...keys].join(', ')}`);
}

const wait = (f: Findings, toGo: string): string => (f.open === null ? toGo : `${toGo}; ${f.open}`);

/** Volumes that were added and that the store does not know yet. */
function unregistered(s: Snapshot, f: Findings): readonly string[] {
  if (s.cluster === 'unknown') return [];
  const known = new Set(s.cluster.volumes.map(({ name }) => name));
  return namesOf(s, 'volume', f.replicas.volume).filter((name) => !known.has(name));
}

export function degraded(f: Findings, cluster: Snapshot['cluster']): ConditionFinding<'Degraded'> {
  const type = 'Degraded';
  const { broken, quorum, claims } = f;
  const lost = cluster === 'unknown' ? 0 : cluster.data.lost;
  const found: readonly ConditionFinding<'Degraded'>[] = [
    ...(lost > 0 ? [is('DataLost', `${lost} values have no sound copy`)] : []),
    ...(quorum.dataLost.length > 0
      ? [is('MemberDataLost', `coordinators came back empty: ${quorum.dataLost.join(', ')}`)]
      : []),
    ...(claims.lost.length > 0
      ? [is('ClaimLost', `claims are lost or being deleted: ${claims.lost.join(', ')}`)]
      : []),
    ...(claims.replacedDisks.length > 0
      ? [is('DiskReplaced', claims.replacedDisks.join('; '))]
      : []),
    ...(broken.pods.length > 0 ? [is('BrokenPod', broken.pods.map(sentenceOf).join('; '))] : []),
  ];
  const [worst] = found;
  if (worst === undefined) {
    return { type, status: 'False', reason: 'AsExpected', message: 'nothing is broken' };
  }
  return { ...worst, message: found.map(({ message }) => message).join('; ') };
}

const is = (
  reason: 'BrokenPod' | 'MemberDataLost' | 'ClaimLost' | 'DiskReplaced' | 'DataLost',
  message: string,
): ConditionFinding<'Degraded'> => ({ type: 'Degraded', status: 'True', reason, message });

export function rollBlocked(s: Snapshot, f: Findings): ConditionFinding<'RollBlocked'> {
  const type = 'RollBlocked';
  const blocked = blockOf(s, f);
  if (blocked !== null) return { type, status: 'True', ...blocked };
  return { type, status: 'False', reason: 'NotBlocked', message: 'no roll is held up' };
}

/** While pods are on their way nothing is blocked, unless one has been for too long. */
export function blockOf(s: Snapshot, { roll, open }: Findings): Blocked | null {
  const { volume, coordinator } = roll.outdated;
  if (volume + coordinator === 0) return null;
  if (open === null) return roll.blocked;
  const isLong = Object.values(s.absentSinceMs).some((ms) => s.nowMs - ms >= ABSENCE_MS_MAX);
  return isLong ? (roll.blocked ?? stuck(open)) : null;
}

const stuck = (message: string): Blocked => ({ reason: 'StateUnknown', message });

export function changeHeld({ held }: Findings): ConditionFinding<'ChangeHeld'> {
  const type = 'ChangeHeld';
  const [first] = held;
  if (first === undefined) {
    return { type, status: 'False', reason: 'NothingHeld', message: 'no wish is held back' };
  }
  const message = held.map((one) => one.message).join('; ');
  return { type, status: 'True', reason: first.reason, message };
}

export function suspended({ cr: { spec } }: Snapshot): ConditionFinding<'Suspended'> {
  const type = 'Suspended';
  if (spec.maintenance.suspended) {
    const message = 'nothing but status is written until maintenance.suspended is false';
    return { type, status: 'True', reason: 'Requested', message };
  }
  return { type, status: 'False', reason: 'NotRequested', message: 'the operator acts' };
}
