/**
 * The operator ends at each step at which it can, or stands still there past its Lease, while a cluster
 * is made, changed, mended and set right: the other replica takes over and comes to the same end, and the
 * store is disturbed no more than if nothing had happened.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { kubectl } from './harness/kubectl.ts';
import { Load } from './harness/load.ts';
import { clusterObject, installOperator, MinikvCluster } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { type Fault, FaultyOperator, type Met } from './harness/operator-faults.ts';
import { PodWatch } from './harness/pod-watch.ts';
import { type Watch, watch } from './harness/watch.ts';

const BAD_IMAGE = '127.0.0.1:1/minikv:none';
const LABELS = 'app.kubernetes.io/instance=demo';
const BROKEN_MS = 60_000;
/** Of what is done with so many deaths in it. */
const DONE_MS = 240_000;
const LATE_MS = 20_000;
const PAUSE_MS_MAX = 2_000;
const PODS = ['coordinator', 'volume'].flatMap((role) =>
  [0, 1, 2].map((ordinal) => `demo-${role}-${ordinal}`),
);

let namespace: Namespace;
let cluster: MinikvCluster;
let operator: FaultyOperator;
let load: Load;
let ids: Watch | undefined;
let pods: PodWatch | undefined;

beforeAll(async () => {
  namespace = await Namespace.create('operator-faults');
  cluster = new MinikvCluster(namespace, 'demo');
  await installOperator(namespace);
  await mayReadNodes();
  operator = await FaultyOperator.prepare(namespace);
});

afterAll(async () => {
  pods?.close();
  ids?.close();
  await kubectl(['delete', 'clusterrole,clusterrolebinding', namespace.name, '--ignore-not-found']);
  await namespace.close();
});

/** What the chart gives with `rights.nodes`, under a name that is this story's alone. */
async function mayReadNodes(): Promise<void> {
  const { name } = namespace;
  await kubectl(['create', 'clusterrole', name, '--verb=get', '--resource=nodes']);
  const account = `--serviceaccount=${name}:minikv-operator`;
  await kubectl(['create', 'clusterrolebinding', name, `--clusterrole=${name}`, account]);
}

/** Everything that was planned has happened; what did, in that order. */
async function untilMet(faults: readonly Fault[]): Promise<readonly Met[]> {
  let met: readonly Met[] = [];
  const names = (): string => met.map(({ point }) => point).join(', ');
  try {
    await namespace.waitFor('every planned fault', DONE_MS, async () => {
      met = await operator.met();
      return met.length === faults.length;
    });
  } catch (cause) {
    throw new Error(`of ${faults.length} faults only these happened: ${names()}`, { cause });
  }
  return met;
}

