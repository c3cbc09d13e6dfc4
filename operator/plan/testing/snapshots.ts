/** Snapshots for tests: a settled cluster of any size, and the parts of one to change. */
import type { ConditionType } from '../../api/conditions.ts';
import type { Role } from '../../api/names.ts';
import { claimName, podName, roleName } from '../../api/names.ts';
import { buildDesired } from '../../desired/build.ts';
import { contentHash, objectKey } from '../../desired/manifest.ts';
import { PORTS, ROLES } from '../../desired/names.ts';
import { SAMPLE_ID, specOf, wantedOf } from '../../desired/testing/sample-cluster.ts';
import type {
  AppliedFacts,
  ClaimFacts,
  ClusterAnswer,
  ConditionFacts,
  CoordinatorAnswer,
  LiveObject,
  PodFacts,
  Snapshot,
  StatefulSetFacts,
} from '../types.ts';

export const NOW_MS = 10_000_000;
const LONG_AGO_MS = NOW_MS - 600_000;
export const NEWEST = 'rev-2';
export const OLDER = 'rev-1';

export function podOf(role: Role, ordinal: number, more: Partial<PodFacts> = {}): PodFacts {
  const name = podName('demo', role, ordinal);
  return {
    role,
    ordinal,
    name,
    uid: `uid-${name}`,
    rv: `rv-${name}`,
    revision: NEWEST,
    ip: `10.0.0.${PORTS[role].http / 1000}${ordinal}`,
    node: `node-${ordinal}`,
    ready: true,
    readySinceMs: LONG_AGO_MS,
    deleting: false,
    waitingReason: null,
    unschedulable: false,
    exitMessage: null,
    ...more,
  };
}

export function claimOf(role: Role, ordinal: number, more: Partial<ClaimFacts> = {}): ClaimFacts {
  const pod = podName('demo', role, ordinal);
  const name = claimName('data', pod);
  return {
    name,
    role,
    ordinal,
    pod,
    uid: `uid-${name}`,
    phase: 'Bound',
    deleting: false,
    clusterId: SAMPLE_ID,
    owned: false,
    ...more,
  };
}

export const setOf = (role: Role, replicas: number): StatefulSetFacts => ({
  uid: `uid-${role}`,
  generation: 3,
  observedGeneration: 3,
  replicas,
  updateRevision: NEWEST,
  noted: null,
});

const votersOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    nodeId: i + 1,
    name: podName('demo', 'coordinator', i),
  }));

export const memberOf = (
  ordinal: number,
  count: number,
  more: Partial<CoordinatorAnswer> = {},
): CoordinatorAnswer => ({
  nodeId: ordinal + 1,
  clusterId: SAMPLE_ID,
  state: 'member',
  role: ordinal === 0 ? 'leader' : 'follower',
  caughtUp: true,
  voters: votersOf(count),
  ...more,
});

export const emptyCoordinator: CoordinatorAnswer = {
  nodeId: 0,
  clusterId: null,
  state: 'empty',
  role: 'follower',
  caughtUp: false,
  voters: [],
};

/** Coordinator 0 leads; all are well. */
export function clusterOf(coordinators: number, volumes: number): ClusterAnswer {
  const [leader = { nodeId: 1, name: '' }] = votersOf(coordinators);
  return {
    clusterId: SAMPLE_ID,
    term: 7,
    leader,
    members: votersOf(coordinators).map((voter, i) => ({
      ...voter,
      voter: true,
      state: 'member',
      matchIndex: 100 - i,
      lag: 0,
      contactMs: i === 0 ? 0 : 20,
      version: '0.1.0',
    })),
    volumes: Array.from({ length: volumes }, (_, i) => ({
      name: podName('demo', 'volume', i),
      disk: i + 1,
      state: 'active',
      zone: `node-${i}`,
      live: true,
      refs: 10,
    })),
    data: { underReplicated: 0, lost: 0 },
  };
}

const CALM: readonly (readonly [ConditionType, string, string])[] = [
  ['Ready', 'True', 'PodsReady'],
  ['Available', 'True', 'Serving'],
  ['Bootstrapped', 'True', 'Bootstrapped'],
  ['QuorumHealthy', 'True', 'MembersHealthy'],
  ['DataRedundant', 'True', 'FullyReplicated'],
  ['Progressing', 'False', 'Settled'],
  ['Degraded', 'False', 'AsExpected'],
  ['RollBlocked', 'False', 'NotBlocked'],
  ['ChangeHeld', 'False', 'NothingHeld'],
  ['Suspended', 'False', 'NotRequested'],
];

export const calmConditions: Partial<Record<ConditionType, ConditionFacts>> = Object.fromEntries(
  CALM.map(([type, status, reason]) => [type, { status, reason, sinceMs: LONG_AGO_MS }]),
);

