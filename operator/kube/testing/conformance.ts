/** What every `Kube` must do. `MemoryKube` and `HttpKube` on a real API server run the same file. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fieldOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { KubeError } from '../kube-error.ts';
import { keyOf } from '../object.ts';
import type { Kind, Kube, KubeObject, ObjectMeta, WatchEvent } from '../types.ts';

export interface KubeUnderTest {
  readonly kube: Kube;
  /** A namespace that exists and is empty. */
  readonly namespace: string;
  /** Lets the server's controllers work, or a second pass. */
  nudge(): Promise<void>;
  cleanUp(): Promise<void>;
}

interface Bench {
  readonly kube: Kube;
  readonly namespace: string;
  readonly signal: AbortSignal;
  readonly configMap: (name: string, data?: Data, meta?: Partial<ObjectMeta>) => KubeObject;
  readonly eventually: <T>(read: () => Promise<T | null>, what: string) => Promise<T>;
}
type Data = Readonly<Record<string, string>>;

const { configMap: CONFIG_MAP, lease: LEASE, service: SERVICE, statefulSet: STATEFUL_SET } = KINDS;
const POLLS_MAX = 300;
const OTHER_UID = 'ffffffff-ffff-4fff-8fff-ffffffffffff';

export function describeKube(name: string, make: () => Promise<KubeUnderTest>): void {
  describe(`${name} as a Kube`, () => {
    let under: KubeUnderTest;
    let stop: AbortController;
    beforeEach(async () => {
      under = await make();
      stop = new AbortController();
    });
    afterEach(async () => {
      stop.abort(new Error('the test is over'));
      await under.cleanUp();
    });
    const bench = (): Bench => ({
      ...under,
      signal: stop.signal,
      configMap: (name, data = {}, meta = {}) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { ...meta, name, namespace: under.namespace },
        data,
      }),
      async eventually(read, what) {
        for (let polls = 0; polls < POLLS_MAX; polls += 1) {
          const value = await read();
          if (value !== null) return value;
          await under.nudge();
        }
        throw new Error(`never seen: ${what}`);
      },
    });
    describeObjects(bench);
    describeLists(bench);
    describeWatches(bench);
    describeApply(bench);
    describeApplyOfLists(bench);
    describeDeletion(bench);
  });
}

