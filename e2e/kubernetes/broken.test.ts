/**
 * Specs that no pod can run, and the right ones after them: a bad image, more than any node has. The
 * harm stops at the first pod, the rest serves on, and nothing but the right spec is needed to mend it.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { get, put, randomValue } from '../harness/kv.ts';
import { MINIKV_IMAGE } from './harness/image.ts';
import { clusterObject, installOperator, MinikvCluster } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { PodWatch } from './harness/pod-watch.ts';

/** From a port of the node itself where nobody listens, so that pulling fails at once. */
const BAD_IMAGE = '127.0.0.1:1/minikv:none';
const BROKEN_MS = 60_000;
/** Six pods, one after the other. */
const MENDED_MS = 180_000;
const PODS = ['coordinator', 'volume'].flatMap((role) =>
  [0, 1, 2].map((ordinal) => `demo-${role}-${ordinal}`),
);
const IMPOSSIBLE = { requests: { cpu: '900' } };

let namespace: Namespace;
let cluster: MinikvCluster;
let clusterID: string | undefined;
let watch: PodWatch | undefined;

beforeAll(async () => {
  namespace = await Namespace.create('broken');
  cluster = new MinikvCluster(namespace, 'demo');
  await installOperator(namespace);
});

afterAll(async () => {
  watch?.close();
  await namespace.close();
});

/** A value goes in and out through the client's Service. */
async function expectService(key: string): Promise<void> {
  const { origin } = await namespace.forward('service/demo', 5000);
  const value = randomValue(100_000);
  expect((await put(origin, key, value)).status).toBe(201);
  expect((await get(origin, key)).body.equals(value)).toBe(true);
}

async function untilBroken(): Promise<void> {
  await namespace.waitFor('a broken pod to be reported', BROKEN_MS, async () => {
    return (await cluster.said('Degraded')) === 'True BrokenPod';
  });
}

test('six pods of a bad image at creation: the right one makes the cluster', async () => {
  await namespace.apply(clusterObject('demo', { image: BAD_IMAGE }));
  await untilBroken();
  await namespace.waitFor('all six to be reported', BROKEN_MS, async () => {
    const { status } = await cluster.get();
    const degraded = status?.conditions?.find(({ type }) => type === 'Degraded');
    return PODS.every((name) => degraded?.message.includes(name) === true);
  });
  ({ clusterID } = (await cluster.get()).status ?? {});
  await cluster.change({ image: MINIKV_IMAGE });
  await cluster.condition('Ready', MENDED_MS);
  await cluster.runs();
  expect((await cluster.get()).status).toMatchObject({ clusterID, origin: 'New' });
});

describe('a cluster that runs', () => {
  beforeAll(async () => {
    watch = await PodWatch.start(namespace, 'demo');
    await expectService('before');
  });

  test('loses one pod to a bad image, serves on, and rolls with the right one', async () => {
    await cluster.change({ image: BAD_IMAGE });
    await untilBroken();
    expect(await cluster.said('RollBlocked')).toBe('True BrokenPod');
    expect(await cluster.said('Available')).toBe('True Serving');
    await expectService('meanwhile');
    expect(watch?.removed).toEqual(['demo-volume-2']);
    // Another setting beside the image: else the pods that still run would be current again.
    await cluster.change({ image: MINIKV_IMAGE, volumes: { fsync: 'interval=50' } });
    await cluster.runs(MENDED_MS);
    // The broken one goes first, then those that work, one at a time.
    const mended = ['demo-volume-2', 'demo-volume-1', 'demo-volume-0'];
    expect(watch?.removed).toEqual(['demo-volume-2', ...mended]);
    expect(watch?.worst).toHaveLength(1);
    expect(await cluster.said('Degraded')).toBe('False AsExpected');
    await expectService('after');
  });

  test('keeps all its pods while one more finds no node, and takes it in when it does', async () => {
    const before = watch?.removed.length;
    await cluster.change({ volumes: { replicas: 4, resources: IMPOSSIBLE } });
    await untilBroken();
    const pod = await namespace.kubectl(['get', 'pod', 'demo-volume-3', '-o', 'wide']);
    expect(pod).toContain('Pending');
    expect(await cluster.said('Available')).toBe('True Serving');
    await cluster.change({ volumes: { resources: null } });
    await cluster.runs(MENDED_MS);
    expect((await cluster.get()).status?.volumes?.ready).toBe(4);
    // No pod that worked was touched: their template is the one that was put back.
    expect(watch?.removed.slice(before)).toEqual(['demo-volume-3']);
    expect(watch?.away).toEqual([]);
  });

  test('loses one volume to a request that no node can meet, and gets it back', async () => {
    const before = watch?.removed.length;
    await cluster.change({ volumes: { resources: IMPOSSIBLE } });
    await untilBroken();
    expect(await cluster.said('Available')).toBe('True Serving');
    await expectService('pending');
    expect(watch?.removed.slice(before)).toEqual(['demo-volume-3']);
    await cluster.change({ volumes: { resources: null } });
    await cluster.runs(MENDED_MS);
    expect(watch?.removed.slice(before)).toEqual(['demo-volume-3', 'demo-volume-3']);
    expect((await cluster.get()).status).toMatchObject({ clusterID, bootstrapped: true });
    expect(watch?.worst).toHaveLength(1);
  });
});
