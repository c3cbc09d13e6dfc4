/**
 * Where objects are read from: the caches, or the API server itself for what a dangerous step stands on.
 */

import type { Informers } from '../kube/informers.ts';
import { KINDS } from '../kube/kinds.ts';
import type { Call, Kind, Kube, KubeObject, ObjectKey } from '../kube/types.ts';

export interface View {
  get(kind: Kind, key: ObjectKey): Promise<KubeObject | null>;
  list(kind: Kind, namespace: string): Promise<readonly KubeObject[]>;
}

/** Selects what the operator made, and whatever wears the same labels. */
export const OURS = 'app.kubernetes.io/name=minikv';

/** Kinds with a cache, and what it holds. Claims have no selector: one without our label matters too. */
export const WATCHED: readonly { readonly kind: Kind; readonly labelSelector?: string }[] = [
  { kind: KINDS.cluster },
  { kind: KINDS.claim },
  ...[
    KINDS.statefulSet,
    KINDS.pod,
    KINDS.service,
    KINDS.configMap,
    KINDS.serviceAccount,
    KINDS.disruptionBudget,
    KINDS.networkPolicy,
  ].map((kind) => ({ kind, labelSelector: OURS })),
];

export const isWatched = (kind: Kind): boolean => WATCHED.some((watched) => watched.kind === kind);

export const cachedView = (informers: Pick<Informers, 'get' | 'list'>): View => ({
  get: (kind, key) => Promise.resolve(informers.get(kind, key)),
  list: (kind, namespace) => Promise.resolve(informers.list(kind, namespace)),
});

const LIVE: ReadonlySet<Kind> = new Set([
  KINDS.statefulSet,
  KINDS.pod,
  KINDS.claim,
  KINDS.disruptionBudget,
]);
const PAGE_ITEMS = 500;

/** StatefulSets, pods, claims and budgets from the server, the rest as `cached` has it. */
export const liveView = (kube: Kube, cached: View, call: Call): View => ({
  get: (kind, key) => (LIVE.has(kind) ? kube.get(kind, key, call) : cached.get(kind, key)),
  async list(kind, namespace) {
    if (!LIVE.has(kind)) return cached.list(kind, namespace);
    const selection = kind === KINDS.claim ? { namespace } : { namespace, labelSelector: OURS };
    const items: KubeObject[] = [];
    let continueFrom: string | null = null;
    do {
      const next: { continueFrom?: string } = continueFrom === null ? {} : { continueFrom };
      const page = await kube.list(kind, { ...selection, ...next, limit: PAGE_ITEMS, ...call });
      items.push(...page.items);
      continueFrom = page.next;
    } while (continueFrom !== null);
    return items;
  },
});