/** A StatefulSet as it is read and written back. */
interface StatefulSet {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

const roleSet = (role: string): Promise<StatefulSet> =>
  namespace.get<StatefulSet>('statefulset', `demo-${role}`);

test('a cluster is made, once', async () => {
  const faults: readonly Fault[] = [
    { point: 'identity.minted' },
    { point: 'identity.written' },
    { point: 'apply.each', nth: 4 },
    { point: 'claim.owner-set' },
    { point: 'status.before' },
    { point: 'status.done' },
    { point: 'bootstrap.before' },
    { point: 'bootstrap.partial' },
    { point: 'bootstrap.before-latch' },
    { point: 'zone.sent' },
  ];
  await operator.plan(faults);
  await namespace.apply(
    clusterObject('demo', { deletionPolicy: 'Delete', volumes: { failureDomain: 'Zone' } }),
  );
  ids = await watch(namespace, { kind: 'mkv', line: '{.object.status.clusterID}' });
  await untilMet(faults);
  await cluster.runs(DONE_MS);
  await cluster.condition('Ready', DONE_MS);
  const { uid } = (await cluster.get()).metadata;
  const claims = await namespace.list<V1PersistentVolumeClaim>('pvc', LABELS);
  expect(claims).toHaveLength(PODS.length);
  for (const { metadata } of claims) {
    expect(metadata?.ownerReferences).toEqual([expect.objectContaining({ uid })]);
  }
  const { members } = await cluster.view();
  expect(members.map(({ nodeId }) => nodeId).toSorted()).toEqual([1, 2, 3]);
});

test('every pod takes a new template, one at a time, whoever was about to replace it', async () => {
  load = await Load.start(namespace, 'demo');
  pods = await PodWatch.start(namespace, 'demo');
  await load.mark('roll');
  const faults: readonly Fault[] = [
    { point: 'evict.before', signal: 'SIGSTOP' },
    { point: 'evict.before' },
    { point: 'evict.done' },
    { point: 'transfer.before', signal: 'SIGSTOP' },
    { point: 'transfer.before' },
    { point: 'transfer.done' },
  ];
  await operator.plan(faults);
  const podTemplate = { metadata: { annotations: { story: 'another' } } };
  await cluster.change({ coordinators: { podTemplate }, volumes: { podTemplate } });
  for (const step of ['evict', 'transfer']) {
    await untilHappened(`${step}.done`);
    await wakeTheLate(`${step}.before`);
  }
  await cluster.runs(DONE_MS);
  await load.mark('rolled');
  expect(await untilMet(faults)).toHaveLength(faults.length);
  expect(load.history.failedIn('roll')).toEqual([]);
  expect(load.history.gapMsIn('roll')).toBeLessThan(PAUSE_MS_MAX);
  expect(pods.removed.toSorted()).toEqual(PODS);
  expect(pods.removed.slice(0, 3)).toEqual(['demo-volume-2', 'demo-volume-1', 'demo-volume-0']);
  expect(pods.worst).toHaveLength(1);
});

async function untilHappened(point: string): Promise<void> {
  await namespace.waitFor(`an end at ${point}`, DONE_MS, async () => {
    return (await operator.met()).some((met) => met.point === point);
  });
}

/** One that stood still while another did its work goes on, meets a refusal, and ends. */
async function wakeTheLate(point: string): Promise<void> {
  const late = (await operator.met()).find(
    (met) => met.point === point && met.signal === 'SIGSTOP',
  );
  if (late === undefined) throw new Error(`nobody stood still at ${point}`);
  expect(await operator.isAlive(late)).toBe(true);
  await operator.wake(late);
  await namespace.waitFor('the late operator to end', LATE_MS, async () => {
    return !(await operator.isAlive(late));
  });
}

test('a pod of a bad image is mended', async () => {
  pods?.forget();
  const { image } = (await cluster.get()).spec;
  await cluster.change({ image: BAD_IMAGE });
  await namespace.waitFor('a broken pod to be reported', BROKEN_MS, async () => {
    return (await cluster.said('Degraded')) === 'True BrokenPod';
  });
  const faults: readonly Fault[] = [{ point: 'broken.before-delete' }, { point: 'broken.deleted' }];
  await operator.plan(faults);
  await cluster.change({ image });
  await untilMet(faults);
  await cluster.runs(DONE_MS);
  expect(pods?.removed).toEqual(['demo-volume-2', 'demo-volume-2']);
  expect(pods?.worst).toHaveLength(1);
});

test('a StatefulSet that somebody made otherwise is made anew, and its pods stay', async () => {
  pods?.forget();
  await cluster.change({ maintenance: { suspended: true } });
  await cluster.condition('Suspended');
  const { metadata, spec, apiVersion, kind } = await roleSet('volume');
  await namespace.kubectl(['delete', 'statefulset', 'demo-volume', '--cascade=orphan']);
  const { name, labels, annotations, ownerReferences } = metadata;
  await namespace.apply({
    apiVersion,
    kind,
    metadata: { name, labels, annotations, ownerReferences },
    spec: { ...spec, podManagementPolicy: 'OrderedReady' },
  });
  const faults: readonly Fault[] = [{ point: 'recreate.orphaned' }];
  await operator.plan(faults);
  await cluster.change({ maintenance: { suspended: false } });
  await untilMet(faults);
  await cluster.runs(DONE_MS);
  expect((await roleSet('volume')).spec['podManagementPolicy']).toBe('Parallel');
  expect(pods?.removed).toEqual([]);
  expect(pods?.away).toEqual([]);
});

test('nothing acknowledged is lost, and what was read has an order', async () => {
  await load.stop();
  expect(load.history.violations).toEqual([]);
  expect(load.history.writes).toBeGreaterThan(100);
});

test('one id, ever', () => {
  const seen = new Set(ids?.lines.filter((line) => line !== ''));
  expect([...seen]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
});
