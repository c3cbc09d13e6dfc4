/**
 * Pods that go while clients write and read: one, the leader's, all of them. The clients retry once
 * and keep all that they saw, so nothing that was acknowledged can be lost unnoticed.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Load } from './harness/load.ts';
import { clusterObject, installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { type Watch, watch } from './harness/watch.ts';

const PAUSE_MS_MAX = 2_000;
const SETTLE_MS = 90_000;
const HAND_OVER_MS = 30_000;
const LEADER_ROUNDS = [1, 2, 3];
const conditionOf = (type: string, field: 'status' | 'reason'): string =>
  `${type}={.object.status.conditions[?(@.type=="${type}")].${field}}`;
/** The first is there to be read in a failure. */
const CONDITIONS = [
  conditionOf('Available', 'reason'),
  conditionOf('Ready', 'status'),
  conditionOf('QuorumHealthy', 'status'),
];

let namespace: Namespace;
let cluster: MinikvCluster;
let load: Load;
let changes: Watch;
const deleted = new Set<string>();

beforeAll(async () => {
  namespace = await Namespace.create('disruption');
  cluster = new MinikvCluster(namespace, 'demo');
  await installOperator(namespace);
  await namespace.apply(clusterObject('demo'));
  await cluster.condition('Ready', READY_MS);
  load = await Load.start(namespace, 'demo');
  changes = await watch(namespace, { kind: 'mkv', line: CONDITIONS.join(' ') });
});

afterAll(async () => {
  changes.close();
  await namespace.close();
});

const nameOf = ({ metadata }: { metadata?: { name?: string } }): string => metadata?.name ?? '';

const pods = async (): Promise<readonly string[]> =>
  [...(await cluster.pods('volume')), ...(await cluster.pods('coordinator'))].map(nameOf);

/** Deletes pods at once and resolves when the cluster is whole again. */
async function remove(...names: readonly string[]): Promise<void> {
  await namespace.kubectl(['delete', 'pod', ...names, '--wait=false']);
  await cluster.settled(3, 3, SETTLE_MS);
  for (const name of names) deleted.add(name);
}

test.each(LEADER_ROUNDS)('the pod of the leader goes, time %i', async (round) => {
  const before = await cluster.view();
  await load.mark(`leader-${round}`);
  await remove(before.leader.name);
  await load.mark(`leader-${round}-gone`);
  const after = await cluster.view();
  expect(after.leader.name).not.toBe(before.leader.name);
  await namespace.waitFor('the new leader in status', HAND_OVER_MS, async () => {
    return (await cluster.get()).status?.leader === after.leader.name;
  });
  expect(load.history.gapMsIn(`leader-${round}`)).toBeLessThan(PAUSE_MS_MAX);
  expect(load.history.failedIn(`leader-${round}`)).toEqual([]);
});

test('every other pod goes once', async () => {
  for (const name of await pods()) {
    if (deleted.has(name)) continue;
    await load.mark(name);
    await remove(name);
    await load.mark(`${name}-gone`);
    const pause = load.history.gapMsIn(name);
    expect({ name, pause, isShort: pause < PAUSE_MS_MAX }).toMatchObject({ isShort: true });
    expect(load.history.failedIn(name)).toEqual([]);
  }
  expect(deleted.size).toBe(6);
  expect(changes.lines.filter((line) => !line.includes('Ready=True'))).toEqual([]);
});

test('all six go at once, and come back as the same cluster', async () => {
  const before = await cluster.identities();
  const seen = changes.lines.length;
  await load.mark('all');
  await remove(...(await pods()));
  await cluster.condition('QuorumHealthy', HAND_OVER_MS);
  await load.mark('all-gone');
  expect(await cluster.identities()).toEqual(before);
  const quorum = changes.lines.slice(seen).map((line) => line.split('QuorumHealthy=')[1]);
  expect(quorum).toContain('False');
  expect(quorum.at(-1)).toBe('True');
});

test('nothing acknowledged is lost, and what was read has an order', async () => {
  await load.stop();
  expect(load.history.violations).toEqual([]);
  expect(load.history.writes).toBeGreaterThan(100);
});
