/** Several kinds over one, several or all namespaces. */
import { afterEach, expect, test } from '@jest/globals';
import { seededRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { CountingMetrics } from '../../services/testing/storage-rig.ts';
import { Informers } from './informers.ts';
import { KINDS } from './kinds.ts';
import { reflectorMetrics } from './metrics.ts';
import { MemoryKube } from './testing/memory-kube.ts';

const clock = new ManualClock();
let informers: Informers;
afterEach(() => informers.stop());

const world = async (namespaces: readonly string[]) => {
  const kube = new MemoryKube(clock);
  const metrics = new CountingMetrics();
  const told: string[] = [];
  for (const namespace of ['a', 'b', 'c']) {
    for (const kind of [KINDS.configMap, KINDS.service]) {
      const metadata = { name: 'x', namespace, labels: { of: namespace } };
      kube.put(kind, { apiVersion: kind.apiVersion, kind: kind.kind, metadata });
    }
  }
  informers = new Informers(
    {
      kube,
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      metrics: reflectorMetrics(metrics),
      onChange: (kind, { object }) => void told.push(`${kind.kind} ${object.metadata.namespace}`),
      onFatal: (error) => {
        throw error;
      },
    },
    {
      kinds: [{ kind: KINDS.configMap, labelSelector: 'of in (a, b)' }, { kind: KINDS.service }],
      namespaces,
    },
  );
  expect(informers.isReady).toBe(false);
  informers.start();
  await clock.flush();
  expect(informers.isReady).toBe(true);
  return { kube, metrics, told: () => told.toSorted() };
};

test('all namespaces: one watch a kind, and selectors by kind', async () => {
  const { kube, told } = await world([]);
  expect(kube.watchCount).toBe(2);
  expect(told()).toEqual(['ConfigMap a', 'ConfigMap b', 'Service a', 'Service b', 'Service c']);
  expect(informers.get(KINDS.service, { namespace: 'c', name: 'x' })?.kind).toBe('Service');
  expect(informers.list(KINDS.configMap, 'c')).toEqual([]);
  expect(informers.list(KINDS.configMap, 'a')).toHaveLength(1);
  expect(informers.get(KINDS.pod, { namespace: 'a', name: 'x' })).toBeNull();
  expect(informers.hasSynced('any')).toBe(true);
});

test('some namespaces: nothing is asked for elsewhere', async () => {
  const { kube, told } = await world(['a', 'c']);
  expect(told()).toEqual(['ConfigMap a', 'Service a', 'Service c']);
  expect(new Set(kube.calls.map(({ namespace }) => namespace))).toEqual(new Set(['a', 'c']));
  expect(informers.get(KINDS.service, { namespace: 'b', name: 'x' })).toBeNull();
  expect(['a', 'b', 'c'].map((namespace) => informers.hasSynced(namespace))).toEqual([
    true,
    false,
    true,
  ]);
});

test('the longest silence counts', async () => {
  const { metrics } = await world(['a', 'c']);
  await clock.advance(5_000);
  expect(informers.idleMs).toBe(5_000);
  expect(await metrics.print()).toContain(
    'minikv_operator_last_event_age_seconds{kind="Service"} 5',
  );
});
