/**
 * One pass over one cluster: look, decide, act, say. Each pass derives everything anew; whatever fails is
 * looked at again, and nothing that fails keeps a later part from being tried unless it would build on it.
 */
import { asError } from '../../services/common/errors.ts';
import { parseCluster } from '../api/cluster.ts';
import type { Call, KubeObject } from '../kube/types.ts';
import { isMet } from '../plan/open.ts';
import { plan } from '../plan/plan.ts';
import type { Plan, PlanEvent, Snapshot } from '../plan/types.ts';
import { carryOut } from './apply.ts';
import { makeCalls } from './calls.ts';
import { disrupt } from './disrupt.ts';
import { writeIdentity } from './identity.ts';
import { ClusterMemory } from './memory.ts';
import { type Looked, Observer } from './observe.ts';
import type { Pass, PassComponents } from './pass.ts';
import { measure, writeStatus } from './status.ts';
import { liveView, type View } from './view.ts';

export interface ReconcilerComponents extends PassComponents {
  readonly view: View;
  readonly tell: (about: KubeObject, event: PlanEvent) => void;
}

export interface ReconcilerOptions {
  readonly adminNamespaces: readonly string[];
}

const UNREADABLE_MS = 60_000;
const NAMESPACE_MS = 60_000;

export class Reconciler {
  readonly #parts: ReconcilerComponents;
  readonly #observer: Observer;
  /** By uid: a cluster made anew under its name shares nothing with the one before. */
  readonly #memories = new Map<string, ClusterMemory>();

  constructor(parts: ReconcilerComponents, options: ReconcilerOptions) {
    this.#parts = parts;
    this.#observer = new Observer(parts, options);
  }

  forget(uid: string): void {
    this.#memories.delete(uid);
  }

  /** Answers when the cluster is to be looked at again. @throws KubeError, DeposedError, LeaseLostError. */
  async reconcile(cached: KubeObject, leadership: Pass['leadership'], call: Call): Promise<number> {
    const memory = this.#memoryOf(cached.metadata.uid ?? '');
    const object = memory.freshestCluster(cached);
    const parsed = parseCluster(object);
    if (parsed.kind === 'invalid') {
      const { name, namespace } = object.metadata;
      this.#parts.logger.warn({ name, namespace, problems: parsed.problems }, 'cluster unreadable');
      return UNREADABLE_MS;
    }
    const { cluster: cr } = parsed;
    const { view, kube } = this.#parts;
    const looked: Looked = { cr, view, memory, call };
    const pass: Pass = {
      ...this.#parts,
      cr,
      memory,
      leadership,
      call,
      tell: (event, about = object) => this.#parts.tell(about, event),
      lookLive: () => this.#observer.look({ ...looked, view: liveView(kube, view, call) }),
    };
    return this.#run(pass, looked);
  }

  async #run(pass: Pass, looked: Looked): Promise<number> {
    const snapshot = await this.#observer.look(looked);
    const { memory } = pass;
    if (memory.open !== null && isMet(snapshot, memory.open)) memory.open = null;
    const planned = plan({ ...snapshot, open: memory.open });
    if (planned.identity !== null) await writeIdentity(pass, planned.identity);
    const acted = await this.#act(pass, snapshot, planned);
    for (const event of planned.events) pass.tell(event);
    measure(pass, planned.status);
    const wordsMs = await writeStatus(pass, planned.status);
    if (acted.failure !== null) throw acted.failure;
    return Math.min(jittered(pass, acted.requeueMs), wordsMs ?? Number.POSITIVE_INFINITY);
  }

  async #act(
    pass: Pass,
    snapshot: Snapshot,
    planned: Plan,
  ): Promise<{ readonly requeueMs: number; readonly failure: Error | null }> {
    const applied = await carryOut(pass, snapshot, planned.applies);
    if (applied.isNamespaceTerminating) {
      pass.logger.info({ namespace: snapshot.cr.namespace }, 'namespace is going away');
      return { requeueMs: NAMESPACE_MS, failure: null };
    }
    if (applied.failure !== null) {
      pass.logger.warn({ error: asError(applied.failure) }, 'an apply failed');
    }
    await makeCalls(pass, snapshot, planned.calls);
    const triedMs = await disrupt(pass, planned);
    return { requeueMs: triedMs ?? planned.requeueMs, failure: applied.failure };
  }

  #memoryOf(uid: string): ClusterMemory {
    const memory = this.#memories.get(uid) ?? new ClusterMemory();
    this.#memories.set(uid, memory);
    return memory;
  }
}

/** Ten per cent either way, so that many clusters do not come in step. */
function jittered({ random }: Pass, ms: number): number {
  const tenth = Math.floor(ms / 10);
  return tenth === 0 ? ms : ms - tenth + random.below(2 * tenth + 1);
}
