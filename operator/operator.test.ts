/** The operator's parts together, over an API server in memory and a clock by hand. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../services/common/random.ts';
import type { OperatorOptions } from '../services/config/options.ts';
import { type Logger, silentLogger } from '../services/telemetry/logger.ts';
import { createMetrics } from '../services/telemetry/metrics.ts';
import { ManualClock } from '../services/testing/manual-clock.ts';
import type { ControllerDefinition, ControllerParts } from './kube/controller.ts';
import { fieldOf } from './kube/json.ts';
import { KINDS } from './kube/kinds.ts';
import { KubeError } from './kube/kube-error.ts';
import { LEASE_TIMES, LeaseLostError } from './kube/lease.ts';
import { MemoryKube, type SeenCall } from './kube/testing/memory-kube.ts';
import { Operator } from './operator.ts';

let clock: ManualClock;
let kube: MemoryKube;
let looks: string[];
let parts: ControllerParts[];
let running: Running[];
let onLook: (made: ControllerParts) => Promise<void>;
let warnings: string[];
/** Who held the Lease when a process was told to end. */
let holders: unknown[];
let seed = 0;

interface Running {
  readonly operator: Operator;
  readonly fatal: Error[];
  readonly ask: (path: string) => Promise<{ status: number; text: string }>;
}

beforeEach(() => {
  clock = new ManualClock();
  kube = new MemoryKube(clock);
  looks = [];
  parts = [];
  running = [];
  onLook = async () => undefined;
  warnings = [];
  holders = [];
});
afterEach(async () => {
  kube.intercept = null;
  for (const { operator } of running) await stopped(operator);
});

/** Looks at every cluster, and again when a Pod in its namespace changes. */
const definition: ControllerDefinition = {
  kind: KINDS.cluster,
  watched: [{ kind: KINDS.cluster }, { kind: KINDS.pod }],
  make(made) {
    parts.push(made);
    return {
      keysOf: (kind, { object }) => [
        kind === KINDS.cluster
          ? `${object.metadata.namespace}/${object.metadata.name}`
          : `${object.metadata.namespace}/kv`,
      ],
      reconcile: async (key) => {
        looks.push(key);
        await onLook(made);
        return { requeueMs: 60_000 };
      },
    };
  },
};
const OPTIONS: OperatorOptions = {
  watchNamespaces: [],
  adminNamespaces: [],
  podName: 'op',
  podNamespace: 'system',
  bind: { host: '127.0.0.1', port: 0 },
  workers: 2,
  lease: LEASE_TIMES,
  logLevel: 'silent',
  terminationLog: null,
};

const LEASE = { namespace: 'system', name: 'minikv-operator' };
const logger: Logger = {
  ...silentLogger,
  warn: ({ namespace }, message) => void warnings.push(`${String(namespace)}: ${message}`),
};
/** What lists are answered with where `isRefused` says so. */
const refuse = (code: number, isRefused: (call: SeenCall) => boolean): void => {
  kube.intercept = (call) => {
    if (call.verb !== 'list' || !isRefused(call)) return undefined;
    throw new KubeError({ code, reason: 'Refused', message: 'refused' });
  };
};

async function started(options: Partial<OperatorOptions> = {}): Promise<Running> {
  const fatal: Error[] = [];
  seed += 1;
  const operator = new Operator(
    {
      kube,
      clock,
      random: seededRandom(seed),
      logger,
      metrics: createMetrics(),
      onFatal: (error) => {
        fatal.push(error);
        holders.push(fieldOf(kube.read(KINDS.lease, LEASE), 'spec', 'holderIdentity'));
      },
    },
    { ...OPTIONS, ...options },
    definition,
  );
  const port = await operator.start();
  const ask = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: answer.status, text: await answer.text() };
  };
  const one = { operator, fatal, ask };
  running.push(one);
  await clock.flush();
  return one;
}

/** A stop waits for timers; the test's clock has to move for them. */
async function stopped(operator: Operator): Promise<void> {
  let isDone = false;
  const done = operator.stop().then(() => {
    isDone = true;
  });
  while (!isDone) {
    await clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await done;
  running = running.filter((one) => one.operator !== operator);
}

const cluster = (namespace: string): void => {
  const metadata = { name: 'kv', namespace };
  kube.put(KINDS.cluster, { apiVersion: 'minikv.io/v1alpha1', kind: 'MiniKVCluster', metadata });
};
const pod = (namespace: string): void => {
  kube.put(KINDS.pod, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace } });
};

