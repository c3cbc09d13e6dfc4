/**
 * Whoever takes an object of a cluster away gets it back, and no pod notices. A suspended cluster is left
 * alone. Settings that can be reloaded take effect in the pods that run.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubernetesObject, V1Pod } from '@kubernetes/client-node';
import { installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { isSettled } from './harness/settled.ts';
import { smallCluster } from './harness/small-cluster.ts';

const NAME = 'heal';
const BACK_MS = 20_000;
const SETTLE_MS = 60_000;
/** Far longer than a deleted object takes to come back. */
const AWAY_MS = 10_000;
/** The kubelet brings a ConfigMap to a pod within a minute or so, and the process reads it in 5 s. */
const RELOAD_MS = 120_000;

let namespace: Namespace;
let cluster: MinikvCluster;
let url: URL;
let pods: readonly string[];

beforeAll(async () => {
  namespace = await Namespace.create('heal');
  cluster = new MinikvCluster(namespace, NAME);
  await installOperator(namespace);
  await namespace.apply(smallCluster(NAME));
  await cluster.condition('Ready', 2 * READY_MS);
  await settled();
  url = new URL('/kv/kept', await namespace.forward(`service/${NAME}`, 5_000));
  expect((await put('kept')).status).toBe(201);
  pods = await runningPods();
});

afterEach(async () => {
  await settled();
  expect(await runningPods()).toEqual(pods);
  expect(await (await fetch(url)).text()).toBe('kept');
});

afterAll(async () => {
  await namespace.close();
});

const put = (body: string): Promise<Response> => fetch(url, { method: 'PUT', body });

const settled = (): Promise<void> =>
  namespace.waitFor(`${NAME} to be settled`, SETTLE_MS, () => isSettled(cluster));

/** Each pod with what changes when it is made or started anew. */
async function runningPods(): Promise<readonly string[]> {
  const found = [...(await cluster.pods('coordinator')), ...(await cluster.pods('volume'))];
  return found.map(({ metadata, status }: V1Pod) => {
    const restarts = status?.containerStatuses?.map(({ restartCount }) => restartCount) ?? [];
    return `${metadata?.name ?? ''} ${metadata?.uid ?? ''} ${restarts.join(' ')}`;
  });
}

/** null: it is not there, or goes. */
async function uidOf(kind: string, name: string): Promise<string | null> {
  const all = await namespace.list<KubernetesObject>(kind);
  const found = all.find(({ metadata }) => metadata?.name === name)?.metadata;
  return found?.deletionTimestamp === undefined ? (found?.uid ?? null) : null;
}

async function isBack(kind: string, name: string, oldUid: string | null): Promise<void> {
  await namespace.waitFor(`${kind} ${name} to be back`, BACK_MS, async () => {
    const uid = await uidOf(kind, name);
    return uid !== null && uid !== oldUid;
  });
}

describe('a deleted object comes back, and every pod runs on:', () => {
  test.each([
    ['serviceaccount', 'heal-coordinator'],
    ['serviceaccount', 'heal-volume'],
    ['configmap', 'heal-config'],
    ['service', 'heal'],
    ['service', 'heal-coordinator'],
    ['service', 'heal-volume'],
    ['poddisruptionbudget', 'heal-coordinator'],
    ['poddisruptionbudget', 'heal-volume'],
    ['networkpolicy', 'heal-coordinator'],
    ['networkpolicy', 'heal-volume'],
    ['statefulset', 'heal-coordinator'],
    ['statefulset', 'heal-volume'],
  ])('%s %s', async (kind, name) => {
    const uid = await uidOf(kind, name);
    expect(uid).not.toBeNull();
    // Orphan keeps the pods of a StatefulSet, and says nothing to the other kinds. kubectl itself does
    // not wait: it would at times wait for an object that is back already.
    await namespace.kubectl(['delete', kind, name, '--cascade=orphan', '--wait=false']);
    await isBack(kind, name, uid);
  });

  test('and the pods belong to the new StatefulSets', async () => {
    for (const role of ['coordinator', 'volume'] as const) {
      const uid = await uidOf('statefulset', `heal-${role}`);
      await namespace.waitFor(`the ${role} to be adopted`, BACK_MS, async () => {
        const owners = (await cluster.pods(role)).flatMap((pod) => pod.metadata?.ownerReferences);
        return owners.every((owner) => owner?.uid === uid);
      });
    }
  });

  test('and an event tells of it', async () => {
    const events = await namespace.list<{ reason?: string; note?: string }>('events.events.k8s.io');
    const notes = events.filter(({ reason }) => reason === 'ObjectRecreated');
    expect(notes.map(({ note }) => note)).toContain(
      'ServiceAccount/heal-coordinator was gone and is back',
    );
  });
});

test('an object that somebody has changed is put right', async () => {
  const ports = JSON.stringify({ spec: { ports: [{ name: 'http', port: 5_000, targetPort: 1 }] } });
  await namespace.kubectl(['patch', 'service', NAME, '--type=merge', '-p', ports]);
  await namespace.waitFor('the Service to be as it was', BACK_MS, async () => {
    const { spec } = await namespace.get<{ spec: { ports: { targetPort: unknown }[] } }>(
      'service',
      NAME,
    );
    return spec.ports[0]?.targetPort !== 1;
  });
});

describe('suspended', () => {
  const annotation = { 'example.com/tried': 'while-suspended' };
  const isAnnotated = async (): Promise<boolean> => {
    const { metadata } = await namespace.get<KubernetesObject>('service', NAME);
    return metadata?.annotations?.['example.com/tried'] === 'while-suspended';
  };

  test('a cluster is left as it is, until it is resumed', async () => {
    await cluster.change({ maintenance: { suspended: true } });
    await cluster.condition('Suspended');
    expect((await cluster.get()).status?.phase).toBe('Suspended');
    const uid = await uidOf('configmap', 'heal-config');
    await namespace.kubectl(['delete', 'configmap', 'heal-config']);
    await cluster.change({ service: { annotations: annotation } });
    const endMs = performance.now() + AWAY_MS;
    while (performance.now() < endMs) {
      expect(await uidOf('configmap', 'heal-config')).toBeNull();
      expect(await isAnnotated()).toBe(false);
    }
    await cluster.change({ maintenance: { suspended: false } });
    await isBack('configmap', 'heal-config', uid);
    await namespace.waitFor('the change of meanwhile', BACK_MS, isAnnotated);
  });
});

describe('settings that are reloaded', () => {
  test('take effect within two minutes', async () => {
    const large = 'x'.repeat(2_048);
    const target = new URL('/kv/large', url);
    const tried = async (): Promise<number> =>
      (await fetch(target, { method: 'PUT', body: large })).status;
    expect(await tried()).toBe(201);
    await cluster.change({ config: { maxObject: '1Ki' } });
    await namespace.waitFor('large values to be refused', RELOAD_MS, async () => {
      return (await tried()) === 413;
    });
    expect((await put('kept')).status).toBe(200);
  });
});
