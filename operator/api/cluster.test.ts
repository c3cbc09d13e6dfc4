import { describe, expect, test } from '@jest/globals';
import {
  type ClusterSpec,
  type ClusterStatus,
  type Condition,
  type CoordinatorsSpec,
  GROUP,
  type Phase,
  PLURAL,
  parseCluster,
} from './cluster.ts';
import { CONDITION_REASONS, type ConditionFinding } from './conditions.ts';
import { minReplicasOf } from './defaults.ts';
import { CLUSTER_ID_LABEL, claimName, configMapName, podName } from './names.ts';
import { bytesOf } from './quantity.ts';

type Given = Readonly<Record<string, unknown>>;

const object = (spec: Given, more: Given = {}) => ({
  apiVersion: 'minikv.io/v1alpha1',
  kind: 'MiniKVCluster',
  metadata: { name: 'demo', namespace: 'store', uid: 'u1' },
  spec: { image: 'minikv:0.1.0', ...spec },
  ...more,
});

function parsed(value: unknown) {
  const result = parseCluster(value);
  if (result.kind === 'invalid') throw new Error(result.problems.join('\n'));
  return result.cluster;
}

const problems = (value: unknown): readonly string[] => {
  const result = parseCluster(value);
  return result.kind === 'invalid' ? result.problems : [];
};

describe('defaults', () => {
  test('an image alone is a whole spec', () => {
    const pod = {
      resources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '1Gi' } },
      storage: { size: '10Gi' },
      scheduling: { antiAffinity: 'Preferred' },
      podTemplate: {},
    } as const;
    const spec: ClusterSpec = {
      image: 'minikv:0.1.0',
      imagePullPolicy: 'IfNotPresent',
      imagePullSecrets: [],
      coordinators: { replicas: 3, ...pod },
      volumes: {
        replicas: 3,
        replicationFactor: 3,
        fsync: 'always',
        failureDomain: 'Node',
        ...pod,
      },
      config: { logLevel: 'info', maxObject: '5Gi', blobCache: '64Mi', compactionRate: '64Mi' },
      service: { type: 'ClusterIP', annotations: {} },
      monitoring: { podMonitor: false, prometheusRule: false, labels: {} },
      networkPolicy: { enabled: true },
      maintenance: { suspended: false },
      deletionPolicy: 'Retain',
    };
    expect(parsed(object({})).spec).toEqual(spec);
  });

  test('a part that is given leaves the defaults beside it', () => {
    const coordinators: CoordinatorsSpec = parsed(
      object({ coordinators: { resources: { limits: { memory: '2Gi', cpu: 2 } } } }),
    ).spec.coordinators;
    expect(coordinators.resources).toEqual({
      requests: { cpu: '100m', memory: '512Mi' },
      limits: { memory: '2Gi', cpu: '2' },
    });
    expect(coordinators.replicas).toBe(3);
  });

  test.each([
    [{ replicationFactor: 3 }, 2],
    [{ replicationFactor: 1 }, 1],
    [{ replicationFactor: 5, minReplicas: 4 }, 4],
  ])('a write needs of %j: %d', (volumes, copies) => {
    expect(minReplicasOf(volumes)).toBe(copies);
  });
});

describe('bad specs', () => {
  test.each<[string, Given, string]>([
    ['even coordinators', { coordinators: { replicas: 4 } }, 'must be 1, 3, 5 or 7'],
    ['too few volumes', { volumes: { replicas: 2 } }, 'at least replicationFactor'],
    ['minReplicas', { volumes: { minReplicas: 4 } }, 'minReplicas cannot exceed'],
    ['tiny storage', { volumes: { storage: { size: '64Mi' } } }, 'size must be at least 128Mi'],
    ['a word for a size', { volumes: { storage: { size: 'big' } } }, 'must be bytes such as'],
    ['wal without size', { volumes: { wal: {} } }, 'spec.volumes.wal.size'],
    ['fsync', { volumes: { fsync: 'interval=60001' } }, 'must be always, never or interval=MS'],
    ['large objects', { config: { maxObject: '6Gi' } }, 'maxObject must be from 1 to 5Gi'],
    ['large inline values', { config: { inlineMax: '17Ki' } }, 'inlineMax must be from 0 to 16Ki'],
    [
      'request above limit',
      { volumes: { resources: { requests: { memory: '2Gi' } } } },
      'requests.memory cannot exceed limits.memory',
    ],
    ['no image', { image: undefined }, 'spec.image'],
  ])('%s', (_what, spec, sentence) => {
    expect(problems(object(spec)).join('\n')).toContain(sentence);
  });

  test.each([['9lives'], ['Demo'], ['demo-'], ['a'.repeat(41)]])('name %s', (name) => {
    expect(problems(object({}, { metadata: { name } }))).toEqual([
      expect.stringContaining('name: use at most 40 characters'),
    ]);
  });

  test('another kind', () => {
    expect(problems({ ...object({}), kind: 'Pod' })).toHaveLength(1);
    expect(problems(null)).toHaveLength(1);
  });
});

test('a field of a newer version is left out, and status is kept', () => {
  const condition: Condition = {
    type: 'Ready',
    status: 'True',
    lastTransitionTime: '2026-01-02T03:04:05Z',
    reason: 'PodsReady',
    message: 'all 6 pods are ready',
  };
  const phase: Phase = 'Running';
  const status: ClusterStatus = { phase, clusterID: 'ab'.repeat(16), conditions: [condition] };
  const cluster = parsed(object({ backup: {} }, { status: { ...status, later: 1 } }));
  expect(cluster.status).toEqual(status);
  expect(cluster.spec).not.toHaveProperty('backup');
  expect(cluster.metadata.uid).toBe('u1');
});

test('free parts keep what they hold', () => {
  const podTemplate = { spec: { hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }] } };
  const spread = { maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' } as const;
  const scheduling = { topologySpreadConstraints: [{ ...spread, minDomains: 2 }] };
  const { volumes } = parsed(object({ volumes: { podTemplate, scheduling } })).spec;
  expect(volumes.podTemplate).toEqual(podTemplate);
  expect(volumes.scheduling).toEqual({ ...scheduling, antiAffinity: 'Preferred' });
});

test.each([
  ['1', 1],
  ['1.5Ki', 1536],
  ['0.001k', 1],
  ['2M', 2_000_000],
  ['10Gi', 10 * 1024 ** 3],
  ['0.5', 1],
])('%s is %d bytes', (amount, bytes) => {
  expect(bytesOf(amount)).toBe(bytes);
});

test('names', () => {
  const pod = podName('demo', 'volume', 11);
  expect(pod).toBe('demo-volume-11');
  expect(claimName('data', pod)).toBe('data-demo-volume-11');
  expect(configMapName('demo')).toBe('demo-config');
  expect(CLUSTER_ID_LABEL.split('/')[0]).toBe(GROUP);
  expect(PLURAL).toBe('minikvclusters');
});

test('every condition has a reason for True and False, each a word Kubernetes takes', () => {
  const blocked: ConditionFinding = {
    type: 'RollBlocked',
    status: 'True',
    reason: 'Quorum',
    message: 'a roll waits',
  };
  expect(CONDITION_REASONS[blocked.type].True).toContain(blocked.reason);
  for (const reasons of Object.values(CONDITION_REASONS)) {
    expect(reasons.True.length * reasons.False.length).toBeGreaterThan(0);
    for (const reason of Object.values(reasons).flat()) {
      expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
    }
  }
});
