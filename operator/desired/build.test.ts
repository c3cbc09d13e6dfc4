/**
 * What is built for a spec, held against files that people can read; and the environment, held against
 * the settings of the store itself. `UPDATE_GOLDEN=1` writes the files anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { loadCoordinatorOptions } from '../../services/config/coordinator.ts';
import { loadVolumeOptions } from '../../services/config/volume.ts';
import type { Role } from '../api/names.ts';
import { buildDesired, placesOf } from './build.ts';
import type { EnvVar } from './environment.ts';
import { type Manifest, objectKey } from './manifest.ts';
import { PRODUCTION, SAMPLE_ID, specOf, wantedOf } from './testing/sample-cluster.ts';
import type { Wanted } from './wanted.ts';

const golden = (name: string): URL => new URL(`testdata/${name}.yaml`, import.meta.url);

test.each([
  ['smallest', {}],
  ['production', PRODUCTION],
])('the objects of the %s spec', (name, spec) => {
  const { manifests, rejected } = buildDesired(wantedOf(specOf(spec)));
  expect(rejected).toEqual({});
  if (process.env['UPDATE_GOLDEN'] === '1') {
    writeFileSync(golden(name), stringify(manifests, { aliasDuplicateObjects: false }));
  }
  expect(JSON.parse(JSON.stringify(manifests))).toEqual(parse(readFileSync(golden(name), 'utf8')));
});

interface BuiltPod {
  readonly spec: {
    readonly containers: readonly { readonly env: readonly EnvVar[] }[];
    readonly [field: string]: unknown;
  };
}

const find = (wanted: Wanted, key: string): Manifest =>
  buildDesired(wanted).manifests.find((manifest) => objectKey(manifest) === key)!;

const podOf = (wanted: Wanted, role: Role): BuiltPod =>
  (find(wanted, `StatefulSet/demo-${role}`) as unknown as { spec: { template: BuiltPod } }).spec
    .template;

/** The environment as a kubelet would make it for pod 1. */
function environmentOf(wanted: Wanted, role: Role): Record<string, string> {
  const env: Record<string, string> = {};
  const downward: Record<string, string> = {
    'metadata.name': `demo-${role}-1`,
    'metadata.namespace': 'store',
    'metadata.uid': 'pod-uid',
    'status.podIP': '10.1.2.3',
    'spec.nodeName': 'node-b',
  };
  for (const { name, value, valueFrom } of podOf(wanted, role).spec.containers[0]!.env) {
    env[name] =
      value?.replaceAll(/\$\((\w+)\)/g, (_, inner: string) => env[inner]!) ??
      downward[valueFrom!.fieldRef.fieldPath]!;
  }
  return env;
}

const filesOf = (wanted: Wanted) => (path: string) => {
  const data = find(wanted, 'ConfigMap/demo-config')['data'] as Record<string, string>;
  return Promise.resolve(data[path.replace('/etc/minikv/', '')]!);
};

