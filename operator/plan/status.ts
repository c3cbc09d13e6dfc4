/**
 * Step 15: status, without anything that ticks, so that equal states give equal status. A condition
 * keeps its time as long as its status stays.
 */
import type { Phase } from '../api/cluster.ts';
import type { ConditionFinding } from '../api/conditions.ts';
import { type Role, roleName } from '../api/names.ts';
import { endpointOf, ROLES, selectorLabels } from '../desired/names.ts';
import { templateImage } from '../desired/stateful-set.ts';
import { changeHeld, degraded, progressing, rollBlocked, suspended } from './change-conditions.ts';
import type { Findings } from './findings.ts';
import {
  available,
  bootstrapped,
  dataRedundant,
  quorumHealthy,
  ready,
} from './health-conditions.ts';
import { isObserved, isOutdated, namesOf, wantedPods } from './pods.ts';
import type { Snapshot, StatusIntent, TimedCondition } from './types.ts';

const MEMBERS_MAX = 100;
const MESSAGE_MAX = 1024;

export function statusOf(s: Snapshot, f: Findings): StatusIntent {
  const conditions = conditionsOf(s, f);
  const { cluster } = s;
  const version =
    cluster === 'unknown'
      ? undefined
      : cluster.members.find(({ nodeId }) => nodeId === cluster.leader.nodeId)?.version;
  return {
    observedGeneration: isInForce(s, f) ? s.cr.generation : s.cr.status.observedGeneration,
    phase: phaseOf(s, conditions),
    image: imageOf(s),
    endpoint: endpointOf(s.cr),
    selector: selectorText(s.cr.name),
    coordinators: coordinatorsOf(s, f),
    volumes: volumesOf(s, f),
    ...(cluster === 'unknown'
      ? {}
      : { leader: cluster.leader.name, data: dataOf(cluster), version: version ?? '' }),
    conditions,
  };
}

/**
 * Refused and held parts count as seen: their conditions say what became of them. Until Kubernetes has
 * taken up the StatefulSets nobody knows yet which pods are outdated, and all would look as asked for.
 */
const isInForce = (s: Snapshot, { identity, objects }: Findings): boolean =>
  identity.kind === 'known' &&
  objects.steps.length === 0 &&
  ROLES.every((role) => isObserved(s, role));

/** That of the templates that there are: while one of them has another than is asked for, that one. */
function imageOf({ live, cr }: Snapshot): string {
  const images = ROLES.map((role) =>
    templateImage(live[`StatefulSet/${roleName(cr.name, role)}`]?.content),
  );
  return images.find((image) => image !== null && image !== cr.spec.image) ?? cr.spec.image;
}

const selectorText = (name: string): string =>
  Object.entries(selectorLabels(name, 'volume'))
    .map(([label, value]) => `${label}=${value}`)
    .join(',');

const countsOf = (s: Snapshot, role: Role) => {
  const pods = wantedPods(s, role);
  return {
    ready: pods.filter(({ ready }) => ready).length,
    updated: pods.filter((pod) => !isOutdated(s, pod)).length,
  };
};

function coordinatorsOf(s: Snapshot, f: Findings): StatusIntent['coordinators'] {
  const count = f.replicas.coordinator;
  const counts = countsOf(s, 'coordinator');
  const members = namesOf(s, 'coordinator', count).map((name) => {
    const answer = s.coordinators[name] ?? 'unknown';
    const healthy = f.quorum.healthy?.includes(name) === true;
    if (answer === 'unknown') return { name, role: 'Unknown' as const, healthy };
    const nodeID = answer.nodeId === 0 ? {} : { nodeID: answer.nodeId };
    return { name, ...nodeID, role: ROLE_NAMES[answer.role], healthy };
  });
  return { desired: count, ...counts, summary: `${counts.ready}/${count}`, members };
}

const ROLE_NAMES = { leader: 'Leader', follower: 'Follower', candidate: 'Candidate' } as const;

function volumesOf(s: Snapshot, f: Findings): StatusIntent['volumes'] {
  const count = f.replicas.volume;
  const counts = countsOf(s, 'volume');
  const members = namesOf(s, 'volume', count)
    .slice(0, MEMBERS_MAX)
    .map((name) => volumeMember(s, name));
  return { replicas: count, ...counts, summary: `${counts.ready}/${count}`, members };
}

type VolumeMember = NonNullable<NonNullable<StatusIntent['volumes']>['members']>[number];

const STATE_NAMES = { active: 'Active', draining: 'Draining', gone: 'Gone' } as const;

/** Of several disks of one name the newest: the volume has no other. */
function volumeMember({ cluster }: Snapshot, name: string): VolumeMember {
  if (cluster === 'unknown') return { name, state: 'Unknown' };
  const disks = cluster.volumes.filter((volume) => volume.name === name);
  const newest = disks.toSorted((a, b) => b.disk - a.disk)[0];
  if (newest === undefined) return { name, state: 'Unknown' };
  const { disk, state, live, zone } = newest;
  const shown = state === 'active' && !live ? 'Away' : STATE_NAMES[state];
  return { name, disk, state: shown, ...(zone === '' ? {} : { zone }) };
}

const dataOf = ({ data }: Exclude<Snapshot['cluster'], 'unknown'>) => ({
  underReplicated: oneDigit(data.underReplicated),
  lost: data.lost,
});

/** 1234 -> 2000: rounded up, so that it never reads 0 while there is something. */
function oneDigit(count: number): number {
  const unit = 10 ** Math.max(0, String(count).length - 1);
  return Math.ceil(count / unit) * unit;
}

function conditionsOf(s: Snapshot, f: Findings): readonly TimedCondition[] {
  const serves = available(s, f);
  const isReady = ready(s, f, serves);
  const found: readonly ConditionFinding[] = [
    isReady,
    serves,
    bootstrapped(f),
    quorumHealthy(s, f),
    dataRedundant(s),
    progressing(s, f, isReady),
    degraded(f, s.cluster),
    rollBlocked(s, f),
    changeHeld(f),
    suspended(s),
  ];
  return found.map((finding) => timed(s, finding));
}

function timed({ cr, nowMs }: Snapshot, finding: ConditionFinding): TimedCondition {
  const before = cr.status.conditions[finding.type];
  const sinceMs = before?.status === finding.status ? before.sinceMs : nowMs;
  return { ...finding, message: cut(finding.message), sinceMs };
}

const cut = (text: string): string =>
  text.length <= MESSAGE_MAX ? text : `${text.slice(0, MESSAGE_MAX - 1)}…`;

const FAILURES = new Set<string>([
  'ClusterIDConflict',
  'ForeignClaim',
  'MetadataLost',
  'ApplyRejected',
  'OverlayRejected',
]);

/** First match: a word for eyes. */
function phaseOf(s: Snapshot, conditions: readonly TimedCondition[]): Phase {
  const find = (type: TimedCondition['type']): TimedCondition | undefined =>
    conditions.find((condition) => condition.type === type);
  const isTrue = (type: TimedCondition['type']): boolean => find(type)?.status === 'True';
  if (s.cr.deleting) return 'Deleting';
  if (isTrue('Suspended')) return 'Suspended';
  const failed = conditions.some(
    ({ status, reason }) => status === 'False' && FAILURES.has(reason),
  );
  if (failed) return 'Failed';
  if (!isTrue('Bootstrapped') || find('Ready')?.reason === 'Bootstrapping') return 'Creating';
  if (!isTrue('Available')) return 'Unavailable';
  if (isTrue('Progressing')) return 'Updating';
  return isTrue('Degraded') ? 'Degraded' : 'Running';
}
