/** A cluster from nothing: the operator by its chart, the cluster by one file, and what is then seen. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { clusterObject, installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';

let namespace: Namespace;
let cluster: MinikvCluster;

beforeAll(async () => {
  namespace = await Namespace.create('install');
  cluster = new MinikvCluster(namespace, 'demo');
  await installOperator(namespace);
});

afterAll(async () => {
  await namespace.close();
});

test('is Ready within a minute, and kubectl shows how it is', async () => {
  await namespace.apply(clusterObject('demo'));
  await cluster.condition('Ready', READY_MS);
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
    expect.any(String),
  ]);
});
