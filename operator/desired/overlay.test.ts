/** The overlay: what it may add, how lists merge, and each thing that it may not touch. */
import { describe, expect, test } from '@jest/globals';
import { buildDesired } from './build.ts';
import type { Fields } from './manifest.ts';
import { layOver } from './overlay.ts';
import { buildPodTemplate } from './pod-template.ts';
import { specOf, wantedOf } from './testing/sample-cluster.ts';

const ours = buildPodTemplate(wantedOf(specOf()), 'volume');

function laid(overlay: Fields) {
  const result = layOver(ours, overlay);
  if (result.kind === 'rejected') throw new Error(result.problems.join('\n'));
  return result.template as unknown as {
    metadata: { labels: Fields; annotations?: Fields };
    spec: {
      containers: Fields[];
      volumes: Fields[];
      hostAliases?: Fields[];
      [field: string]: unknown;
    };
  };
}

describe('what is merged', () => {
  test('nothing: the template as it was', () => {
    expect(laid({})).toEqual(ours);
  });

  test('labels and annotations beside ours', () => {
    const { metadata } = laid({ metadata: { labels: { team: 'a' }, annotations: { note: 'b' } } });
    expect(metadata.labels).toEqual({ ...ours.metadata.labels, team: 'a' });
    expect(metadata.annotations).toEqual({ note: 'b' });
  });

  test('a sidecar, and a field of our container', () => {
    const { containers } = laid({
      spec: {
        containers: [
          { name: 'minikv', env: [{ name: 'EXTRA', value: '1' }], stdin: true },
          { name: 'side', image: 'x' },
        ],
      },
    }).spec;
    expect(containers.map(({ name }) => name)).toEqual(['minikv', 'side']);
    expect(containers[0]).toMatchObject({ stdin: true, image: 'minikv:0.1.0' });
    const env = containers[0]!['env'] as Fields[];
    expect(env.at(-1)).toEqual({ name: 'EXTRA', value: '1' });
    expect(env[0]).toMatchObject({ name: 'POD_NAME' });
  });

  test('volumes by name, mounts by path, other lists whole', () => {
    const { spec } = laid({
      spec: {
        volumes: [{ name: 'certs', secret: { secretName: 's' } }],
        containers: [{ name: 'minikv', volumeMounts: [{ name: 'certs', mountPath: '/certs' }] }],
        topologySpreadConstraints: [],
      },
    });
    expect(spec.volumes.map(({ name }) => name)).toEqual(['config', 'tmp', 'certs']);
    const mounts = spec.containers[0]!['volumeMounts'] as Fields[];
    expect(mounts.map(({ mountPath }) => mountPath)).toEqual([
      '/data',
      '/etc/minikv',
      '/tmp',
      '/certs',
    ]);
    expect(spec['topologySpreadConstraints']).toEqual([]);
  });
});

const own = (field: string, value: unknown): Fields => ({
  spec: { containers: [{ name: 'minikv', [field]: value }] },
});

test.each<[string, Fields, string]>([
  ['command', own('command', ['sh']), 'container command'],
  ['args', own('args', []), 'container args'],
  ['ports', own('ports', []), 'container ports'],
  ['a probe', own('livenessProbe', {}), 'container livenessProbe'],
  ['our environment', own('env', [{ name: 'DATA_PATH', value: '/x' }]), 'env DATA_PATH'],
  ['our mount', own('volumeMounts', [{ name: 'x', mountPath: '/data' }]), 'volumeMount /data'],
  ['container security', own('securityContext', {}), 'container securityContext'],
  ['pod security', { spec: { securityContext: {} } }, 'spec.securityContext'],
  ['our volume', { spec: { volumes: [{ name: 'data' }] } }, 'spec.volumes[data]'],
  [
    'a selector label',
    { metadata: { labels: { 'app.kubernetes.io/name': 'x' } } },
    'metadata.labels[app.kubernetes.io/name]',
  ],
  ['an unknown part', { status: {} }, 'podTemplate.status is not a part'],
  ['an entry without key', { spec: { containers: [{ image: 'x' }] } }, 'containers[0] needs name'],
  ['no list', { spec: { volumes: {} } }, 'podTemplate.spec.volumes must be a list'],
])('refuses %s', (_what, overlay, sentence) => {
  const result = layOver(ours, overlay);
  expect(result).toMatchObject({ kind: 'rejected' });
  expect(JSON.stringify(result)).toContain(sentence);
});

test('a refused overlay leaves out its StatefulSet and nothing else', () => {
  const podTemplate = { spec: { securityContext: {} } };
  const built = buildDesired(wantedOf(specOf({ volumes: { podTemplate } })));
  const names = built.manifests
    .filter(({ kind }) => kind === 'StatefulSet')
    .map(({ metadata }) => metadata.name);
  expect(names).toEqual(['demo-coordinator']);
  expect(Object.keys(built.rejected)).toEqual(['volume']);
});
