/**
 * A cluster from plain manifests, without helm. The operator of install.yaml runs the clusters of all
 * namespaces, so this story wants none but its own.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { kubectl, kubectlGet } from './harness/kubectl.ts';
import { type ClusterObject, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { roundTrip, WHOLE } from './harness/round-trip.ts';

const HOME = 'minikv-system';
const DELETE_MS = 90_000;

let namespace: Namespace;
let cluster: MinikvCluster;

beforeAll(async () => {
  const homes = await kubectl(['get', 'namespace', HOME, '--ignore-not-found']);
  expect(homes).toBe('');
  const { items } = await kubectlGet<{ items: readonly ClusterObject[] }>(['mkv', '-A']).catch(
    () => ({ items: [] }),
  );
  expect(items.map(({ metadata }) => metadata.name)).toEqual([]);
  namespace = await Namespace.create('install-manifest');
  cluster = new MinikvCluster(namespace, 'demo');
});

afterAll(async () => {
  await namespace.close();
  // The CustomResourceDefinition stays: deleting it deletes every cluster there is.
  const labels = ['--selector', 'app.kubernetes.io/instance=minikv-operator'];
  await kubectl(['delete', 'clusterrole,clusterrolebinding', ...labels]);
  await kubectl(['delete', 'namespace', HOME], { timeoutMs: DELETE_MS });
});

test('two files give a Ready cluster within a minute', async () => {
  const startMs = performance.now();
  await kubectl(['apply', '-f', 'install.yaml']);
  await namespace.kubectl(['apply', '-f', 'minikv-cluster.yaml']);
  await cluster.condition('Ready', READY_MS);
  expect(performance.now() - startMs).toBeLessThan(READY_MS);
  expect(await roundTrip(await namespace.forward('service/demo', 5_000), 1_000)).toEqual(WHOLE);
});