describe('the store takes what it is given', () => {
  test('a coordinator', async () => {
    const wanted = wantedOf(specOf(PRODUCTION));
    const env = environmentOf(wanted, 'coordinator');
    const { options } = await loadCoordinatorOptions([], env, filesOf(wanted));
    expect(options).toMatchObject({
      name: 'demo-coordinator-1',
      httpBind: '0.0.0.0:5000',
      adminBind: '0.0.0.0:5009',
      advertise: 'demo-coordinator-1.demo-coordinator.store.svc:5001',
      directAddress: '10.1.2.3:5001',
      clusterId: SAMPLE_ID,
      bootstrap: 'manual',
      replicas: 3,
      minReplicas: 2,
      shutdownDelayMs: 5000,
      terminationLog: '/dev/termination-log',
      podUid: 'pod-uid',
      maxObjectBytes: 5 * 2 ** 30,
    });
    expect(options.peers).toEqual(
      [0, 1, 2].map((i) => ({
        name: `demo-coordinator-${i}`,
        address: `demo-coordinator-${i}.demo-coordinator.store.svc:5001`,
      })),
    );
    expect(env['NODE_OPTIONS']).toBe('--max-old-space-size=1024');
  });

  test.each([
    [{}, 2048],
    [{ inlineMax: '0' }, 0],
    [{ inlineMax: '1Ki' }, 1024],
  ])('a coordinator with the config %j', async (config, inlineMaxBytes) => {
    const wanted = wantedOf(specOf({ config }));
    const env = environmentOf(wanted, 'coordinator');
    const { options } = await loadCoordinatorOptions([], env, filesOf(wanted));
    expect(options.inlineMaxBytes).toBe(inlineMaxBytes);
  });

  test('a volume', async () => {
    const wanted = wantedOf(specOf({ volumes: { fsync: 'interval=100', wal: { size: '1Gi' } } }));
    const env = environmentOf(wanted, 'volume');
    const { options } = await loadVolumeOptions([], env, filesOf(wanted));
    expect(options).toMatchObject({
      name: 'demo-volume-1',
      clusterId: SAMPLE_ID,
      dataPath: '/data/blobs',
      walPath: '/wal/active',
      coordinators: ['demo-coordinator.store.svc:5001'],
      zone: 'node-b',
      fsync: { kind: 'interval', intervalMs: 100 },
      compactionBytesPerSecond: 64 * 2 ** 20,
    });
    expect(env['NODE_OPTIONS']).toBe('--max-old-space-size=358');
  });

  test('a small limit leaves the heap its least', () => {
    const tight = { resources: { requests: { memory: '128Mi' }, limits: { memory: '256Mi' } } };
    const env = environmentOf(wantedOf(specOf({ volumes: tight })), 'volume');
    expect(env['NODE_OPTIONS']).toBe('--max-old-space-size=192');
  });

  test('with zones of nodes the volume is told its zone by the operator alone', () => {
    const env = environmentOf(wantedOf(specOf({ volumes: { failureDomain: 'Zone' } })), 'volume');
    expect(env).not.toHaveProperty('MINIKV_ZONE');
  });
});

describe('what is turned off', () => {
  test('is named as unwanted, and each object has a known place', () => {
    const wanted = wantedOf(specOf({ networkPolicy: { enabled: false } }));
    const { manifests, unwanted } = buildDesired(wanted);
    const places = placesOf('demo').map(({ kind, name }) => `${kind}/${name}`);
    expect(new Set(places)).toEqual(new Set([...manifests.map(objectKey), ...unwanted]));
    expect(unwanted).toContain('NetworkPolicy/demo-volume');
  });

  test('no monitoring where its kinds are not installed', () => {
    const wanted = wantedOf(specOf(PRODUCTION), {
      kinds: { podMonitor: false, prometheusRule: true },
    });
    const kinds = buildDesired(wanted).manifests.map(({ kind }) => kind);
    expect(kinds).not.toContain('PodMonitor');
    expect(kinds).toContain('PrometheusRule');
  });
});

test("a user's anti-affinity joins ours, and other affinity stays", () => {
  const term = { topologyKey: 'rack' };
  const required = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
  const scheduling = {
    antiAffinity: 'Required',
    affinity: { podAntiAffinity: required, nodeAffinity: { free: true } },
  };
  const { affinity } = podOf(wantedOf(specOf({ volumes: { scheduling } })), 'volume')
    .spec as unknown as {
    affinity: Record<string, Record<string, readonly unknown[]>>;
  };
  expect(affinity['nodeAffinity']).toEqual({ free: true });
  const terms = affinity['podAntiAffinity']!['requiredDuringSchedulingIgnoredDuringExecution'];
  expect(terms).toEqual([term, expect.objectContaining({ topologyKey: 'kubernetes.io/hostname' })]);
});
