/** The memory API server passes the suite of the real one; what only a test can ask of it is here. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { ManualClock, settle } from '../../../services/testing/manual-clock.ts';
import { fieldOf, listOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { KubeError } from '../kube-error.ts';
import { keyOf } from '../object.ts';
import type { KubeObject, WatchEvent } from '../types.ts';
import { describeKube } from './conformance.ts';
import { stepBudgets } from './fake-budgets.ts';
import { FakeNodes } from './fake-nodes.ts';
import { stepStatefulSets } from './fake-stateful-sets.ts';
import { MemoryKube } from './memory-kube.ts';

describeKube('MemoryKube', async () => {
  const clock = new ManualClock();
  const kube = new MemoryKube(clock);
  return {
    kube,
    namespace: 'ns',
    async nudge() {
      kube.collectGarbage();
      await clock.advance(100);
    },
    cleanUp: async () => undefined,
  };
});

const signal = new AbortController().signal;
const CONFIG_MAP = KINDS.configMap;
const NAMESPACE = 'ns';
let clock: ManualClock;
let kube: MemoryKube;
beforeEach(() => {
  clock = new ManualClock();
  kube = new MemoryKube(clock);
});

const configMap = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE },
  data: {},
});
const thrownBy = async (call: Promise<unknown>): Promise<KubeError> =>
  call.then(
    () => {
      throw new Error('no failure');
    },
    (error: unknown) => error as KubeError,
  );

describe('what a test may do', () => {
  const watched = async (events: WatchEvent[]): Promise<void> => {
    const { resourceVersion } = await kube.list(CONFIG_MAP, { signal });
    const options = { resourceVersion, timeoutSeconds: 300, signal };
    for await (const event of kube.watch(CONFIG_MAP, options)) events.push(event);
  };

  test('history can be forgotten: watches and pages from before are gone', async () => {
    for (const name of ['a', 'b']) kube.put(CONFIG_MAP, configMap(name));
    const page = await kube.list(CONFIG_MAP, { limit: 1, signal });
    kube.put(CONFIG_MAP, configMap('c'));
    kube.compact();
    const next = { continueFrom: page.next ?? '', signal };
    expect((await thrownBy(kube.list(CONFIG_MAP, next))).isGone).toBe(true);
    const { resourceVersion } = page;
    const stream = kube.watch(CONFIG_MAP, { resourceVersion, timeoutSeconds: 9, signal });
    expect((await thrownBy(stream[Symbol.asyncIterator]().next())).isGone).toBe(true);
  });

  test('bookmarks are sent, and watches end, break or fall silent', async () => {
    const events: WatchEvent[] = [];
    const ended = watched(events);
    await settle();
    kube.sendBookmarks();
    await settle();
    expect(events).toEqual([{ kind: 'bookmark', resourceVersion: '100' }]);
    kube.endWatches();
    await ended;
    const broken = watched(events);
    await settle();
    kube.endWatches(new KubeError({ code: 500, reason: 'InternalError', message: '' }));
    expect((await thrownBy(broken)).code).toBe(500);
    void watched(events);
    await settle();
    kube.silenceWatches();
    kube.put(CONFIG_MAP, configMap('a'));
    await settle();
    expect(events).toHaveLength(1);
    expect(kube.watchCount).toBe(1);
  });

  test('a call can fail before it takes effect or after, or never come back', async () => {
    const busy = new KubeError({ code: 429, reason: 'TooManyRequests', message: '' });
    kube.intercept = () => {
      throw busy;
    };
    expect(await thrownBy(kube.create(CONFIG_MAP, configMap('a'), { signal }))).toBe(busy);
    kube.intercept = () => 'lose-answer';
    expect((await thrownBy(kube.create(CONFIG_MAP, configMap('b'), { signal }))).isUnknown).toBe(
      true,
    );
    expect(kube.all(CONFIG_MAP).map(({ metadata }) => metadata.name)).toEqual(['b']);
    kube.intercept = () => new Promise(() => undefined);
    const hung = thrownBy(kube.create(CONFIG_MAP, configMap('c'), { signal, deadlineMs: 500 }));
    await clock.advance(500);
    expect((await hung).reason).toBe('DeadlineExceeded');
    expect(kube.writes.map(({ verb, name }) => `${verb} ${name}`)).toEqual([
      'create a',
      'create b',
      'create c',
    ]);
  });

  test('nothing can be made in a namespace that goes away, and what is there goes', async () => {
    kube.put(CONFIG_MAP, configMap('a'));
    kube.terminateNamespace(NAMESPACE);
    const error = await thrownBy(kube.create(CONFIG_MAP, configMap('b'), { signal }));
    expect([error.code, error.isNamespaceTerminating]).toEqual([403, true]);
    kube.collectGarbage();
    expect(kube.all(CONFIG_MAP)).toEqual([]);
  });

  test('a kind that is not served is not found', async () => {
    kube.served.delete(KINDS.podMonitor);
    expect(await kube.serves(KINDS.podMonitor, { signal })).toBe(false);
    expect((await thrownBy(kube.list(KINDS.podMonitor, { signal }))).isNotFound).toBe(true);
  });

  test('answers are copies', async () => {
    kube.put(CONFIG_MAP, configMap('a'));
    const one = await kube.get(CONFIG_MAP, { namespace: NAMESPACE, name: 'a' }, { signal });
    (one as unknown as { data: Record<string, string> }).data['x'] = '1';
    const other = await kube.get(CONFIG_MAP, { namespace: NAMESPACE, name: 'a' }, { signal });
    expect(fieldOf(other, 'data')).toEqual({});
  });

  test('the id of a cluster is set once', async () => {
    const cluster = (status: object): KubeObject => ({
      apiVersion: 'minikv.io/v1alpha1',
      kind: 'MiniKVCluster',
      metadata: { name: 'c', namespace: NAMESPACE },
      status,
    });
    kube.put(KINDS.cluster, cluster({}));
    const options = { manager: 'm', force: true, subresource: 'status', signal } as const;
    await kube.apply(KINDS.cluster, cluster({ clusterID: 'a' }), options);
    const again = kube.apply(KINDS.cluster, cluster({ clusterID: 'b' }), options);
    expect((await thrownBy(again)).isInvalid).toBe(true);
    const dropped = kube.apply(KINDS.cluster, cluster({}), options);
    expect((await thrownBy(dropped)).isInvalid).toBe(true);
  });
});

describe('controllers by hand', () => {
  const labels = { app: 'a' };
  const POD = (ordinal: number) => ({ namespace: NAMESPACE, name: `set-${ordinal}` });
  let nodes: FakeNodes;

  const apply = (replicas: number, image = 'kv:1'): Promise<KubeObject> =>
    kube.apply(
      KINDS.statefulSet,
      {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name: 'set', namespace: NAMESPACE },
        spec: {
          serviceName: 's',
          replicas,
          minReadySeconds: 5,
          podManagementPolicy: 'Parallel',
          updateStrategy: { type: 'OnDelete' },
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { containers: [{ name: 'main', image }] },
          },
          volumeClaimTemplates: [
            {
              apiVersion: 'v1',
              kind: 'PersistentVolumeClaim',
              metadata: { name: 'data', labels: { 'minikv.io/cluster-id': 'x' } },
              spec: { accessModes: ['ReadWriteOnce'] },
            },
          ],
        },
      },
      { manager: 'm', force: true, signal },
    );
  const budget = (): void => {
    kube.put(KINDS.disruptionBudget, {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'pdb', namespace: NAMESPACE },
      spec: { maxUnavailable: 1, selector: { matchLabels: labels } },
    });
  };
  const step = (): void => {
    stepStatefulSets(kube, clock);
    nodes.step();
    stepStatefulSets(kube, clock);
    stepBudgets(kube);
    kube.collectGarbage();
  };
  const status = (): unknown =>
    kube.read(KINDS.statefulSet, { namespace: NAMESPACE, name: 'set' })?.['status'];

  beforeEach(async () => {
    nodes = new FakeNodes(kube, clock);
    budget();
    await apply(3);
    step();
  });

  test('a StatefulSet gets its pods and claims, which become ready and available', async () => {
    expect(status()).toMatchObject({ observedGeneration: 1, replicas: 3, readyReplicas: 3 });
    expect(status()).toMatchObject({ availableReplicas: 0 });
    await clock.advance(6_000);
    step();
    expect(status()).toMatchObject({ availableReplicas: 3, updatedReplicas: 3 });
    const claim = kube.read(KINDS.claim, { namespace: NAMESPACE, name: 'data-set-1' });
    expect(claim?.metadata.labels).toEqual({ 'minikv.io/cluster-id': 'x', app: 'a' });
    expect(fieldOf(claim, 'status', 'phase')).toBe('Bound');
    expect(fieldOf(kube.read(KINDS.pod, POD(2)), 'status', 'podIP')).toBe('10.0.0.3');
  });

  test('at rest a step changes nothing', () => {
    const versions = (): unknown[] =>
      Object.values(KINDS).flatMap((kind) =>
        kube.all(kind).map(({ metadata }) => metadata.resourceVersion),
      );
    const before = versions();
    step();
    expect(versions()).toEqual(before);
  });

  test('a new template makes pods outdated and restarts none', async () => {
    const before = kube.read(KINDS.pod, POD(0));
    await apply(3, 'kv:2');
    step();
    expect(kube.read(KINDS.pod, POD(0))).toEqual(before);
    expect(status()).toMatchObject({ updatedReplicas: 0, observedGeneration: 2 });
    const revision = before?.metadata.labels?.['controller-revision-hash'];
    expect(fieldOf(status(), 'updateRevision')).not.toBe(revision);
    await kube.delete(KINDS.pod, POD(0), { propagation: 'Background', signal });
    expect(kube.read(KINDS.pod, POD(0))?.metadata.deletionTimestamp).toBeDefined();
    step();
    step();
    expect(status()).toMatchObject({ updatedReplicas: 1, readyReplicas: 3 });
    expect(kube.read(KINDS.pod, POD(0))?.metadata.uid).not.toBe(before?.metadata.uid);
  });

  test('a budget allows one eviction, and the next when the pod is back', async () => {
    await kube.evict(POD(0), { signal });
    const error = await thrownBy(kube.evict(POD(1), { signal }));
    expect([error.code, error.causes[0]?.reason]).toEqual([429, 'DisruptionBudget']);
    nodes.unready.add('set-0');
    step();
    step();
    expect((await thrownBy(kube.evict(POD(1), { signal }))).isTooManyRequests).toBe(true);
    nodes.unready.clear();
    step();
    await kube.evict(POD(1), { signal });
  });

  test('an orphaned set leaves its pods, and one of the same name adopts them', async () => {
    const uids = (): unknown[] => kube.all(KINDS.pod).map(({ metadata }) => metadata.uid);
    const before = uids();
    const set = { namespace: NAMESPACE, name: 'set' };
    await kube.delete(KINDS.statefulSet, set, { propagation: 'Orphan', signal });
    expect(kube.read(KINDS.statefulSet, set)?.metadata.deletionTimestamp).toBeDefined();
    step();
    expect(kube.read(KINDS.statefulSet, set)).toBeNull();
    const made = await apply(3);
    step();
    expect(uids()).toEqual(before);
    const owners = kube.all(KINDS.pod).map(({ metadata }) => metadata.ownerReferences?.[0]?.uid);
    expect(new Set(owners)).toEqual(new Set([made.metadata.uid]));
  });

  test('a set deleted in the background takes its pods and leaves the claims', async () => {
    const set = { namespace: NAMESPACE, name: 'set' };
    await kube.delete(KINDS.statefulSet, set, { propagation: 'Background', signal });
    step();
    step();
    expect(kube.all(KINDS.pod)).toEqual([]);
    expect(kube.all(KINDS.claim)).toHaveLength(3);
  });

  test('a claim in use waits for its pod', async () => {
    const key = { namespace: NAMESPACE, name: 'data-set-0' };
    kube.drop(KINDS.claim, key);
    step();
    expect(kube.read(KINDS.claim, key)?.metadata.deletionTimestamp).toBeDefined();
    kube.drop(KINDS.pod, POD(0));
    nodes.step();
    kube.collectGarbage();
    expect(kube.read(KINDS.claim, key)).toBeNull();
  });

  test('images that are not there, pods that no node takes, a node without power', async () => {
    nodes.missingImages.add('kv:2');
    await apply(4, 'kv:2');
    step();
    const waiting = listOf(fieldOf(kube.read(KINDS.pod, POD(3)), 'status', 'containerStatuses'));
    expect(fieldOf(waiting[0], 'state', 'waiting', 'reason')).toBe('ImagePullBackOff');
    nodes.unschedulable.add('set-4');
    await apply(5, 'kv:2');
    step();
    expect(kube.read(KINDS.pod, POD(4))?.['status']).toMatchObject({
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }],
    });
    nodes.down.add('a');
    kube.drop(KINDS.pod, POD(0));
    step();
    expect(kube.read(KINDS.pod, POD(0))?.metadata.deletionTimestamp).toBeDefined();
  });

  test('fewer replicas take the highest ordinals', async () => {
    await apply(1);
    step();
    step();
    expect(kube.all(KINDS.pod).map((pod) => keyOf(pod).name)).toEqual(['set-0']);
    expect(kube.all(KINDS.claim)).toHaveLength(3);
  });
});
