/** A whole Kubernetes in memory, one cluster, and operators that come and go. A turn is two seconds. */
import { systemRandom } from '../../../services/common/random.ts';
import { SECOND_MS } from '../../../services/common/units.ts';
import { silentLogger } from '../../../services/telemetry/logger.ts';
import { createMetrics } from '../../../services/telemetry/metrics.ts';
import { ManualClock } from '../../../services/testing/manual-clock.ts';
import { fieldOf, listOf } from '../../kube/json.ts';
import { KINDS } from '../../kube/kinds.ts';
import { stepBudgets } from '../../kube/testing/fake-budgets.ts';
import { FakeNodes } from '../../kube/testing/fake-nodes.ts';
import { stepStatefulSets } from '../../kube/testing/fake-stateful-sets.ts';
import { MemoryKube } from '../../kube/testing/memory-kube.ts';
import type { Call, Kind, KubeObject } from '../../kube/types.ts';
import type { PlanEvent } from '../../plan/types.ts';
import { reconcileMetrics } from '../metrics.ts';
import type { Pass } from '../pass.ts';
import { Reconciler } from '../reconciler.ts';
import { WATCHED } from '../view.ts';
import { FakeStore } from './fake-store.ts';

export const KEY = { namespace: 'store', name: 'demo' };
const call: Call = { signal: new AbortController().signal };

export class LoopWorld {
  readonly clock = new ManualClock();
  readonly kube = new MemoryKube(this.clock);
  readonly nodes = new FakeNodes(this.kube, this.clock);
  readonly store = new FakeStore(this.kube, this.nodes);
  readonly events: (PlanEvent & { readonly about: string })[] = [];
  /** Names of pods that were away at the same time as another of their role, for no reason of ours. */
  readonly broken: string[] = [];
  watchesAbsence = false;
  /** The cluster as the operator's cache has it while that lags; null: it does not. */
  laggingCr: KubeObject | null = null;
  operator = this.start(1);

  /** A new operator process, with no memory. */
  start(
    epoch: number,
    assertFresh: () => void = () => undefined,
  ): (key?: KubeObject) => Promise<number> {
    const reconciler = new Reconciler(
      {
        kube: this.kube,
        admin: this.store,
        clock: this.clock,
        random: systemRandom,
        logger: silentLogger,
        metrics: reconcileMetrics(createMetrics()),
        view: {
          get: async (kind, { namespace = '', name }) =>
            this.#cached(kind, namespace).find(({ metadata }) => metadata.name === name) ?? null,
          list: async (kind, namespace) => this.#cached(kind, namespace),
        },
        tell: ({ kind, metadata }, event) =>
          this.events.push({ ...event, about: `${kind}/${metadata.name}` }),
      },
      { adminNamespaces: ['minikv-system'] },
    );
    const leadership: Pass['leadership'] = { epoch, assertFresh };
    return async () => {
      const cr = this.laggingCr ?? this.kube.read(KINDS.cluster, KEY);
      return cr === null ? 0 : reconciler.reconcile(cr, leadership, call);
    };
  }

  /** What a cache that does not lag has: no object without the labels that it selects. */
  #cached(kind: Kind, namespace: string): readonly KubeObject[] {
    const { labelSelector } = WATCHED.find((one) => one.kind === kind) ?? {};
    return this.kube.all(kind, { namespace, ...(labelSelector && { labelSelector }) });
  }

  create(spec: Readonly<Record<string, unknown>> = {}): void {
    const { namespace, name } = KEY;
    this.kube.put(KINDS.cluster, {
      apiVersion: KINDS.cluster.apiVersion,
      kind: KINDS.cluster.kind,
      metadata: { name, namespace },
      spec: { image: 'minikv:0.1.0', ...spec },
    });
  }

  change(spec: Readonly<Record<string, unknown>>): void {
    this.kube.edit(KINDS.cluster, KEY, (object) => {
      object['spec'] = { ...(object['spec'] as object), ...spec };
    });
  }

  /** What everybody but the operator does in two seconds. */
  async turn(): Promise<void> {
    stepStatefulSets(this.kube, this.clock);
    this.store.step();
    this.nodes.step();
    stepBudgets(this.kube);
    this.kube.collectGarbage();
    if (this.watchesAbsence) this.#watch();
    await this.clock.advance(2 * SECOND_MS);
  }

  #watch(): void {
    for (const role of ['coordinator', 'volume']) {
      const pods = this.pods().filter(({ metadata }) => metadata.name.includes(role));
      const away = pods.filter((pod) => !isReady(pod));
      if (away.length > 1) this.broken.push(away.map(({ metadata }) => metadata.name).join(' '));
    }
  }

  /** Turns and passes until `isDone`, at most `turns` of them. */
  async until(isDone: () => boolean, turns = 300): Promise<void> {
    for (let i = 0; i < turns; i += 1) {
      await this.turn();
      await this.operator().catch(() => undefined);
      if (isDone()) return;
    }
    throw new Error(`never came to be: ${JSON.stringify(this.status)}`);
  }

  readonly isRunning = (): boolean =>
    fieldOf(this.status, 'phase') === 'Running' &&
    fieldOf(this.status, 'observedGeneration') === this.cr.metadata.generation &&
    this.pods().every(isReady);

  get cr(): KubeObject {
    return this.kube.read(KINDS.cluster, KEY)!;
  }

  get status(): unknown {
    return this.cr['status'];
  }

  condition(type: string): string {
    const found = listOf(fieldOf(this.status, 'conditions')).find(
      (one) => fieldOf(one, 'type') === type,
    );
    return `${String(fieldOf(found, 'status'))} ${String(fieldOf(found, 'reason'))}`;
  }

  pods(): readonly KubeObject[] {
    return this.kube.all(KINDS.pod);
  }

  images(): ReadonlySet<unknown> {
    return new Set(
      this.pods().map((pod) => fieldOf(listOf(fieldOf(pod, 'spec', 'containers'))[0], 'image')),
    );
  }

  get reasons(): readonly string[] {
    return this.events.map(({ reason }) => reason);
  }
}

const isReady = (pod: KubeObject): boolean =>
  listOf(fieldOf(pod, 'status', 'conditions')).some(
    (one) => fieldOf(one, 'type') === 'Ready' && fieldOf(one, 'status') === 'True',
  );
