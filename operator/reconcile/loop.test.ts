/**
 * The loop against an API server, controllers, nodes and a store in memory: the stories that it must get
 * through, a crash at each of its steps, and two operators at once.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hookFailpoints, type OperatorFailpoint } from '../../services/common/failpoint.ts';
import { objectLabels } from '../desired/names.ts';
import { fieldOf } from '../kube/json.ts';
import { KINDS } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import { LeaseLostError } from '../kube/lease.ts';
import { stepStatefulSets } from '../kube/testing/fake-stateful-sets.ts';
import { KEY, LoopWorld } from './testing/loop-world.ts';

let world: LoopWorld;

beforeEach(() => {
  world = new LoopWorld();
});
afterEach(() => hookFailpoints(null));

async function running(spec: Readonly<Record<string, unknown>> = {}): Promise<void> {
  world.create(spec);
  await world.until(world.isRunning);
  world.watchesAbsence = true;
}

const SERVICE = { apiVersion: 'v1', kind: 'Service' };
const OURS = objectLabels('demo');
const MONITORING = /^(podmonitors|prometheusrules)$/;
const serverError = (code: number): KubeError =>
  new KubeError({ code, reason: 'InternalError', message: 'more than one PodDisruptionBudget' });
const evicted = (): readonly string[] =>
  world.kube.calls.filter(({ verb }) => verb === 'evict').map(({ name }) => name);

describe('creation', () => {
  test('an image alone becomes a cluster that is ready', async () => {
    await running();
    expect(world.condition('Ready')).toBe('True PodsReady');
    expect(world.status).toMatchObject({
      origin: 'New',
      bootstrapped: true,
      coordinators: { summary: '3/3' },
      volumes: { summary: '3/3' },
      endpoint: 'demo.store.svc:5000',
    });
    expect(world.store.ids.size).toBe(1);
    expect(world.reasons).toEqual(['ClusterIDMinted', 'Bootstrapped']);
    expect(world.store.calls).toHaveLength(3);
  });

  test('the id stands in the status before any StatefulSet is there', async () => {
    world.create();
    await world.operator();
    expect(fieldOf(world.status, 'clusterID')).toMatch(/^[0-9a-f]{32}$/);
    expect(world.kube.all(KINDS.statefulSet)).toEqual([]);
  });

  test("somebody's Service of that name is not taken over", async () => {
    const owner = { apiVersion: 'v1', kind: 'X', name: 'x', uid: 'other', controller: true };
    const metadata = { ...KEY, ownerReferences: [owner] };
    world.kube.put(KINDS.service, { apiVersion: 'v1', kind: 'Service', metadata, spec: {} });
    world.create();
    for (let i = 0; i < 3; i += 1) await world.operator();
    expect(world.condition('Progressing')).toBe('False WaitingForOldObjects');
    expect(world.kube.all(KINDS.statefulSet)).toEqual([]);
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['plain', {}],
    ['of a chart', { ...OURS, 'app.kubernetes.io/managed-by': 'Helm' }],
    ['of another cluster', { ...OURS, 'app.kubernetes.io/instance': 'other' }],
  ])('nor one that nobody controls: %s', async (_what, labels) => {
    const metadata = { ...KEY, labels };
    const put = world.kube.put(KINDS.service, { ...SERVICE, metadata, spec: {} });
    world.create();
    for (let i = 0; i < 3; i += 1) await world.operator();
    expect(world.condition('Progressing')).toBe('False WaitingForOldObjects');
    expect(JSON.stringify(world.status)).toContain('Service/demo (not made for this cluster: ');
    expect(world.kube.read(KINDS.service, KEY)).toEqual(put);
    world.kube.drop(KINDS.service, KEY);
    await world.until(world.isRunning);
  });

  test('nor one that somebody has put in the place of ours, long after the first apply', async () => {
    await running();
    world.kube.drop(KINDS.service, KEY);
    const put = world.kube.put(KINDS.service, { ...SERVICE, metadata: KEY, spec: {} });
    await world.until(() => world.condition('Progressing') === 'False WaitingForOldObjects');
    expect(world.reasons).toContain('WaitingForOldObjects');
    expect(await world.operator()).toBeGreaterThan(5000);
    expect(world.kube.read(KINDS.service, KEY)).toEqual(put);
    world.kube.drop(KINDS.service, KEY);
    await world.until(world.isRunning);
    expect(world.kube.read(KINDS.service, KEY)?.metadata.labels).toMatchObject(OURS);
  });

  test("somebody's PrometheusRule is left alone, and a change rolls all the same", async () => {
    const { apiVersion, kind } = KINDS.prometheusRule;
    const put = world.kube.put(KINDS.prometheusRule, { apiVersion, kind, metadata: KEY, spec: {} });
    await running();
    world.change({ monitoring: { prometheusRule: true }, image: 'minikv:0.2.0' });
    await world.until(() => world.images().size === 1 && world.images().has('minikv:0.2.0'));
    await world.until(() => world.condition('Progressing') === 'False ApplyRejected');
    expect(JSON.stringify(world.status)).toContain('PrometheusRule/demo (not made for this');
    expect(world.kube.read(KINDS.prometheusRule, KEY)).toEqual(put);
    world.kube.drop(KINDS.prometheusRule, KEY);
    await world.until(world.isRunning);
    expect(world.kube.read(KINDS.prometheusRule, KEY)?.metadata.labels).toMatchObject(OURS);
  });

  test('what a deletion has orphaned is taken up again', async () => {
    const metadata = { ...KEY, labels: OURS };
    const { metadata: put } = world.kube.put(KINDS.service, { ...SERVICE, metadata, spec: {} });
    await running();
    const kept = world.kube.read(KINDS.service, KEY)?.metadata;
    expect(kept).toMatchObject({ uid: put.uid, ownerReferences: [{ uid: world.cr.metadata.uid }] });
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['plain', {}],
    ['of a chart', { ...OURS, 'app.kubernetes.io/managed-by': 'Helm' }],
  ])(
    "somebody's NetworkPolicy under the name of ours, which is turned off, is left alone: %s",
    async (_what, labels) => {
      const { apiVersion, kind } = KINDS.networkPolicy;
      const key = { ...KEY, name: 'demo-volume' };
      const metadata = { ...key, labels };
      const put = world.kube.put(KINDS.networkPolicy, { apiVersion, kind, metadata, spec: {} });
      await running({ networkPolicy: { enabled: false } });
      expect(world.kube.read(KINDS.networkPolicy, key)).toEqual(put);
      expect(world.kube.writes.filter(({ verb }) => verb === 'delete')).toEqual([]);
    },
  );

  test('a NetworkPolicy of ours goes when it is turned off', async () => {
    await running();
    world.change({ networkPolicy: { enabled: false } });
    await world.until(world.isRunning);
    expect(world.kube.all(KINDS.networkPolicy)).toEqual([]);
  });
});

test('a cache that lags behind the last status has none of it written again with another time', async () => {
  world.create();
  await world.until(() => fieldOf(world.status, 'conditions') !== undefined);
  const written = (): number =>
    world.kube.writes.filter(({ resource }) => resource === 'minikvclusters/status').length;
  const withoutTimes = (): string =>
    JSON.stringify(world.status).replaceAll(/"lastTransitionTime":"[^"]*"/g, '');
  let changes = 0;
  for (let i = 0; i < 60; i += 1) {
    await world.turn();
    world.laggingCr = world.cr;
    const before = written();
    await world.operator();
    const [first, said] = [written(), withoutTimes()];
    if (first > before) changes += 1;
    await world.clock.advance(1000);
    await world.operator();
    world.laggingCr = null;
    if (written() > first) expect(withoutTimes()).not.toBe(said);
  }
  expect(changes).toBeGreaterThan(0);
  expect(world.isRunning()).toBe(true);
});

test('at rest nothing is written, over fifty looks and by a new operator too', async () => {
  await running();
  for (let i = 0; i < 15; i += 1) {
    await world.turn();
    await world.operator();
  }
  const before = world.kube.writes.length;
  const status = JSON.stringify(world.status);
  for (let i = 0; i < 50; i += 1) {
    await world.turn();
    await world.operator();
  }
  expect(world.kube.writes.slice(before)).toEqual([]);
  // A new process has no memory: it applies everything once, which changes nothing.
  world.operator = world.start(2);
  const versions = (): readonly unknown[] =>
    Object.values(KINDS).flatMap((kind) =>
      world.kube.all(kind).map(({ metadata }) => metadata.resourceVersion),
    );
  const stored = versions();
  await world.operator();
  expect(versions()).toEqual(stored);
  expect(JSON.stringify(world.status)).toBe(status);
});

describe('rolls', () => {
  test('volumes from the highest, followers, and the leader last after handing over', async () => {
    await running();
    const leader = world.store.leader;
    world.change({ image: 'minikv:0.2.0' });
    await world.until(world.isRunning);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
    const names = evicted();
    expect(names.slice(0, 3)).toEqual(['demo-volume-2', 'demo-volume-1', 'demo-volume-0']);
    expect(names.slice(3)).toHaveLength(3);
    expect(names.at(-1)).toBe(leader);
    expect(world.store.calls.filter((one) => one.startsWith('transfer'))).toHaveLength(1);
    expect(world.broken).toEqual([]);
    expect(world.reasons).toEqual(
      expect.arrayContaining(['RollStarted', 'PodEvicted', 'LeaderTransferred', 'RollFinished']),
    );
    const told = world.events.filter(({ reason }) => reason === 'PodEvicted');
    expect(told.map(({ about }) => about)).toEqual(names.map((name) => `Pod/${name}`));
  });

  test('a volume waits while copies are missing', async () => {
    await running();
    world.store.underReplicated = 4;
    world.change({ image: 'minikv:0.2.0' });
    await world.until(() => world.condition('RollBlocked') === 'True UnderReplicated');
    expect(evicted()).toEqual([]);
    world.store.underReplicated = 0;
    await world.until(world.isRunning);
  });

  test('a bad image takes one pod; the right one mends it first', async () => {
    await running();
    world.nodes.missingImages.add('bad');
    world.change({ image: 'bad' });
    await world.until(() => world.condition('Degraded') === 'True BrokenPod');
    for (let i = 0; i < 30; i += 1) {
      await world.turn();
      await world.operator();
    }
    expect(evicted()).toEqual(['demo-volume-2']);
    expect(world.condition('Available')).toBe('True Serving');
    world.change({ image: 'minikv:0.2.0' });
    await world.until(world.isRunning);
    expect(world.reasons).toContain('BrokenPodDeleted');
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
    expect(world.broken).toEqual([]);
  });

  test('a bad image of the first hour', async () => {
    world.nodes.missingImages.add('bad');
    world.create({ image: 'bad' });
    await world.until(() => world.condition('Degraded') === 'True BrokenPod');
    world.change({ image: 'minikv:0.1.0' });
    await world.until(world.isRunning);
    expect(world.store.ids.size).toBe(1);
  });

  test('three refused transfers: SIGTERM hands over instead', async () => {
    await running();
    world.store.transferRefusals = 9;
    world.change({ image: 'minikv:0.2.0' });
    await world.until(world.isRunning);
    expect(world.store.calls.filter((one) => one.startsWith('transfer'))).toHaveLength(3);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
  });

  test.each<[string, () => Promise<undefined>]>([
    ['an error', async () => Promise.reject(serverError(500))],
    ['a cut connection', async () => Promise.reject(serverError(0))],
  ])('an eviction that ended in %s and had no effect is made once more', async (_what, fail) => {
    await running();
    let failures = 0;
    world.kube.intercept = ({ verb }) => {
      if (verb !== 'evict' || failures > 0) return undefined;
      failures += 1;
      return fail();
    };
    world.change({ image: 'minikv:0.2.0' });
    await world.until(() => failures > 0);
    const startMs = world.clock.wallMs();
    await world.until(() => evicted().length > 1);
    expect(world.reasons).toContain('EvictionFailed');
    // Not at once: it may have an effect that the cache does not show yet.
    expect(world.clock.wallMs() - startMs).toBeGreaterThanOrEqual(26_000);
    expect(new Set(evicted())).toEqual(new Set(['demo-volume-2']));
    await world.until(() => world.isRunning() && world.images().has('minikv:0.2.0'));
    expect(world.broken).toEqual([]);
  });

  test('leadership that came back before the next look is moved once more', async () => {
    await running();
    const { leader } = world.store;
    world.change({ image: 'minikv:0.2.0' });
    let isBack = false;
    await world.until(() => {
      if (world.store.leader !== leader && !isBack) {
        isBack = true;
        world.store.leader = leader;
      }
      return isBack;
    });
    await world.until(() => world.isRunning() && world.images().size === 1);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
    expect(world.broken).toEqual([]);
  });

  test('a setting of the reload class restarts nothing', async () => {
    await running();
    world.change({ config: { logLevel: 'debug' } });
    await world.until(world.isRunning);
    expect(evicted()).toEqual([]);
    const map = world.kube.read(KINDS.configMap, { ...KEY, name: 'demo-config' });
    expect(JSON.stringify(map)).toContain('debug');
  });
});

describe('sizes and policies', () => {
  test('more volumes are added, fewer are held, and an image still rolls', async () => {
    await running();
    world.watchesAbsence = false;
    world.change({ volumes: { replicas: 5 } });
    await world.until(() => world.isRunning() && world.pods().length === 8);
    expect(world.reasons).toContain('ScaledOut');
    world.change({ volumes: { replicas: 3 }, image: 'minikv:0.2.0' });
    await world.until(() => world.isRunning() && world.images().has('minikv:0.2.0'));
    expect(world.condition('ChangeHeld')).toBe('True VolumeScaleIn');
    expect(world.pods()).toHaveLength(8);
    expect(evicted()[0]).toBe('demo-volume-4');
  });

  test('claims follow the deletion policy', async () => {
    await running({ deletionPolicy: 'Delete' });
    const owners = (): readonly number[] =>
      world.kube.all(KINDS.claim).map(({ metadata }) => metadata.ownerReferences?.length ?? 0);
    expect(owners()).toEqual([1, 1, 1, 1, 1, 1]);
    world.change({ deletionPolicy: 'Retain' });
    await world.until(world.isRunning);
    expect(owners()).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test.each([
    ['delete', 'its deletion'],
    ['get', 'the look at it'],
  ])('a PodMonitor that was turned off goes, though %s fails once (%s)', async (failing) => {
    await running({ monitoring: { podMonitor: true } });
    expect(world.kube.all(KINDS.podMonitor)).toHaveLength(2);
    let failures = 0;
    world.kube.intercept = ({ verb, resource }) => {
      if (verb !== failing || resource !== 'podmonitors' || failures > 0) return undefined;
      failures += 1;
      return Promise.reject(serverError(500));
    };
    world.change({ monitoring: { podMonitor: false } });
    await world.until(() => failures > 0);
    await world.until(() => world.kube.all(KINDS.podMonitor).length === 0);
    await world.until(world.isRunning);
    await world.operator();
    const calls = world.kube.calls.length;
    await world.operator();
    const later = world.kube.calls.slice(calls).map(({ resource }) => resource);
    expect(later).not.toContain('podmonitors');
  });

  test('without the right to the kinds of monitoring a cluster comes to be all the same', async () => {
    world.kube.intercept = ({ resource }) => {
      if (!MONITORING.test(resource)) return undefined;
      throw new KubeError({ code: 403, reason: 'Forbidden', message: 'no right' });
    };
    await running();
    world.change({ monitoring: { podMonitor: true } });
    await world.until(() => world.condition('Progressing') === 'False ApplyRejected');
    expect(JSON.stringify(world.status)).toContain('no right');
  });

  test('where there are no kinds of monitoring none of their objects is asked for', async () => {
    world.kube.served.delete(KINDS.podMonitor);
    world.kube.served.delete(KINDS.prometheusRule);
    await running();
    world.change({ monitoring: { podMonitor: true, prometheusRule: true } });
    await world.until(world.isRunning);
    expect(world.kube.calls.filter(({ resource }) => MONITORING.test(resource))).toEqual([]);
  });

  test('suspended: a change waits', async () => {
    await running();
    world.change({ maintenance: { suspended: true }, image: 'minikv:0.2.0' });
    await world.until(() => fieldOf(world.status, 'phase') === 'Suspended');
    for (let i = 0; i < 10; i += 1) {
      await world.turn();
      await world.operator();
    }
    expect(world.images()).toEqual(new Set(['minikv:0.1.0']));
    expect(evicted()).toEqual([]);
    world.change({ maintenance: { suspended: false } });
    await world.until(world.isRunning);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
  });

  test('zones of nodes are told to the store', async () => {
    await running({ volumes: { failureDomain: 'Zone' } });
    await world.until(() => world.store.calls.filter((one) => one.startsWith('zone')).length === 3);
    expect(world.store.calls).toContain('zone demo-volume-1 zone-b');
  });

  test('made anew over kept claims: the same cluster, never formed again', async () => {
    await running();
    const { clusterID } = world.status as { clusterID: string };
    world.watchesAbsence = false;
    world.kube.drop(KINDS.cluster, KEY);
    for (let i = 0; i < 5; i += 1) await world.turn();
    expect(world.kube.all(KINDS.claim)).toHaveLength(6);
    world.create();
    await world.until(world.isRunning);
    expect(world.status).toMatchObject({ clusterID, origin: 'Adopted', bootstrapped: true });
    expect(world.store.calls).toHaveLength(3);
    expect(world.reasons).toContain('ClusterAdopted');
  });

  test('a deleted object comes back', async () => {
    await running();
    world.kube.drop(KINDS.service, KEY);
    await world.until(() => world.kube.read(KINDS.service, KEY) !== null);
    expect(world.reasons).toContain('ObjectRecreated');
  });

  test('a field that cannot change: the StatefulSet is made anew around its pods', async () => {
    await running();
    const pods = world.pods().map(({ metadata }) => metadata.uid);
    world.change({ volumes: { storage: { size: '20Gi' } } });
    await world.until(() => world.reasons.includes('StatefulSetRecreated'));
    await world.until(world.isRunning);
    expect(world.pods().map(({ metadata }) => metadata.uid)).toEqual(pods);
  });
});

/** The operator ends at the `count`th time it comes to `name`; another one goes on. */
function crashAt(name: OperatorFailpoint, count = 1): () => boolean {
  let met = 0;
  hookFailpoints((at) => {
    if (at !== name) return;
    met += 1;
    if (met !== count) return;
    world.operator = world.start(2);
    throw new Error(`ended at ${name}`);
  });
  return () => met >= count;
}

