/** The charts before a real API server, in a namespace that is as strict as Kubernetes knows. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { V1PodSpec } from '@kubernetes/client-node';
import {
  CLUSTER_CHART,
  isTest,
  type KubeObject,
  OPERATOR_CHART,
  render,
} from '../charts/render.ts';
import { CLUSTER_DEFINITION, untilEstablished } from './harness/definitions.ts';
import { helm, kubectl } from './harness/kubectl.ts';
import { Namespace } from './harness/namespace.ts';

const ACCOUNT_MS = 20_000;

let namespace: Namespace;
let objects: readonly KubeObject[];

beforeAll(async () => {
  namespace = await Namespace.create('charts');
  const enforce = 'pod-security.kubernetes.io/enforce=restricted';
  await kubectl(['label', 'namespace', namespace.name, enforce]);
  const home = ['--namespace', namespace.name, '--set', `watchNamespaces={${namespace.name}}`];
  objects = [
    ...(await render(OPERATOR_CHART, 'minikv-operator', home)),
    ...(await render(CLUSTER_CHART, 'demo', ['--namespace', namespace.name])),
  ];
  // The rest is only tried: pods name a service account that must be there, a cluster its kind.
  const kinds = ['CustomResourceDefinition', 'ServiceAccount'];
  const first = objects.filter(({ kind }) => kinds.includes(kind));
  await namespace.apply(...first);
  await untilEstablished(CLUSTER_DEFINITION);
  // Every pod needs it, and it is made a moment after the namespace.
  await namespace.waitFor('the default service account', ACCOUNT_MS, async () => {
    const accounts = await namespace.list<KubeObject>('serviceaccount');
    return accounts.some(({ metadata }) => metadata.name === 'default');
  });
});

afterAll(async () => {
  await namespace.close();
});

const listOf = (items: readonly object[]): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

const dryRun = (items: readonly object[]): Promise<string> =>
  namespace.kubectl(['apply', '--dry-run=server', '-f', '-'], { input: listOf(items) });

const pod = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec,
});

test('every object is taken', async () => {
  const said = await dryRun(objects);
  expect(said.trim().split('\n')).toHaveLength(objects.length);
  expect(objects.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['Deployment', 'Role', 'NetworkPolicy', 'MiniKVCluster', 'Pod']),
  );
});

test('pods of the operator and of both tests are as a restricted namespace wants them', async () => {
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  const { template } = deployment?.['spec'] as { template: { spec: V1PodSpec } };
  expect(objects.filter((object) => object.kind === 'Pod' && isTest(object))).toHaveLength(2);
  await dryRun([
    pod('operator', template.spec),
    ...objects.filter((object) => object.kind === 'Pod' && isTest(object)),
  ]);
  const { securityContext: _strict, ...lax } = template.spec;
  await expect(dryRun([pod('lax', lax)])).rejects.toThrow('violates PodSecurity');
});

test('the operator may do in its namespace what its rights say, and nothing beside', async () => {
  const roles = objects.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding');
  await namespace.kubectl(['apply', '-f', '-'], { input: listOf(roles) });
  const account = `system:serviceaccount:${namespace.name}:minikv-operator`;
  const may = async (...args: string[]): Promise<boolean> => {
    const said = await namespace
      .kubectl(['auth', 'can-i', ...args, `--as=${account}`])
      .catch((error: Error) => error.message);
    return said.trim().startsWith('yes');
  };
  expect(await may('create', 'pods', '--subresource=eviction')).toBe(true);
  expect(await may('patch', 'minikvclusters', '--subresource=status')).toBe(true);
  expect(await may('update', 'leases.coordination.k8s.io')).toBe(true);
  expect(await may('patch', 'minikvclusters')).toBe(false);
  expect(await may('delete', 'persistentvolumeclaims')).toBe(false);
  expect(await may('get', 'secrets')).toBe(false);
  expect(await may('get', 'pods', '--namespace=kube-system')).toBe(false);
});

test('clusters and their kind outlive the operator, and the next one takes them up', async () => {
  const release = namespace.name;
  const home = ['--namespace', release];
  const values = ['--set', `watchNamespaces={${release}}`, '--set', 'rights.users=false'];
  // The kind may have come with install.yaml; from then on it is this release's.
  const install = [
    'install',
    release,
    OPERATOR_CHART,
    ...home,
    ...values,
    '--take-ownership',
    '--force-conflicts',
  ];
  const clusterIsThere = async (): Promise<boolean> =>
    (await namespace.list<KubeObject>('minikvcluster')).some(
      ({ metadata }) => metadata.name === 'kept',
    );
  await helm(install);
  const cluster = objects.find(({ kind }) => kind === 'MiniKVCluster');
  await namespace.apply({
    ...cluster,
    metadata: { name: 'kept' },
    spec: { image: 'minikv:0.1.0', maintenance: { suspended: true } },
  });
  await helm(['uninstall', release, ...home]);
  expect(await namespace.list('deployment')).toEqual([]);
  expect(await clusterIsThere()).toBe(true);
  await helm(install);
  await helm([
    'upgrade',
    release,
    OPERATOR_CHART,
    ...home,
    ...values,
    '--set',
    'crds.install=false',
  ]);
  expect(await clusterIsThere()).toBe(true);
  await helm(['uninstall', release, ...home]);
});
