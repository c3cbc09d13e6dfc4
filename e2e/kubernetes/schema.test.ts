/** Bad specs: the API server says what is wrong in a sentence that says what to do. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { crd } from '../../operator/api/crd.ts';
import type { SchemaNode } from '../../operator/api/structural.ts';
import { CLUSTER_DEFINITION, untilEstablished } from './harness/definitions.ts';
import { kubectl } from './harness/kubectl.ts';
import { Namespace } from './harness/namespace.ts';
import { read } from './harness/reader.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLUSTER_ID = '0123456789abcdef0123456789abcdef';

type Spec = Readonly<Record<string, unknown>>;

let namespace: Namespace;

beforeAll(async () => {
  // Plain apply, which keeps the whole object in an annotation: so it is small enough.
  await kubectl(['apply', '-f', join(ROOT, 'crds/minikv.io_minikvclusters.yaml')]);
  await untilEstablished(CLUSTER_DEFINITION);
  namespace = await Namespace.create('schema');
});

afterAll(async () => {
  await namespace.close();
});

const cluster = (name: string, spec: Spec): object => ({
  apiVersion: 'minikv.io/v1alpha1',
  kind: 'MiniKVCluster',
  metadata: { name },
  spec: { image: 'minikv:0.1.0', ...spec },
});

const apply = (object: object, ...args: string[]): Promise<string> =>
  namespace.kubectl(['apply', '-f', '-', ...args], { input: JSON.stringify(object) });

const patchStatus = (name: string, status: object): Promise<string> =>
  namespace.kubectl([
    'patch',
    'minikvcluster',
    name,
    '--subresource=status',
    '--type=merge',
    `--patch=${JSON.stringify({ status })}`,
  ]);

/** Every sentence of the schema; each must have been seen when the story ends. */
const sentences = new Set(
  crd()
    .spec.versions.flatMap(({ schema }) => [schema.openAPIV3Schema])
    .flatMap(messages),
);
const seen = new Set<string>();

function messages(node: SchemaNode): string[] {
  const rules = (node['x-kubernetes-validations'] ?? []) as { message: string }[];
  const below = [...Object.values(node.properties ?? {}), ...(node.items ? [node.items] : [])];
  return [...rules.map(({ message }) => message), ...below.flatMap(messages)];
}

/** Refused with that sentence, at a dry run and in earnest. */
async function refused(object: object, sentence: string): Promise<void> {
  await expect(apply(object, '--dry-run=server')).rejects.toThrow(sentence);
  await expect(apply(object)).rejects.toThrow(sentence);
  for (const known of sentences) if (known.includes(sentence)) seen.add(known);
}

describe('a new cluster', () => {
  test.each<[string, Spec, string]>([
    ['even coordinators', { coordinators: { replicas: 4 } }, 'must be 1, 3, 5 or 7'],
    ['too few volumes', { volumes: { replicas: 2 } }, 'at least replicationFactor: raise replicas'],
    ['minReplicas', { volumes: { minReplicas: 4 } }, 'minReplicas cannot exceed replicationFactor'],
    ['tiny claims', { volumes: { storage: { size: '64Mi' } } }, 'size must be at least 128Mi'],
    ['a tiny wal', { volumes: { wal: { size: '1Mi' } } }, 'size must be at least 128Mi'],
    [
      'a request above the limit',
      { coordinators: { resources: { requests: { memory: '2Gi' } } } },
      'requests.memory cannot exceed limits.memory: raise the limit too',
    ],
    ['large objects', { config: { maxObject: '6Gi' } }, 'maxObject must be from 1 to 5Gi'],
    ['large inline values', { config: { inlineMax: '17Ki' } }, 'inlineMax must be from 0 to 16Ki'],
    ['a large cache', { config: { blobCache: '65Gi' } }, 'blobCache must be from 0 to 64Gi'],
    ['no rate', { config: { compactionRate: '1' } }, 'compactionRate must be from 1Ki to 1Ti'],
    ['fsync', { volumes: { fsync: 'interval=60001' } }, 'spec.volumes.fsync'],
    ['cores', { volumes: { resources: { requests: { cpu: 'x' } } } }, 'requests.cpu'],
    ['an unknown field', { backup: {} }, 'unknown field "spec.backup"'],
    ['no image', { image: null }, 'spec.image'],
  ])('with %s', async (_what, spec, sentence) => {
    await refused(cluster('bad', spec), sentence);
  });

  test.each(['9lives', 'a'.repeat(41)])('called %s', async (name) => {
    await refused(cluster(name, {}), 'name: use at most 40 characters');
  });
});

describe('a living cluster', () => {
  beforeAll(async () => {
    await apply(cluster('ok', {}));
    await patchStatus('ok', { clusterID: CLUSTER_ID, bootstrapped: true });
  });

  test.each<[string, Spec, string]>([
    ['its replicationFactor', { volumes: { replicationFactor: 2 } }, 'cannot change on a living'],
    ['to a wal', { volumes: { wal: { size: '1Gi' } } }, 'wal can only be chosen at creation'],
    ['its claims', { volumes: { storage: { size: '11Gi' } } }, 'put back the old value'],
    [
      'its storage class',
      { coordinators: { storage: { storageClassName: 'fast' } } },
      'storage cannot change in this release: put back the old value',
    ],
  ])('does not change %s', async (_what, spec, sentence) => {
    await refused(cluster('ok', spec), sentence);
  });

  test.each<[object, string]>([
    [{ clusterID: 'f'.repeat(32) }, 'clusterID is set once'],
    [{ bootstrapped: false }, 'bootstrapped stays true'],
    [{ bootstrapped: null }, 'bootstrapped stays true'],
  ])('keeps its status from %j', async (status, sentence) => {
    await expect(patchStatus('ok', status)).rejects.toThrow(sentence);
    seen.add(sentence);
  });

  test('may grow, by spec and by scale', async () => {
    await apply(cluster('ok', { volumes: { replicas: 4 } }));
    await namespace.kubectl(['scale', 'minikvcluster/ok', '--replicas=5']);
    const { spec } = await namespace.get<{ spec: { volumes: Spec } }>('minikvcluster', 'ok');
    expect(spec.volumes['replicas']).toBe(5);
  });
});

test('an image alone is a whole spec, with every default filled in by the API server', async () => {
  await apply(cluster('small', {}));
  const made = await namespace.get<{ spec: Spec }>('mkv', 'small');
  expect(made.spec).toMatchObject({
    coordinators: { replicas: 3, storage: { size: '10Gi' } },
    volumes: { replicas: 3, replicationFactor: 3, resources: { limits: { memory: '1Gi' } } },
    config: { maxObject: '5Gi' },
    deletionPolicy: 'Retain',
  });
});

test('the columns are those of a tired reader', async () => {
  const [head = ''] = (await namespace.kubectl(['get', 'mkv', '-o', 'wide'])).split('\n');
  expect(head.split(/ {2,}/).map((word) => word.trim())).toEqual(
    expect.arrayContaining(['NAME', 'READY', 'PHASE', 'COORDINATORS', 'VOLUMES', 'HELD', 'IMAGE']),
  );
});

test('the API server finds no fault with the schema', async () => {
  const { status } = await read<{
    status: { conditions: { type: string; status: string }[] };
  }>('crd', CLUSTER_DEFINITION);
  const bad = status.conditions.filter(({ type }) => /NonStructural|Terminating/.test(type));
  expect(bad.filter((condition) => condition.status === 'True')).toEqual([]);
});

test('every sentence of the schema was seen', () => {
  expect([...sentences].filter((sentence) => !seen.has(sentence))).toEqual([]);
});