describe('a crash at', () => {
  test.each<[OperatorFailpoint, number]>([
    ['identity.minted', 1],
    ['identity.written', 1],
    ['apply.each', 1],
    ['apply.each', 9],
    ['bootstrap.before', 1],
    ['bootstrap.partial', 1],
    ['bootstrap.partial', 2],
    ['bootstrap.before-latch', 1],
    ['claim.owner-set', 1],
    ['zone.sent', 1],
    ['status.before', 1],
    ['status.done', 1],
  ])('%s (%d) of creation', async (name, count) => {
    const isMet = crashAt(name, count);
    world.create({ deletionPolicy: 'Delete', volumes: { failureDomain: 'Zone' } });
    await world.until(() => world.isRunning() && isMet());
    expect(world.store.ids.size).toBe(1);
    expect(world.store.ids).toEqual(new Set([fieldOf(world.status, 'clusterID')]));
  });

  test.each<[OperatorFailpoint, number]>([
    ['evict.before', 1],
    ['evict.done', 1],
    ['evict.done', 4],
    ['transfer.before', 1],
    ['transfer.done', 1],
    ['status.before', 2],
    ['status.done', 2],
  ])('%s (%d) of a roll', async (name, count) => {
    await running();
    const isMet = crashAt(name, count);
    world.change({ image: 'minikv:0.2.0' });
    await world.until(() => world.isRunning() && world.images().has('minikv:0.2.0'));
    expect(isMet()).toBe(true);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
    expect(world.broken).toEqual([]);
  });

  test.each<[OperatorFailpoint]>([['broken.before-delete'], ['broken.deleted']])(
    '%s while a bad image is mended',
    async (name) => {
      await running();
      world.nodes.missingImages.add('bad');
      world.change({ image: 'bad' });
      await world.until(() => world.condition('Degraded') === 'True BrokenPod');
      const isMet = crashAt(name);
      world.change({ image: 'minikv:0.2.0' });
      await world.until(world.isRunning);
      expect(isMet()).toBe(true);
      expect(world.broken).toEqual([]);
    },
  );

  test('recreate.orphaned', async () => {
    await running();
    const isMet = crashAt('recreate.orphaned');
    const pods = world.pods().map(({ metadata }) => metadata.uid);
    world.change({ volumes: { storage: { size: '20Gi' } } });
    await world.until(() => world.isRunning() && isMet());
    expect(world.pods().map(({ metadata }) => metadata.uid)).toEqual(pods);
  });
});

