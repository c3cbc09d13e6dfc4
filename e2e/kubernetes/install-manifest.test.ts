/**
 * A cluster from plain manifests, without helm. The operator of install.yaml runs the clusters of all
 * namespaces, so this story wants none but its own.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { kubectl } from './harness/kubectl.ts';
import { type ClusterObject, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { readAll } from './harness/reader.ts';
import { roundTrip, WHOLE } from './harness/round-trip.ts';

const HOME = 'minikv-system';
const DELETE_MS = 90_000;

let folder: string;
let namespace: Namespace;
let cluster: MinikvCluster;

beforeAll(async () => {
  const homes = await kubectl(['get', 'namespace', HOME, '--ignore-not-found']);
  expect(homes).toBe('');
  const clusters = await readAll<ClusterObject>('mkv').catch(() => []);
  expect(clusters.map(({ metadata }) => metadata.name)).toEqual([]);
  folder = await mkdtemp(join(tmpdir(), 'minikv-install-'));
  namespace = await Namespace.create('install-manifest');
  cluster = new MinikvCluster(namespace, 'demo');
});

afterAll(async () => {
  await rm(folder, { recursive: true });
  await namespace.close();
  // The CustomResourceDefinition stays: deleting it deletes every cluster there is.
  const labels = ['--selector', 'app.kubernetes.io/instance=minikv-operator'];
  await kubectl(['delete', 'clusterrole,clusterrolebinding', ...labels]);
  await kubectl(['delete', 'namespace', HOME], { timeoutMs: DELETE_MS });
});

/** kubectl as a user has it whose context is in the namespace. */
async function inside(args: readonly string[]): Promise<string> {
  const file = join(folder, 'kubeconfig');
  await writeFile(file, await kubectl(['config', 'view', '--raw', '--flatten']));
  const own = ['--kubeconfig', file];
  await kubectl([...own, 'config', 'set-context', '--current', '--namespace', namespace.name]);
  return await kubectl([...own, ...args]);
}

test('two files give a Ready cluster within a minute', async () => {
  const startMs = performance.now();
  const both = ['apply', '-f', 'install.yaml', '-f', 'minikv-cluster.yaml'];
  try {
    await inside(both);
  } catch (error) {
    // kubectl looks every kind up before it applies the first object: that of the cluster is new.
    expect(error).toMatchObject({ message: expect.stringContaining('no matches for kind') });
    await inside(both);
  }
  await cluster.condition('Ready', READY_MS);
  expect(performance.now() - startMs).toBeLessThan(READY_MS);
  expect(await roundTrip(await namespace.forward('service/demo', 5_000), 1_000)).toEqual(WHOLE);
});