describe('work', () => {
  test('a term begins with a look at every cluster, and goes on with what changes', async () => {
    cluster('a');
    cluster('b');
    await started();
    expect(looks.toSorted()).toEqual(['a/kv', 'b/kv']);
    pod('b');
    await clock.flush();
    expect(looks).toHaveLength(3);
    expect(looks[2]).toBe('b/kv');
    await clock.advance(60_000);
    expect(looks).toHaveLength(5);
  });

  test('namespaces that are not watched are not looked at', async () => {
    cluster('a');
    cluster('b');
    await started({ watchNamespaces: ['b'] });
    expect(looks).toEqual(['b/kv']);
  });

  test('a standby looks at nothing, and at everything once it leads', async () => {
    cluster('a');
    const first = await started();
    const second = await started();
    expect(parts).toHaveLength(1);
    expect((await second.ask('/readyz')).status).toBe(200);
    await stopped(first.operator);
    looks.length = 0;
    await clock.advance(7_000);
    expect(looks).toEqual(['a/kv']);
    expect(parts[1]?.leadership.epoch).toBeGreaterThan(parts[0]?.leadership.epoch ?? Infinity);
    expect(second.fatal).toEqual([]);
  });

  test('a lost Lease ends the process', async () => {
    cluster('a');
    const { fatal } = await started();
    kube.edit(KINDS.lease, LEASE, (object) => {
      (object['spec'] as Record<string, unknown>)['holderIdentity'] = 'other';
    });
    await clock.advance(5_000);
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toBeInstanceOf(LeaseLostError);
  });

  test('who gives its term up has handed the Lease back before the process ends', async () => {
    cluster('a');
    onLook = ({ leadership }) => leadership.release();
    const { fatal } = await started();
    await clock.advance(1000);
    expect(fatal).toHaveLength(1);
    expect(holders).toEqual(['']);
  });

  test('a stop before anything was reached ends too', async () => {
    kube.intercept = () => new Promise(() => undefined);
    const { operator, fatal } = await started();
    await stopped(operator);
    expect(fatal).toEqual([]);
    expect(looks).toEqual([]);
  });
});

describe('a namespace that cannot be read', () => {
  const watchNamespaces = ['a', 'b'];

  test.each([403, 404])('does not hold up the others (%d)', async (code) => {
    refuse(code, ({ namespace }) => namespace === 'b');
    cluster('a');
    cluster('b');
    const { ask } = await started({ watchNamespaces });
    await clock.advance(60_000);
    expect((await ask('/readyz')).status).toBe(200);
    expect(new Set(looks)).toEqual(new Set(['a/kv']));
    expect(warnings.filter((line) => line.startsWith('b: '))).toHaveLength(1);
  });

  test('is taken up as soon as all of it can be', async () => {
    refuse(403, ({ namespace, resource }) => namespace === 'b' && resource === 'pods');
    cluster('a');
    cluster('b');
    await started({ watchNamespaces });
    await clock.advance(60_000);
    expect(looks).toContain('a/kv');
    expect(looks).not.toContain('b/kv');
    kube.intercept = null;
    await clock.advance(60_000);
    expect(looks).toContain('b/kv');
  });

  test.each<[string, readonly string[]]>([
    ['every one', watchNamespaces],
    ['the only view there is', []],
  ])('makes nobody ready when it is %s', async (_what, namespaces) => {
    refuse(403, () => true);
    const { ask } = await started({ watchNamespaces: namespaces });
    await clock.advance(60_000);
    expect((await ask('/readyz')).status).toBe(503);
    expect(parts).toEqual([]);
  });

  test('is not one that is slow or fails: all wait for that', async () => {
    cluster('a');
    refuse(500, ({ namespace }) => namespace === 'b');
    const { ask } = await started({ watchNamespaces });
    await clock.advance(60_000);
    expect((await ask('/readyz')).status).toBe(503);
    expect(looks).toEqual([]);
    kube.intercept = null;
    await clock.advance(60_000);
    expect(looks).toContain('a/kv');
  });
});

describe('health', () => {
  test('is ready once the caches are filled, whoever leads', async () => {
    kube.intercept = () => new Promise(() => undefined);
    const { ask } = await started();
    expect((await ask('/readyz')).status).toBe(503);
    expect((await ask('/livez')).status).toBe(200);
    kube.intercept = null;
    await clock.advance(40_000);
    expect((await ask('/readyz')).status).toBe(200);
  });

  test('an API server that is away makes no process unlive: it is tried again', async () => {
    kube.intercept = () => {
      throw new Error('away');
    };
    const { ask } = await started();
    await clock.advance(30 * 60_000);
    expect((await ask('/livez')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(503);
  });

  test('a watch that neither hears nor tries makes it unlive', async () => {
    const { ask } = await started();
    const nowMs = clock.monotonicMs();
    clock.monotonicMs = () => nowMs + 6 * 60_000;
    expect((await ask('/livez')).status).toBe(503);
  });

  test('metrics are there, and nothing else', async () => {
    const { ask } = await started();
    expect((await ask('/metrics')).text).toContain('minikv_operator_is_leader 1');
    expect((await ask('/')).status).toBe(404);
  });
});
