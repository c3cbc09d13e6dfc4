/**
 * The operator's way to the Kubernetes API on a real one: the suite that the API server in memory passes
 * too, and what only a real server judges.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defaultAccess } from '../../operator/kube/access.ts';
import { EventRecorder } from '../../operator/kube/events.ts';
import { HttpKube } from '../../operator/kube/http-kube.ts';
import { HttpTransport } from '../../operator/kube/http-transport.ts';
import { fieldOf } from '../../operator/kube/json.ts';
import { KINDS } from '../../operator/kube/kinds.ts';
import { KubeError } from '../../operator/kube/kube-error.ts';
import { LEASE_TIMES, LeaderLease } from '../../operator/kube/lease.ts';
import { leaseMetrics, reflectorMetrics, requestMetrics } from '../../operator/kube/metrics.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { describeKube } from '../../operator/kube/testing/conformance.ts';
import { type Clock, sleep, systemClock } from '../../services/common/clock.ts';
import { systemRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { createMetrics } from '../../services/telemetry/metrics.ts';
import { Namespace } from './harness/namespace.ts';
import { probePod } from './harness/probe-pod.ts';

const POD_START_MS = 60_000;
const NUDGE_MS = 200;
/** The least time after which a reflector takes silence for a broken connection. */
const SILENCE_MS_MIN = 90_000;
const namespaces: Namespace[] = [];
const metrics = createMetrics();
const signal = new AbortController().signal;
let transport: HttpTransport;
let kube: HttpKube;
let reflector: Reflector | null = null;

const freshNamespace = async (): Promise<Namespace> => {
  const namespace = await Namespace.create('kube');
  namespaces.push(namespace);
  return namespace;
};

beforeAll(() => {
  transport = new HttpTransport({
    access: defaultAccess(),
    clock: systemClock,
    metrics: requestMetrics(metrics),
    userAgent: 'minikv-operator/test',
  });
  kube = new HttpKube(transport);
});

afterAll(async () => {
  await reflector?.stop();
  await transport.close();
  await Promise.all(namespaces.map((namespace) => namespace.close()));
});

describeKube('HttpKube', async () => ({
  kube,
  namespace: (await freshNamespace()).name,
  nudge: () => sleep(systemClock, NUDGE_MS),
  cleanUp: () => Promise.resolve(),
}));

describe('what a real server judges', () => {
  test('an event is accepted, and so is its count', async () => {
    const { name: namespace } = await freshNamespace();
    let laterMs = 0;
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + laterMs };
    const recorder = new EventRecorder({ kube, clock, logger: silentLogger }, { instance: 'test' });
    const about = await kube.create(
      KINDS.configMap,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace } },
      { signal },
    );
    const note = 'x'.repeat(2_000);
    const told = { about, type: 'Warning', reason: 'Tested', action: 'Test', note } as const;
    recorder.record(told);
    await recorder.idle();
    laterMs = 601_000;
    recorder.record(told);
    await recorder.stop();
    const { items } = await kube.list(KINDS.event, { namespace, signal });
    const own = items.filter((event) => fieldOf(event, 'regarding', 'uid') === about.metadata.uid);
    expect(own).toHaveLength(1);
    expect(own[0]).toMatchObject({ type: 'Warning', reason: 'Tested', series: { count: 2 } });
  });

  test('the lease is taken, renewed, handed back and taken again under a higher epoch', async () => {
    const { name: namespace } = await freshNamespace();
    const candidate = (identity: string): LeaderLease =>
      new LeaderLease(
        {
          kube,
          clock: systemClock,
          random: systemRandom,
          logger: silentLogger,
          metrics: leaseMetrics(createMetrics()),
        },
        { key: { namespace, name: 'lease' }, identity, ...LEASE_TIMES, retryMs: 300 },
      );
    const first = await candidate('a').acquire(signal);
    await sleep(systemClock, 1_500);
    first.assertFresh();
    const second = candidate('b').acquire(signal);
    await first.release();
    const next = await second;
    expect(next.epoch).toBeGreaterThan(first.epoch);
    await next.release();
  });

  test('a budget refuses an eviction with 429, and one without a budget ends the pod', async () => {
    const namespace = await freshNamespace();
    const labels = { guarded: 'yes' };
    const pod = probePod('probe');
    await namespace.apply({ ...pod, metadata: { name: 'probe', labels } });
    await namespace.condition('pod/probe', 'Ready', POD_START_MS);
    const metadata = { name: 'guard', namespace: namespace.name };
    const spec = { minAvailable: 1, selector: { matchLabels: labels } };
    const budget = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec };
    await kube.apply(KINDS.disruptionBudget, budget, { manager: 'test', signal });
    const key = { namespace: namespace.name, name: 'probe' };
    await namespace.waitFor('the budget to be seen', POD_START_MS, async () => {
      const stored = await kube.get(KINDS.disruptionBudget, metadata, { signal });
      return fieldOf(stored, 'status', 'currentHealthy') === 1;
    });
    const refused: unknown = await kube.evict(key, { signal }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(KubeError);
    expect(refused).toMatchObject({ code: 429, isTooManyRequests: true });
    expect(refused).toMatchObject({ causes: [{ reason: 'DisruptionBudget' }] });
    await kube.delete(KINDS.disruptionBudget, metadata, { propagation: 'Background', signal });
    await kube.evict(key, { signal });
    await namespace.waitFor('the end of the pod', POD_START_MS, async () => {
      const left = await kube.get(KINDS.pod, key, { signal });
      return left === null || left.metadata.deletionTimestamp !== undefined;
    });
  });

  test('a reflector hears bookmarks and changes over one connection each way', async () => {
    const { name: namespace } = await freshNamespace();
    const seen: string[] = [];
    const mirror = new Reflector(
      {
        kube,
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
        metrics: reflectorMetrics(createMetrics()),
        onChange: ({ kind, object }) => void seen.push(`${kind} ${object.metadata.name}`),
        onFatal: (error) => {
          throw error;
        },
      },
      { kind: KINDS.configMap, selection: { namespace, labelSelector: 'own=yes' } },
    );
    reflector = mirror;
    mirror.start();
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', namespace, labels: { own: 'yes' } },
    };
    const until = async (last: string): Promise<void> => {
      for (let i = 0; i < 100 && seen.at(-1) !== last; i += 1) await sleep(systemClock, 50);
      expect(seen.at(-1)).toBe(last);
    };
    await kube.create(KINDS.configMap, object, { signal });
    await until('added a');
    expect(mirror.store.get({ namespace, name: 'a' })?.metadata['managedFields']).toBeUndefined();
    // Though nothing happens, the server says how far it is: after 60 to 75 s, before the watchdog barks.
    const quietMs = (): number => mirror.silentMs;
    let longestMs = 0;
    while (quietMs() >= longestMs && longestMs < SILENCE_MS_MIN) {
      longestMs = quietMs();
      await sleep(systemClock, 500);
    }
    expect(longestMs).toBeLessThan(SILENCE_MS_MIN);
    await kube.delete(KINDS.configMap, object.metadata, { propagation: 'Background', signal });
    await until('deleted a');
  }, 180_000);

  test('nothing of all this was answered by a fault of the server', async () => {
    const counts = (await metrics.print()).split('\n');
    const faults = counts.filter((line) => /kube_requests_total.*code="5.."/.test(line));
    expect(faults).toEqual([]);
  });
});