/** A cluster at rest, of which a plan wants nothing. */
export function settled(given: Readonly<Record<string, unknown>> = {}): Snapshot {
  const spec = specOf(given);
  const coordinators = spec.coordinators.replicas;
  const volumes = spec.volumes.replicas;
  const counts = { coordinator: coordinators, volume: volumes };
  const ordinals = (role: Role): readonly number[] =>
    Array.from({ length: counts[role] }, (_, i) => i);
  const { live, applied } = objectsOf(spec);
  return {
    nowMs: NOW_MS,
    cr: {
      name: 'demo',
      namespace: 'store',
      uid: 'cluster-uid',
      generation: 4,
      deleting: false,
      spec,
      status: {
        observedGeneration: 4,
        clusterId: SAMPLE_ID,
        origin: 'New',
        bootstrapped: true,
        conditions: calmConditions,
      },
    },
    op: {
      adminNamespaces: ['minikv-system'],
      kinds: { podMonitor: true, prometheusRule: true },
    },
    sts: { coordinator: setOf('coordinator', coordinators), volume: setOf('volume', volumes) },
    pods: ROLES.flatMap((role) => ordinals(role).map((i) => podOf(role, i))),
    claims: ROLES.flatMap((role) => ordinals(role).map((i) => claimOf(role, i))),
    pdb: { coordinator: { current: true, allowed: 1 }, volume: { current: true, allowed: 1 } },
    applied,
    live,
    foreign: [],
    zones: {},
    coordinators: Object.fromEntries(
      ordinals('coordinator').map((i) => [
        podName('demo', 'coordinator', i),
        memberOf(i, coordinators),
      ]),
    ),
    volumes: Object.fromEntries(
      ordinals('volume').map((i) => [
        podName('demo', 'volume', i),
        { clusterId: SAMPLE_ID, disk: i + 1 },
      ]),
    ),
    cluster: clusterOf(coordinators, volumes),
    open: null,
    absentSinceMs: {},
    transferRefusedMs: [],
  };
}

function objectsOf(spec: Snapshot['cr']['spec']) {
  const live: Record<string, LiveObject> = {};
  const applied: Record<string, AppliedFacts> = {};
  for (const manifest of buildDesired(wantedOf(spec)).manifests) {
    const key = objectKey(manifest);
    live[key] = { uid: `uid-${key}`, rv: '5', content: manifest };
    applied[key] = { hash: contentHash(manifest), rv: '5' };
  }
  return { live, applied };
}

/** `settled` before anything was made of it. */
export function fresh(given: Readonly<Record<string, unknown>> = {}): Snapshot {
  const s = settled(given);
  return {
    ...s,
    cr: {
      ...s.cr,
      status: {
        observedGeneration: 0,
        clusterId: null,
        origin: null,
        bootstrapped: false,
        conditions: {},
      },
    },
    sts: { coordinator: null, volume: null },
    pods: [],
    claims: [],
    pdb: { coordinator: null, volume: null },
    applied: {},
    live: {},
    coordinators: {},
    volumes: {},
    cluster: 'unknown',
  };
}

/** All pods there and the folders empty: the moment to form the cluster. */
export function unformed(given: Readonly<Record<string, unknown>> = {}): Snapshot {
  const s = settled(given);
  const of = (role: Role): readonly string[] =>
    s.pods.filter((pod) => pod.role === role).map(({ name }) => name);
  return {
    ...s,
    cr: { ...s.cr, status: { ...s.cr.status, bootstrapped: false, conditions: {} } },
    pods: s.pods.map((pod) => ({ ...pod, ready: false, readySinceMs: NOW_MS - 3000 })),
    coordinators: Object.fromEntries(of('coordinator').map((name) => [name, emptyCoordinator])),
    volumes: Object.fromEntries(of('volume').map((name) => [name, { clusterId: null, disk: 0 }])),
    cluster: 'unknown',
  };
}

export const changePod = (s: Snapshot, name: string, change: Partial<PodFacts>): Snapshot => ({
  ...s,
  pods: s.pods.map((pod) => (pod.name === name ? { ...pod, ...change } : pod)),
});

/** Every claim of the named pod. */
export const changeClaim = (s: Snapshot, pod: string, change: Partial<ClaimFacts>): Snapshot => ({
  ...s,
  claims: s.claims.map((claim) => (claim.pod === pod ? { ...claim, ...change } : claim)),
});

/** All pods of the given roles are of an older template. */
export const outdated = (s: Snapshot, ...roles: readonly Role[]): Snapshot => ({
  ...s,
  pods: s.pods.map((pod) => (roles.includes(pod.role) ? { ...pod, revision: OLDER } : pod)),
});

export const withCluster = (
  s: Snapshot,
  change: (cluster: ClusterAnswer) => Partial<ClusterAnswer>,
): Snapshot =>
  s.cluster === 'unknown' ? s : { ...s, cluster: { ...s.cluster, ...change(s.cluster) } };

export const setName = (role: Role): string => `StatefulSet/${roleName('demo', role)}`;