const failure = async (call: Promise<unknown>): Promise<KubeError> => {
  const thrown: unknown = await call.then(
    (value) => new Error(`no failure but ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (thrown instanceof KubeError) return thrown;
  throw thrown;
};

function describeObjects(bench: () => Bench): void {
  test('an absent object is null; a made one has uid, version and time', async () => {
    const { kube, signal, configMap } = bench();
    const object = configMap('a', { x: '1' });
    expect(await kube.get(CONFIG_MAP, keyOf(object), { signal })).toBeNull();
    const made = await kube.create(CONFIG_MAP, object, { signal });
    expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.metadata.resourceVersion).toMatch(/^\d+$/);
    expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(await kube.get(CONFIG_MAP, keyOf(object), { signal })).toEqual(made);
    expect((await failure(kube.create(CONFIG_MAP, object, { signal }))).isAlreadyExists).toBe(true);
  });

  test('a name that Kubernetes does not allow is invalid', async () => {
    const { kube, signal, configMap } = bench();
    const error = await failure(kube.create(CONFIG_MAP, configMap('A_b'), { signal }));
    expect(error.isInvalid).toBe(true);
    expect(error.causes[0]?.field).toBe('metadata.name');
  });

  test('replacing needs the version that is stored, and one of two writers loses', async () => {
    const { kube, namespace, signal } = bench();
    const lease = (holderIdentity: string, metadata: Partial<ObjectMeta> = {}): KubeObject => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { ...metadata, name: 'l', namespace },
      spec: { holderIdentity },
    });
    const made = await kube.create(LEASE, lease('a'), { signal });
    const won = await kube.replace(LEASE, lease('b', made.metadata), { signal });
    expect(fieldOf(won, 'spec', 'holderIdentity')).toBe('b');
    expect(won.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
    const lost = await failure(kube.replace(LEASE, lease('c', made.metadata), { signal }));
    expect([lost.isConflict, lost.isAlreadyExists]).toEqual([true, false]);
    expect(await kube.get(LEASE, keyOf(made), { signal })).toEqual(won);
  });

  test('knows which kinds are served', async () => {
    const { kube, signal } = bench();
    const unknown: Kind = { ...STATEFUL_SET, apiVersion: 'nowhere.example/v1' };
    expect(await kube.serves(STATEFUL_SET, { signal })).toBe(true);
    expect(await kube.serves(KINDS.pod, { signal })).toBe(true);
    expect(await kube.serves(unknown, { signal })).toBe(false);
  });

  test('an aborted call fails with the reason of the abort', async () => {
    const { kube, configMap } = bench();
    const signal = AbortSignal.abort(new Error('stopping'));
    await expect(kube.create(CONFIG_MAP, configMap('a'), { signal })).rejects.toThrow('stopping');
  });
}

function describeLists(bench: () => Bench): void {
  test('pages hold every selected object once, in order, at one version', async () => {
    const { kube, namespace, signal, configMap } = bench();
    for (const name of ['e', 'b', 'd', 'a', 'c', 'z']) {
      const labels = { wanted: name === 'z' ? 'no' : 'yes' };
      await kube.create(CONFIG_MAP, configMap(name, {}, { labels }), { signal });
    }
    const options = { namespace, labelSelector: 'wanted=yes', limit: 2, signal };
    const first = await kube.list(CONFIG_MAP, options);
    await kube.create(CONFIG_MAP, configMap('bb', {}, { labels: { wanted: 'yes' } }), { signal });
    const pages = [first];
    for (let next = first.next; next !== null; next = pages.at(-1)?.next ?? null) {
      pages.push(await kube.list(CONFIG_MAP, { ...options, continueFrom: next }));
    }
    const names = pages.map(({ items }) => items.map(({ metadata }) => metadata.name));
    expect(names).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(new Set(pages.map(({ resourceVersion }) => resourceVersion)).size).toBe(1);
    expect(first.items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
  });
}

function describeWatches(bench: () => Bench): void {
  const textOf = (event: WatchEvent): string =>
    event.kind === 'bookmark' ? 'bookmark' : `${event.kind} ${event.object.metadata.name}`;

  test('a watch goes on where the list ended, and forgets what its selector no longer selects', async () => {
    const { kube, namespace, signal, configMap } = bench();
    const labels = { wanted: 'yes' };
    await kube.create(CONFIG_MAP, configMap('before', {}, { labels }), { signal });
    const selection = { namespace, labelSelector: 'wanted=yes', signal };
    const { resourceVersion } = await kube.list(CONFIG_MAP, selection);
    const a = await kube.create(CONFIG_MAP, configMap('a', {}, { labels }), { signal });
    await kube.create(CONFIG_MAP, configMap('other'), { signal });
    const changed = configMap('a', { x: '1' }, a.metadata);
    const changedOnce = await kube.replace(CONFIG_MAP, changed, { signal });
    await kube.delete(CONFIG_MAP, keyOf(a), { propagation: 'Background', signal });
    const b = await kube.create(CONFIG_MAP, configMap('b', {}, { labels }), { signal });
    await kube.replace(CONFIG_MAP, configMap('b', {}, { ...b.metadata, labels: {} }), { signal });
    await kube.create(CONFIG_MAP, configMap('end', {}, { labels }), { signal });
    const seen: WatchEvent[] = [];
    const options = { ...selection, resourceVersion, timeoutSeconds: 60 };
    for await (const event of kube.watch(CONFIG_MAP, options)) {
      if (event.kind !== 'bookmark') seen.push(event);
      if (textOf(event) === 'added end') break;
    }
    expect(seen.map(textOf)).toEqual([
      'added a',
      'modified a',
      'deleted a',
      'added b',
      'deleted b',
      'added end',
    ]);
    expect(seen[1]).toEqual({ kind: 'modified', object: changedOnce });
  });

  test('the server ends a watch after its time, an abort ends it at once', async () => {
    const { kube, namespace, signal, eventually } = bench();
    const { resourceVersion } = await kube.list(CONFIG_MAP, { namespace, signal });
    const own = new AbortController();
    const follow = async (timeoutSeconds: number, signal: AbortSignal): Promise<string> => {
      const options = { namespace, resourceVersion, timeoutSeconds, signal };
      for await (const event of kube.watch(CONFIG_MAP, options)) textOf(event);
      return 'ended';
    };
    let ended = '';
    void follow(1, signal).then((how) => {
      ended = how;
    });
    await eventually(async () => (ended === '' ? null : ended), 'the end of the watch');
    const aborted = follow(60, own.signal);
    own.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });
}

function describeApply(bench: () => Bench): void {
  const dataOf = (object: KubeObject | null): unknown => fieldOf(object, 'data');

  test('apply makes the object, and the same again writes nothing', async () => {
    const { kube, signal, configMap } = bench();
    const options = { manager: 'one', force: true, signal };
    const made = await kube.apply(CONFIG_MAP, configMap('a', { x: '1' }), options);
    const again = await kube.apply(CONFIG_MAP, configMap('a', { x: '1' }), options);
    expect(again.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });

  test('a field that its manager leaves out goes, unless another owns it too', async () => {
    const { kube, signal, configMap } = bench();
    const apply = (manager: string, data: Data): Promise<KubeObject> =>
      kube.apply(CONFIG_MAP, configMap('a', data), { manager, signal });
    await apply('one', { x: '1', y: '1', z: '1' });
    await apply('two', { y: '1', w: '2' });
    expect(dataOf(await apply('one', { z: '1' }))).toEqual({ y: '1', z: '1', w: '2' });
    expect(dataOf(await apply('two', { w: '2' }))).toEqual({ z: '1', w: '2' });
  });

  test("another manager's value is a conflict that names the field, and force takes it over", async () => {
    const { kube, signal, configMap } = bench();
    const one = configMap('a', { x: '1', y: '1' });
    await kube.apply(CONFIG_MAP, one, { manager: 'one', signal });
    const two = configMap('a', { x: '2' });
    const error = await failure(kube.apply(CONFIG_MAP, two, { manager: 'two', signal }));
    expect(error.isConflict).toBe(true);
    expect(error.causes).toMatchObject([{ reason: 'FieldManagerConflict', field: '.data.x' }]);
    await kube.apply(CONFIG_MAP, two, { manager: 'two', force: true, signal });
    const left = await kube.apply(CONFIG_MAP, configMap('a', { y: '1' }), {
      manager: 'one',
      signal,
    });
    expect(dataOf(left)).toEqual({ x: '2', y: '1' });
  });

  test('a dry run answers what would be and stores nothing', async () => {
    const { kube, signal, configMap } = bench();
    const options = { manager: 'one', dryRun: true, signal };
    const would = await kube.apply(CONFIG_MAP, configMap('a', { x: '1' }), options);
    expect(dataOf(would)).toEqual({ x: '1' });
    expect(await kube.get(CONFIG_MAP, keyOf(would), { signal })).toBeNull();
  });

  test('status is written through its own path, and only there', async () => {
    const { kube, namespace, signal } = bench();
    const condition = { type: 'Seen', status: 'True', reason: 'Test', message: '' };
    const conditions = [{ ...condition, lastTransitionTime: '2020-01-01T00:00:00Z' }];
    const metadata = { name: 's', namespace };
    const service = { apiVersion: 'v1', kind: 'Service', metadata };
    const spec = { ports: [{ port: 80, protocol: 'TCP' }] };
    const status = { conditions };
    const whole = { ...service, spec, status };
    const options = { manager: 'one', force: true, signal };
    const made = await kube.apply(SERVICE, whole, options);
    expect(fieldOf(made, 'status', 'conditions')).toBeUndefined();
    const onlyStatus = { ...service, status };
    const own = { ...options, manager: 'one-status', subresource: 'status' } as const;
    const written = await kube.apply(SERVICE, onlyStatus, own);
    expect(fieldOf(written, 'status', 'conditions')).toEqual(conditions);
    expect(fieldOf(written, 'spec', 'ports')).toMatchObject(spec.ports);
    const applied = await kube.apply(SERVICE, { ...service, spec }, options);
    expect(fieldOf(applied, 'status', 'conditions')).toEqual(conditions);
  });

  test('an applied object that names another uid is refused, and one that is gone is not made', async () => {
    const { kube, signal, configMap } = bench();
    await kube.create(CONFIG_MAP, configMap('a'), { signal });
    const options = { manager: 'one', force: true, signal };
    const refused = (name: string): Promise<KubeError> =>
      failure(kube.apply(CONFIG_MAP, configMap(name, { x: '1' }, { uid: OTHER_UID }), options));
    const other = await refused('a');
    expect([other.isInvalid, other.causes[0]?.field]).toEqual([true, 'metadata.uid']);
    expect((await refused('gone')).isConflict).toBe(true);
    expect(await kube.get(CONFIG_MAP, keyOf(configMap('gone')), { signal })).toBeNull();
  });
}

function statefulSet(namespace: string, spec: object, meta: Partial<ObjectMeta> = {}): KubeObject {
  const labels = { app: 'a' };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { ...meta, name: 'set', namespace },
    spec: {
      serviceName: 's',
      replicas: 0,
      selector: { matchLabels: labels },
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      template: {
        metadata: { labels },
        spec: { containers: [container([{ name: 'A', value: '1' }])] },
      },
      ...spec,
    },
  };
}

const container = (env: readonly object[]) => ({ name: 'main', image: 'none:1', env });

function describeApplyOfLists(bench: () => Bench): void {
  test('lists with keys are merged by item, and an item left out goes', async () => {
    const { kube, namespace, signal } = bench();
    const apply = (manager: string, env: readonly object[]): Promise<KubeObject> => {
      const template = {
        metadata: { labels: { app: 'a' } },
        spec: { containers: [container(env)] },
      };
      const object = statefulSet(namespace, { template });
      return kube.apply(STATEFUL_SET, object, { manager, force: true, signal });
    };
    const envOf = (object: KubeObject): unknown =>
      fieldOf(first(fieldOf(object, 'spec', 'template', 'spec', 'containers')), 'env');
    const [a, b, c] = ['A', 'B', 'C'].map((name) => ({ name, value: '1' }));
    await apply('one', [a!, b!]);
    expect(envOf(await apply('two', [c!]))).toEqual(expect.arrayContaining([a, b, c]));
    expect(envOf(await apply('one', [b!]))).toEqual(expect.arrayContaining([b, c]));
    expect(envOf(await apply('one', [{ ...b, value: '2' }]))).toHaveLength(2);
  });

  test('the generation counts changes of the spec alone', async () => {
    const { kube, namespace, signal } = bench();
    const options = { manager: 'one', force: true, signal };
    const apply = async (spec: object, meta: Partial<ObjectMeta> = {}): Promise<unknown> => {
      const stored = await kube.apply(STATEFUL_SET, statefulSet(namespace, spec, meta), options);
      return stored.metadata.generation;
    };
    expect(await apply({})).toBe(1);
    expect(await apply({}, { labels: { a: 'b' } })).toBe(1);
    expect(await apply({ minReadySeconds: 5 })).toBe(2);
  });

  test('a field of a StatefulSet that may not change is invalid, and nothing is stored', async () => {
    const { kube, namespace, signal } = bench();
    const options = { manager: 'one', force: true, signal };
    const made = await kube.apply(STATEFUL_SET, statefulSet(namespace, {}), options);
    const other = statefulSet(namespace, { serviceName: 'other', minReadySeconds: 5 });
    const error = await failure(kube.apply(STATEFUL_SET, other, options));
    expect(error.isInvalid).toBe(true);
    expect(error.message).toContain('updates to statefulset spec for fields other than');
    const stored = await kube.get(STATEFUL_SET, keyOf(made), { signal });
    expect(fieldOf(stored, 'spec', 'minReadySeconds')).not.toBe(5);
  });
}

const first = (list: unknown): unknown => (Array.isArray(list) ? list[0] : undefined);

function describeDeletion(bench: () => Bench): void {
  test('a deletion checks uid and version, and an absent object is not found', async () => {
    const { kube, signal, configMap } = bench();
    const made = await kube.create(CONFIG_MAP, configMap('a'), { signal });
    const key = keyOf(made);
    const options = { propagation: 'Background', signal } as const;
    const byUid = await failure(kube.delete(CONFIG_MAP, key, { ...options, uid: OTHER_UID }));
    expect(byUid.isConflict).toBe(true);
    const stale = { ...options, resourceVersion: '1' };
    expect((await failure(kube.delete(CONFIG_MAP, key, stale))).isConflict).toBe(true);
    const { uid = '', resourceVersion = '' } = made.metadata;
    await kube.delete(CONFIG_MAP, key, { ...options, uid, resourceVersion });
    expect(await kube.get(CONFIG_MAP, key, { signal })).toBeNull();
    expect((await failure(kube.delete(CONFIG_MAP, key, options))).isNotFound).toBe(true);
  });

  const owned = async (): Promise<{ set: KubeObject; map: KubeObject }> => {
    const { kube, namespace, signal, configMap } = bench();
    const options = { manager: 'one', force: true, signal };
    const set = await kube.apply(STATEFUL_SET, statefulSet(namespace, {}), options);
    const { apiVersion, kind, metadata } = set;
    const owner = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '' };
    const meta = { ownerReferences: [owner] };
    return { set, map: await kube.create(CONFIG_MAP, configMap('a', {}, meta), { signal }) };
  };

  test('an owner deleted in the background takes along what it owns', async () => {
    const { kube, signal, eventually } = bench();
    const { set, map } = await owned();
    await kube.delete(STATEFUL_SET, keyOf(set), { propagation: 'Background', signal });
    const isGone = async (): Promise<true | null> =>
      (await kube.get(CONFIG_MAP, keyOf(map), { signal })) === null ? true : null;
    await eventually(isGone, 'the end of the owned object');
  });

  test('an owner deleted with orphaning leaves what it owns, without an owner', async () => {
    const { kube, signal, eventually } = bench();
    const { set, map } = await owned();
    const { uid = '' } = set.metadata;
    await kube.delete(STATEFUL_SET, keyOf(set), { propagation: 'Orphan', uid, signal });
    const isGone = async (): Promise<true | null> =>
      (await kube.get(STATEFUL_SET, keyOf(set), { signal })) === null ? true : null;
    await eventually(isGone, 'the end of the owner');
    const left = await kube.get(CONFIG_MAP, keyOf(map), { signal });
    expect(left?.metadata.uid).toBe(map.metadata.uid);
    expect(left?.metadata.ownerReferences ?? []).toEqual([]);
  });

  test('an eviction checks the uid, and takes a pod that serves nothing', async () => {
    const { kube, namespace, signal, eventually } = bench();
    const pod = await kube.create(
      KINDS.pod,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p', namespace },
        // No node is called so: the pod stays pending.
        spec: { nodeSelector: { 'minikv.io/none': 'none' }, containers: [container([])] },
      },
      { signal },
    );
    const key = keyOf(pod);
    expect((await failure(kube.evict(key, { uid: OTHER_UID, signal }))).isConflict).toBe(true);
    await kube.evict(key, { uid: pod.metadata.uid ?? '', signal });
    const isGone = async (): Promise<true | null> =>
      (await kube.get(KINDS.pod, key, { signal })) === null ? true : null;
    await eventually(isGone, 'the end of the pod');
    expect((await failure(kube.evict(key, { signal }))).isNotFound).toBe(true);
  });
}
