/**
 * The operator's rights are no more and no less than it uses. One small cluster is led through everything
 * that needs a right of its own; what the operators of this story and of all the stories before it
 * asked of the apiserver is then compared with what the chart grants. So this story runs last.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubernetesObject, V1Node, V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { type AuditEvent, auditOfAll, isAudited } from './harness/audit.ts';
import { helm } from './harness/kubectl.ts';
import { installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { installMonitoringKinds } from './harness/monitoring-kinds.ts';
import { Namespace } from './harness/namespace.ts';
import { read } from './harness/reader.ts';
import { isSettled } from './harness/settled.ts';
import { smallCluster } from './harness/small-cluster.ts';
import { ALL_RIGHTS, deniedWhileWhole, isDenied, neededBy } from './harness/used-rights.ts';

const NAME = 'demo';
const VOLUME = `${NAME}-volume`;
const SOON_MS = 30_000;
const SETTLE_MS = 90_000;
const BROKEN_IMAGE = 'minikv:absent';
const ZONE = 'topology.kubernetes.io/zone';

let namespace: Namespace;
let cluster: MinikvCluster;
let removeKinds: () => Promise<void>;

beforeAll(async () => {
  removeKinds = await installMonitoringKinds();
  namespace = await Namespace.create('rights');
  cluster = new MinikvCluster(namespace, NAME);
  await installOperator(namespace, ['rights.monitoring=true', 'rights.nodes=true']);
  // An image that is not there is then known to be missing at once.
  const zone = { volumes: { failureDomain: 'Zone' }, imagePullPolicy: 'Never' };
  await namespace.apply(smallCluster(NAME, zone));
  await cluster.condition('Ready', 2 * READY_MS);
  await settled();
});

afterAll(async () => {
  // Not all that it installed is of the namespace.
  await helm(['uninstall', 'minikv-operator', '--namespace', namespace.name]);
  await namespace.close();
  await removeKinds();
});

const settled = (): Promise<void> =>
  namespace.waitFor(`${NAME} to be settled`, SETTLE_MS, () => isSettled(cluster));

const namesOf = async (kind: string): Promise<readonly string[]> =>
  (await namespace.list<KubernetesObject>(kind)).map(({ metadata }) => metadata?.name ?? '').sort();

async function become(kind: string, names: readonly string[]): Promise<void> {
  await namespace.waitFor(`${kind}: ${names.join(', ') || 'none'}`, SOON_MS, async () => {
    return (await namesOf(kind)).join() === names.join();
  });
}

/** What this story reads and changes of one. */
interface StatefulSet {
  readonly metadata: {
    readonly name: string;
    readonly labels: object;
    readonly ownerReferences: readonly object[];
  };
  readonly spec: { readonly podManagementPolicy: string };
}

const ROLES = [`${NAME}-coordinator`, VOLUME];

