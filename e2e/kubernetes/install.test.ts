/** A cluster from nothing by two charts: what is then seen, and that clients within and without are served. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CLUSTER_CHART, OPERATOR_CHART } from '../charts/render.ts';
import { MINIKV_IMAGE } from './harness/image.ts';
import { helm } from './harness/kubectl.ts';
import { MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { probePod } from './harness/probe-pod.ts';
import { roundTrip, roundTripInPod, WHOLE } from './harness/round-trip.ts';

const LARGE = 100 * 1_024 * 1_024;
const TEST_MS = 120_000;

let namespace: Namespace;
let cluster: MinikvCluster;
let home: readonly string[];

beforeAll(async () => {
  namespace = await Namespace.create('install');
  home = ['--namespace', namespace.name];
  cluster = new MinikvCluster(namespace, 'demo');
});

afterAll(async () => {
  await namespace.close();
});

test('is Ready within a minute', async () => {
  const startMs = performance.now();
  const narrow = [`watchNamespaces={${namespace.name}}`, 'rights.users=false'];
  const values = narrow.flatMap((value) => ['--set', value]);
  // The kind may have come with another story, by plain kubectl; from then on it is this release's.
  const args = [
    'minikv-operator',
    OPERATOR_CHART,
    ...home,
    ...values,
    '--take-ownership',
    '--force-conflicts',
  ];
  await helm(['install', ...args]);
  await helm(['install', 'demo', CLUSTER_CHART, ...home, '--set', `image=${MINIKV_IMAGE}`]);
  await cluster.condition('Ready', READY_MS);
  expect(performance.now() - startMs).toBeLessThan(READY_MS);
});

test('kubectl shows how it is', async () => {
  const [head = '', row = ''] = (await namespace.kubectl(['get', 'mkv'])).split('\n');
  expect(head.trim().split(/\s+/)).toEqual([
    'NAME',
    'READY',
    'PHASE',
    'COORDINATORS',
    'VOLUMES',
    'LEADER',
    'VERSION',
    'AGE',
  ]);
  expect(row.trim().split(/\s+/)).toEqual([
    'demo',
    'True',
    'Running',
    '3/3',
    '3/3',
    expect.stringMatching(/^demo-coordinator-[012]$/),
    expect.stringMatching(/^\d+\.\d+\.\d+/),
    expect.stringMatching(/^\d+[sm]/),
  ]);
});

test.each(['minikv-operator', 'demo'])('helm test of %s succeeds', async (release) => {
  const said = await helm(['test', release, ...home], { timeoutMs: TEST_MS });
  expect(said).toMatch(/Phase:\s+Succeeded/);
});

test.each([1_000, LARGE])('a pod writes and reads %d bytes by the Service', async (size) => {
  await namespace.apply(probePod('client'));
  await namespace.condition('pod/client', 'Ready', READY_MS);
  expect(await roundTripInPod(namespace, 'client', 'http://demo:5000', size)).toEqual(WHOLE);
});

test.each([1_000, LARGE])('port-forward writes and reads %d bytes', async (size) => {
  const url = await namespace.forward('service/demo', 5_000);
  expect(await roundTrip(url, size)).toEqual(WHOLE);
});
