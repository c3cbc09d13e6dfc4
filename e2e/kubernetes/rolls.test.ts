/**
 * Changes of a living cluster under clients: an image, a setting, more volumes. Pods go one by one,
 * and a client that asks once more misses nothing.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MINIKV_IMAGE, NEXT_IMAGE } from './harness/image.ts';
import { Load } from './harness/load.ts';
import {
  clusterObject,
  installOperator,
  isReady,
  MinikvCluster,
  READY_MS,
} from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { PodWatch } from './harness/pod-watch.ts';

const PAUSE_MS_MAX = 2_000;
const ROLL_MS = 240_000;
const SCALE_MS = 90_000;
const HOLD_MS = 30_000;

const anImage = NEXT_IMAGE === undefined ? test.skip : test;

let namespace: Namespace;
let cluster: MinikvCluster;
let load: Load;
let pods: PodWatch;

beforeAll(async () => {
  namespace = await Namespace.create('rolls');
  cluster = new MinikvCluster(namespace, 'demo');
  await installOperator(namespace);
  await namespace.apply(clusterObject('demo'));
  await cluster.condition('Ready', READY_MS);
  load = await Load.start(namespace, 'demo');
  pods = await PodWatch.start(namespace, 'demo');
});

afterAll(async () => {
  pods.close();
  await namespace.close();
});

/** Changes the cluster and waits until every pod is of the new kind. */
async function roll(phase: string, spec: object): Promise<void> {
  await load.mark(phase);
  pods.forget();
  await cluster.change(spec);
  await namespace.waitFor(`the end of the roll: ${phase}`, ROLL_MS, async () => {
    const { metadata, status } = await cluster.get();
    const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
    return (
      status?.observedGeneration === metadata.generation &&
      status.coordinators?.updated === 3 &&
      status.volumes?.updated === 3 &&
      progressing?.reason === 'Settled'
    );
  });
  await cluster.settled(3, 3, SCALE_MS);
  await load.mark(`${phase} ended`);
}

/** All pods, one at a time: volumes from the last to the first, followers, the leader. */
async function expectRoll(phase: string, leader: string): Promise<void> {
  const { removed } = pods;
  expect(removed.slice(0, 3)).toEqual(['demo-volume-2', 'demo-volume-1', 'demo-volume-0']);
  expect(new Set(removed).size).toBe(6);
  expect(removed).toHaveLength(6);
  expect(removed.at(-1)).toBe(leader);
  expect(pods.worst).toHaveLength(1);
  expect(load.history.failedIn(phase)).toEqual([]);
  expect(load.history.gapMsIn(phase)).toBeLessThan(PAUSE_MS_MAX);
  expect((await cluster.view()).leader.name).not.toBe(leader);
}

anImage('a new image rolls all six, and no request that is tried twice fails', async () => {
  const leader = (await cluster.view()).leader.name;
  await roll('image', { image: NEXT_IMAGE });
  await expectRoll('image', leader);
  const running = [...(await cluster.pods('coordinator')), ...(await cluster.pods('volume'))];
  const images = running.map(({ spec }) => spec?.containers[0]?.image);
  expect(images).toEqual(Array.from({ length: 6 }, () => NEXT_IMAGE));
});

test('a new setting rolls all six in the same way', async () => {
  const leader = (await cluster.view()).leader.name;
  const resources = { requests: { cpu: '90m' } };
  await roll('setting', { coordinators: { resources }, volumes: { resources } });
  await expectRoll('setting', leader);
});

test('three volumes become five, and no pod is touched', async () => {
  pods.forget();
  await load.mark('more');
  await cluster.change({ volumes: { replicas: 5 } });
  await cluster.settled(3, 5, SCALE_MS);
  await cluster.condition('Ready');
  await load.mark('more ended');
  expect(pods.removed).toEqual([]);
  expect(load.history.failedIn('more')).toEqual([]);
  const { volumes: five } = await cluster.view();
  expect(new Set(five.map(({ disk }) => disk)).size).toBe(5);
});

test('five volumes stay five when three are asked for', async () => {
  await cluster.change({ volumes: { replicas: 3 } });
  await cluster.condition('ChangeHeld', HOLD_MS);
  const held = (await cluster.get()).status?.conditions?.find(({ type }) => type === 'ChangeHeld');
  expect(held).toMatchObject({ reason: 'VolumeScaleIn', message: expect.stringContaining('5') });
  expect(await cluster.pods('volume')).toHaveLength(5);
});

anImage('an image still rolls while that is held', async () => {
  pods.forget();
  await cluster.change({ image: MINIKV_IMAGE });
  await namespace.waitFor('the first pod with the other image', ROLL_MS, async () => {
    const [last] = (await cluster.pods('volume')).filter(
      ({ metadata }) => metadata?.name === 'demo-volume-4',
    );
    return last?.spec?.containers[0]?.image === MINIKV_IMAGE && isReady(last);
  });
  expect(await cluster.pods('volume')).toHaveLength(5);
});

test('nothing acknowledged is lost, and what was read has an order', async () => {
  await load.stop();
  expect(load.history.violations).toEqual([]);
  expect(load.history.writes).toBeGreaterThan(100);
});