describe('two operators', () => {
  test('one without its Lease disturbs nothing', async () => {
    await running();
    world.operator = world.start(1, () => {
      throw new LeaseLostError('gone');
    });
    world.change({ image: 'minikv:0.2.0' });
    for (let i = 0; i < 20; i += 1) {
      await world.turn();
      await world.operator().catch(() => undefined);
    }
    expect(evicted()).toEqual([]);
    world.operator = world.start(2);
    await world.until(world.isRunning);
    expect(world.images()).toEqual(new Set(['minikv:0.2.0']));
  });

  test('one that wakes up right before its eviction meets a precondition', async () => {
    await running();
    let isAsleep = false;
    hookFailpoints((at) => {
      if (at !== 'evict.before' || isAsleep) return;
      isAsleep = true;
      // What happens while it sleeps: another one has taken the pod down, and it is back already.
      world.kube.drop(KINDS.pod, { ...KEY, name: 'demo-volume-2' });
      world.nodes.step();
      stepStatefulSets(world.kube, world.clock);
    });
    world.change({ image: 'minikv:0.2.0' });
    await world.until(() => isAsleep);
    const volumes = world.pods().filter(({ metadata }) => metadata.name.includes('volume'));
    expect(volumes).toHaveLength(3);
    expect(volumes.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)).toEqual([]);
    await world.until(world.isRunning);
    expect(world.broken).toEqual([]);
  });

  test('an older epoch is refused by the store and ends', async () => {
    await running();
    world.store.epoch = 99;
    world.change({ image: 'minikv:0.2.0' });
    let ended: unknown = null;
    for (let i = 0; i < 200 && ended === null; i += 1) {
      await world.turn();
      await world.operator().catch((error: unknown) => {
        ended = error;
      });
    }
    expect(String(ended)).toContain('DeposedError');
  });
});
