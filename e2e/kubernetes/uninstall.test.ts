/**
 * How clusters and their operator end, in every order, and what is there when they come again. The
 * operator stands in a namespace of its own, as people install it.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { V1PersistentVolumeClaim, V1Pod } from '@kubernetes/client-node';
import { CLUSTER_CHART } from '../charts/render.ts';
import { get, put, randomValue } from '../harness/kv.ts';
import { scrape } from '../harness/scrape.ts';
import { MINIKV_IMAGE } from './harness/image.ts';
import { helm } from './harness/kubectl.ts';
import { installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';

const END_MS = 90_000;
const OWNED_MS = 30_000;
/** An operator that is uninstalled has no right any more to give its Lease up: the next one waits it out. */
const LEASE_MS = 60_000;
const OWNED = 'statefulset,pod,service,configmap,serviceaccount,poddisruptionbudget,networkpolicy';
const BOOTSTRAP = 'minikv_operator_admin_requests_total{call="bootstrap"';
const VALUE = randomValue(1_000);

let home: Namespace;
let namespace: Namespace;
let cluster: MinikvCluster;
/** Of the first cluster. */
let clusterId: string | undefined;

beforeAll(async () => {
  home = await Namespace.create('uninstall-operator');
  namespace = await Namespace.create('uninstall');
  cluster = new MinikvCluster(namespace, 'demo');
  await install();
  clusterId = (await cluster.get()).status?.clusterID;
  expect(await put(await endpoint(), 'old', VALUE)).toMatchObject({ status: 201 });
});

afterAll(async () => {
  await Promise.all([namespace.close(), home.close()]);
});

const inside = (): readonly string[] => ['--namespace', namespace.name];

/** The operator and a cluster, until that is Ready. */
async function install(...values: readonly string[]): Promise<void> {
  await installOperator(home, [`watchNamespaces={${namespace.name}}`]);
  const sets = [`image=${MINIKV_IMAGE}`, ...values].flatMap((value) => ['--set', value]);
  await helm(['install', 'demo', CLUSTER_CHART, ...inside(), ...sets]);
  await cluster.condition('Ready', LEASE_MS + READY_MS);
}

const endpoint = async (): Promise<string> =>
  (await namespace.forward('service/demo', 5_000)).origin;

const uninstallCluster = (): Promise<string> => helm(['uninstall', 'demo', ...inside()]);

const uninstallOperator = (): Promise<string> =>
  helm(['uninstall', 'minikv-operator', '--namespace', home.name]);

const claims = (): Promise<readonly V1PersistentVolumeClaim[]> =>
  namespace.list('persistentvolumeclaim', 'app.kubernetes.io/instance=demo');

/** Waits until nothing of the cluster but its claims is left, and no operator. */
async function ended(): Promise<void> {
  await namespace.waitFor('the end of the cluster', END_MS, async () => {
    return (await namespace.list(OWNED, 'app.kubernetes.io/instance=demo')).length === 0;
  });
  await home.waitFor('the end of the operator', END_MS, async () => {
    return (await home.list('pod')).length === 0;
  });
}

/** What the operator has said of the cluster that is there now. */
async function reasons(): Promise<readonly string[]> {
  const { uid } = (await cluster.get()).metadata;
  const args = ['get', 'events', '--field-selector', `involvedObject.uid=${uid}`];
  return (await namespace.kubectl([...args, '-o=jsonpath={.items[*].reason}'])).split(' ');
}

/** Calls for a bootstrap by the operators that run now. */
async function bootstraps(): Promise<number> {
  const pods = await home.list<V1Pod>('pod');
  const counts = pods.map(async ({ metadata }) => {
    const { origin } = await home.forward(`pod/${metadata?.name ?? ''}`, 8_080);
    const samples = [...(await scrape(origin))];
    return samples.filter(([series]) => series.startsWith(BOOTSTRAP)).map(([, value]) => value);
  });
  return (await Promise.all(counts)).flat().reduce((sum, count) => sum + count, 0);
}

test('the cluster, then the operator: both end, and the data stay', async () => {
  expect(await bootstraps()).toBeGreaterThan(0);
  const startMs = performance.now();
  await uninstallCluster();
  await uninstallOperator();
  await ended();
  expect(performance.now() - startMs).toBeLessThan(END_MS);
  const kept = await claims();
  expect(kept).toHaveLength(6);
  expect(kept.filter(({ metadata }) => metadata?.deletionTimestamp !== undefined)).toEqual([]);
});

test('a reinstall onto the kept volumes is the same cluster, and has the old value', async () => {
  await install('deletionPolicy=Delete');
  const { status } = await cluster.get();
  expect(status?.clusterID).toBe(clusterId);
  expect(status?.origin).toBe('Adopted');
  expect(await reasons()).toContain('ClusterAdopted');
  expect(await bootstraps()).toBe(0);
  const { status: code, body } = await get(await endpoint(), 'old');
  expect(code).toBe(200);
  expect(body.equals(VALUE)).toBe(true);
});

test('the operator, then the cluster: both end, and deletionPolicy Delete takes the data along', async () => {
  await namespace.waitFor('the claims to be owned by the cluster', OWNED_MS, async () => {
    return (await claims()).every(({ metadata }) => metadata?.ownerReferences?.length === 1);
  });
  const startMs = performance.now();
  await uninstallOperator();
  await uninstallCluster();
  await ended();
  await namespace.waitFor('the end of the claims', END_MS, async () => {
    return (await claims()).length === 0;
  });
  expect(performance.now() - startMs).toBeLessThan(END_MS);
});

test('a cluster of the same name is then a new one', async () => {
  await install();
  const { status } = await cluster.get();
  expect(status?.origin).toBe('New');
  expect(status?.clusterID).not.toBe(clusterId);
  expect(await get(await endpoint(), 'old')).toMatchObject({ status: 404 });
});

test('a namespace with a cluster in it ends, and the operator goes on', async () => {
  const startMs = performance.now();
  await namespace.close();
  expect(performance.now() - startMs).toBeLessThan(END_MS);
  const pods = await home.list<V1Pod>('pod');
  const started = pods.flatMap(({ status }) => status?.containerStatuses ?? []);
  expect(started.map(({ ready, restartCount }) => ({ ready, restartCount }))).toEqual([
    { ready: true, restartCount: 0 },
    { ready: true, restartCount: 0 },
  ]);
});
