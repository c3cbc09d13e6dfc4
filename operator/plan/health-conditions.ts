/** The conditions that say how well the cluster serves: nothing in them depends on what is planned. */
import type { ConditionFinding } from '../api/conditions.ts';
import { minReplicasOf } from '../api/defaults.ts';
import { ROLES } from '../desired/names.ts';
import type { Findings } from './findings.ts';
import { liveVolumes } from './gates.ts';
import { ABSENCE_MS_MAX, findPod, namesOf } from './pods.ts';
import type { Snapshot } from './types.ts';

const SILENCE_SENTENCES = {
  NoLeader: 'no coordinator leads, though enough of them answer',
  QuorumLost: 'too few coordinators answer to elect a leader; bring their pods and claims back',
  MetadataLost:
    'every coordinator is empty: the metadata is gone and nothing is formed over the volumes; to start anew delete the cluster and its volume claims',
} as const;

export function available(s: Snapshot, f: Findings): ConditionFinding<'Available'> {
  const type = 'Available';
  if (!s.cr.status.bootstrapped) {
    const message = 'the cluster is not formed yet';
    return { type, status: 'False', reason: 'Bootstrapping', message };
  }
  if (s.cluster === 'unknown') {
    const { silence } = f.quorum;
    if (silence === null) {
      return { type, status: 'Unknown', reason: 'NoAnswer', message: 'no leader has answered' };
    }
    return { type, status: 'False', reason: silence, message: SILENCE_SENTENCES[silence] };
  }
  const live = liveVolumes(s.cluster);
  const least = minReplicasOf(s.cr.spec.volumes);
  if (live >= least) {
    return { type, status: 'True', reason: 'Serving', message: 'the cluster serves' };
  }
  const message = `${live} volumes are live and a write needs ${least}`;
  return { type, status: 'False', reason: 'TooFewVolumes', message };
}

/** `True` outlives restarts: it needs everything once, and then only that no pod is away for long. */
export function ready(
  s: Snapshot,
  f: Findings,
  serves: ConditionFinding<'Available'>,
): ConditionFinding<'Ready'> {
  const type = 'Ready';
  const before = s.cr.status.conditions.Ready;
  const missing = missingPods(s, f);
  const wasNever = before === undefined || before.reason === 'Bootstrapping';
  if (serves.status === 'True' && missing.length === 0) {
    return { type, status: 'True', reason: 'PodsReady', message: 'all pods are ready' };
  }
  if (wasNever) {
    const message =
      missing.length === 0 ? serves.message : `waiting for pods: ${missing.join(', ')}`;
    return { type, status: 'False', reason: 'Bootstrapping', message };
  }
  if (serves.status === 'Unknown') {
    return { type, status: 'Unknown', reason: 'AvailableUnknown', message: serves.message };
  }
  if (serves.status === 'False') {
    return { type, status: 'False', reason: 'NotAvailable', message: serves.message };
  }
  const isBrief = missing.every(
    (name) => s.nowMs - (s.absentSinceMs[name] ?? s.nowMs) < ABSENCE_MS_MAX,
  );
  if (before.status !== 'False' && isBrief) {
    return { type, status: 'True', reason: 'PodsReady', message: 'all pods are ready' };
  }
  const message = `pods are not ready: ${missing.join(', ')}`;
  return { type, status: 'False', reason: 'PodsNotReady', message };
}

function missingPods(s: Snapshot, f: Findings): readonly string[] {
  const names = ROLES.flatMap((role) => namesOf(s, role, f.replicas[role]));
  return names.filter((name) => findPod(s, name)?.ready !== true);
}

/** The latch is `status.bootstrapped`; a doubtful identity is said here even after it. */
export function bootstrapped(f: Findings): ConditionFinding<'Bootstrapped'> {
  const type = 'Bootstrapped';
  const { identity, bootstrap } = f;
  const waits = (message: string): ConditionFinding<'Bootstrapped'> => ({
    type,
    status: 'False',
    reason: 'WaitingForCoordinators',
    message,
  });
  if (identity.kind === 'conflict') {
    const message = conflictSentence(identity.ids);
    return { type, status: 'False', reason: 'ClusterIDConflict', message };
  }
  if (identity.kind === 'foreign-claim') {
    const message = foreignClaimSentence(identity.claims);
    return { type, status: 'False', reason: 'ForeignClaim', message };
  }
  if (bootstrap.kind === 'done' || bootstrap.kind === 'latch') {
    return { type, status: 'True', reason: 'Bootstrapped', message: 'the cluster is formed' };
  }
  if (bootstrap.kind === 'call') return waits('the coordinators are told to form the cluster');
  if (bootstrap.reason === 'WaitingForCoordinators') return waits(bootstrap.message);
  return { type, status: 'False', reason: bootstrap.reason, message: bootstrap.message };
}

export const conflictSentence = (ids: readonly string[]): string =>
  `status, claims and pods name different clusters (${ids.join(', ')}); nothing is touched until the foreign claims are taken away`;

export const foreignClaimSentence = (claims: readonly string[]): string =>
  `claims of our names that nobody has labelled: ${claims.join(', ')}; label them with minikv.io/cluster-id to have them adopted, or delete them`;

export function quorumHealthy(s: Snapshot, f: Findings): ConditionFinding<'QuorumHealthy'> {
  const type = 'QuorumHealthy';
  const { healthy, voters, silence, dataLost } = f.quorum;
  if (silence !== null) {
    return { type, status: 'False', reason: silence, message: SILENCE_SENTENCES[silence] };
  }
  if (s.cluster === 'unknown' || healthy === null) {
    const message = 'no leader tells who is healthy';
    return { type, status: 'Unknown', reason: 'LeaderUnknown', message };
  }
  if (dataLost.length > 0) {
    const message = `coordinators came back empty and cannot vote: ${dataLost.join(', ')}`;
    return { type, status: 'False', reason: 'MemberDataLost', message };
  }
  if (healthy.length >= voters) {
    const message = `all ${voters} voters are healthy`;
    return { type, status: 'True', reason: 'MembersHealthy', message };
  }
  const down = s.cluster.members.filter(({ voter, name }) => voter && !healthy.includes(name));
  const message = `voters are down or behind: ${down.map(({ name }) => name).join(', ')}`;
  return { type, status: 'False', reason: 'MemberDown', message };
}

export function dataRedundant({ cluster }: Snapshot): ConditionFinding<'DataRedundant'> {
  const type = 'DataRedundant';
  if (cluster === 'unknown') {
    const message = 'no leader tells how the data is held';
    return { type, status: 'Unknown', reason: 'LeaderUnknown', message };
  }
  const { underReplicated, lost } = cluster.data;
  if (lost > 0) {
    const message = `${lost} values have no sound copy; bring lost volumes back or restore them`;
    return { type, status: 'False', reason: 'DataLost', message };
  }
  if (underReplicated > 0) {
    const message = 'values have fewer copies than asked for; repair makes them again';
    return { type, status: 'False', reason: 'UnderReplicated', message };
  }
  const message = 'every value has all its copies';
  return { type, status: 'True', reason: 'FullyReplicated', message };
}
