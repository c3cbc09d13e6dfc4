/** Which changes concern which cluster, and a look through the caches. */
import { expect, test } from '@jest/globals';
import { systemRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { createMetrics } from '../../services/telemetry/metrics.ts';
import { fieldOf } from '../kube/json.ts';
import { KINDS } from '../kube/kinds.ts';
import type { Kind, KubeObject } from '../kube/types.ts';
import { ClusterController, clusterController } from './controller.ts';
import { KEY, LoopWorld } from './testing/loop-world.ts';

function controllerOf(world: LoopWorld) {
  const released: string[] = [];
  const told: string[] = [];
  const controller = new ClusterController(
    {
      kube: world.kube,
      admin: world.store,
      informers: {
        get: (kind, key) => world.kube.read(kind, key),
        list: (kind, namespace) => world.kube.all(kind, { namespace }),
      },
      events: { record: ({ reason }) => void told.push(reason) },
      leadership: {
        epoch: 1,
        signal: new AbortController().signal,
        isFresh: true,
        assertFresh: () => undefined,
        release: async () => void released.push('released'),
      },
      clock: world.clock,
      random: systemRandom,
      logger: silentLogger,
      metrics: createMetrics(),
    },
    { adminNamespaces: ['minikv-system'] },
  );
  return { controller, released, told };
}

const { signal } = new AbortController();

const object = (kind: Kind, metadata: object): KubeObject => ({
  apiVersion: kind.apiVersion,
  kind: kind.kind,
  metadata: { name: 'x', namespace: 'store', ...metadata },
});

test.each<[string, Kind, object, readonly string[]]>([
  ['a pod', KINDS.pod, { labels: { 'app.kubernetes.io/instance': 'demo' } }, ['store/demo']],
  ['a strange pod', KINDS.pod, {}, []],
  ['a claim without labels', KINDS.claim, { name: 'data-demo-a-volume-12' }, ['store/demo-a']],
  ['a strange claim', KINDS.claim, { name: 'data-x' }, []],
  ['a cluster', KINDS.cluster, { name: 'demo' }, ['store/demo']],
])('%s', (_what, kind, metadata, keys) => {
  const { controller } = controllerOf(new LoopWorld());
  expect(controller.keysOf(kind, { kind: 'added', object: object(kind, metadata) })).toEqual(keys);
});

test('a change of status alone says nothing new', () => {
  const { controller } = controllerOf(new LoopWorld());
  const before = object(KINDS.cluster, { generation: 1 });
  const keys = (after: KubeObject): readonly string[] =>
    controller.keysOf(KINDS.cluster, { kind: 'updated', before, object: after });
  expect(keys({ ...before, status: { phase: 'Running' } })).toEqual([]);
  expect(keys(object(KINDS.cluster, { generation: 2 }))).toEqual(['store/x']);
});

test('a look writes, tells, and answers when to look again', async () => {
  const world = new LoopWorld();
  const { controller, told } = controllerOf(world);
  world.create();
  await controller.reconcile('store/demo', signal);
  expect(fieldOf(world.status, 'clusterID')).toBeDefined();
  expect(told).toEqual(['ClusterIDMinted']);
  const { requeueMs } = await controller.reconcile('store/gone', signal);
  expect(requeueMs).toBeGreaterThan(1_000_000);
});

test('a cluster that is not understood is left alone', async () => {
  const world = new LoopWorld();
  const { controller } = controllerOf(world);
  world.create({ volumes: { replicas: 'many' } });
  const before = world.kube.writes.length;
  expect(await controller.reconcile('store/demo', signal)).toEqual({ requeueMs: 60_000 });
  expect(world.kube.writes.length).toBe(before);
});

test('deposed by the store, the term ends', async () => {
  const world = new LoopWorld();
  world.create({ volumes: { failureDomain: 'Zone' } });
  await world.until(() => world.store.calls.some((call) => call.startsWith('zone')));
  world.store.epoch = 99;
  world.nodes.names.forEach((name) => {
    world.kube.edit(KINDS.node, { name }, ({ metadata }) => {
      (metadata as Record<string, unknown>)['labels'] = { 'topology.kubernetes.io/zone': 'other' };
    });
  });
  const { controller, released } = controllerOf(world);
  await expect(controller.reconcile(`${KEY.namespace}/${KEY.name}`, signal)).rejects.toThrow(
    'later operator',
  );
  expect(released).toEqual(['released']);
});

test('the definition watches every kind that it lists', () => {
  const { watched, kind } = clusterController({ adminNamespaces: [] });
  expect(watched.map((one) => one.kind)).toContain(kind);
  expect(watched.find((one) => one.kind === KINDS.claim)?.labelSelector).toBeUndefined();
});