describe('a cluster that uses every right:', () => {
  test('the zone of a node is told to the store', async () => {
    const [pod] = await cluster.pods('volume');
    const node = await read<V1Node>('node', pod?.spec?.nodeName ?? '');
    await namespace.waitFor('the zone to stand in the status', SOON_MS, async () => {
      const { status } = await namespace.get<{
        status: { volumes: { members: { zone?: string }[] } };
      }>('mkv', NAME);
      return status.volumes.members[0]?.zone === node.metadata?.labels?.[ZONE];
    });
  });

  test('objects for monitoring come and go with the wish for them', async () => {
    await cluster.change({ monitoring: { podMonitor: true, prometheusRule: true } });
    await become('podmonitors', ROLES);
    await become('prometheusrules', [NAME]);
    await namespace.kubectl(['delete', 'prometheusrule', NAME]);
    await cluster.change({ monitoring: { labels: { team: 'storage' } } });
    await become('prometheusrules', [NAME]);
    await cluster.change({ monitoring: { podMonitor: false, prometheusRule: false } });
    await become('podmonitors', []);
    await become('prometheusrules', []);
  });

  test('network policies too', async () => {
    await cluster.change({ networkPolicy: { enabled: false } });
    await become('networkpolicies', ['minikv-operator']);
    await cluster.change({ networkPolicy: { enabled: true } });
    await become('networkpolicies', [...ROLES, 'minikv-operator'].sort());
  });

  test('claims belong to the cluster when it is to take them along', async () => {
    const owners = async (): Promise<readonly string[]> =>
      (await namespace.list<V1PersistentVolumeClaim>('pvc')).flatMap(
        ({ metadata }) => metadata?.ownerReferences?.map(({ name }) => name) ?? [],
      );
    await cluster.change({ deletionPolicy: 'Delete' });
    await namespace.waitFor('both claims to be owned', SOON_MS, async () => {
      return (await owners()).join() === [NAME, NAME].join();
    });
    await cluster.change({ deletionPolicy: 'Retain' });
    await namespace.waitFor('no claim to be owned', SOON_MS, async () => {
      return (await owners()).length === 0;
    });
  });

  test('a StatefulSet of a shape that cannot change is made anew around its pods', async () => {
    const { metadata, spec } = await namespace.get<StatefulSet>('statefulset', VOLUME);
    const [pod] = await cluster.pods('volume');
    await cluster.change({ maintenance: { suspended: true } });
    await cluster.condition('Suspended');
    await namespace.kubectl(['delete', 'statefulset', VOLUME, '--cascade=orphan']);
    const { labels, ownerReferences } = metadata;
    const other = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: VOLUME, labels, ownerReferences },
      spec: { ...spec, podManagementPolicy: 'OrderedReady' },
    };
    await namespace.kubectl(['create', '-f', '-'], { input: JSON.stringify(other) });
    await cluster.change({ maintenance: { suspended: false } });
    await namespace.waitFor('the StatefulSet to be as it was', SOON_MS, async () => {
      const sets = await namespace.list<StatefulSet>('statefulset');
      const now = sets.find((set) => set.metadata.name === VOLUME);
      return now?.spec.podManagementPolicy === spec.podManagementPolicy;
    });
    await settled();
    const [now] = await cluster.pods('volume');
    expect(now?.metadata?.uid).toBe(pod?.metadata?.uid);
  });

  test('a bad image evicts a pod, and the right one deletes what came of it', async () => {
    const { image } = (await cluster.get()).spec;
    await cluster.change({ image: BROKEN_IMAGE });
    await namespace.waitFor('the cluster to be Degraded by it', SETTLE_MS, async () => {
      const { status } = await cluster.get();
      return status?.conditions?.find(({ type }) => type === 'Degraded')?.reason === 'BrokenPod';
    });
    await cluster.change({ image });
    await settled();
    expect(await cluster.pods('volume')).toHaveLength(1);
  });
});

(isAudited() ? describe : describe.skip)('of all requests of all operators', () => {
  let events: readonly AuditEvent[];

  beforeAll(async () => {
    // A watch is written down once it ends.
    await namespace.kubectl(['scale', 'deployment/minikv-operator', '--replicas=0']);
    const pods = (): Promise<readonly string[]> => namesOf('pods');
    await namespace.waitFor('the operator to be gone', SETTLE_MS, async () => {
      return !(await pods()).some((name) => name.startsWith('minikv-operator'));
    });
    events = await auditOfAll();
  });

  test('those that were let through needed the rights that are granted, each of them', () => {
    const used = new Set(events.filter((event) => !isDenied(event)).flatMap(neededBy));
    expect([...used].sort()).toEqual(ALL_RIGHTS.toSorted());
  });

  test('none needed a right that nobody grants', () => {
    const denied = events.filter(isDenied).flatMap(neededBy);
    expect(denied.filter((right) => !ALL_RIGHTS.includes(right))).toEqual([]);
  });

  test('none was denied but for a look at kinds whose right is optional', () => {
    const users = new Set(events.map(({ user }) => user.username));
    const denied = [...users].flatMap((name) =>
      deniedWhileWhole(events.filter(({ user }) => user.username === name)),
    );
    const allowed = ['podmonitors', 'prometheusrules'].map(
      (plural) => `get monitoring.coreos.com/${plural}`,
    );
    expect(denied.filter((right) => !allowed.includes(right))).toEqual([]);
  });
});
