/**
 * Writes status when it has changed, so that a settled cluster is never written. A message that alone
 * differs waits until ten seconds after the last write: it may count something.
 */
import { failpoint } from '../../services/common/failpoint.ts';
import type { ClusterStatus } from '../api/cluster.ts';
import { CONDITION_REASONS } from '../api/conditions.ts';
import { contentHash } from '../desired/manifest.ts';
import { KINDS } from '../kube/kinds.ts';
import type { StatusIntent } from '../plan/types.ts';
import { MANAGER, type Pass } from './pass.ts';

const MESSAGE_MS = 10_000;

type Written = Omit<ClusterStatus, 'clusterID' | 'origin' | 'bootstrapped'>;

/** Milliseconds until what was held back is due; null: nothing is. */
export async function writeStatus(pass: Pass, intent: StatusIntent): Promise<number | null> {
  const { cr, kube, memory, clock, call } = pass;
  const next = statusOf(intent, cr.metadata.generation ?? 0);
  const before = cr.status ?? {};
  if (likeness(before, 'whole') === likeness(next, 'whole')) return null;
  const sinceMs = clock.monotonicMs() - memory.statusWrittenMs;
  const isTalk = likeness(before, 'without-words') === likeness(next, 'without-words');
  if (isTalk && sinceMs < MESSAGE_MS) return MESSAGE_MS - sinceMs;
  const { name, namespace = '', uid = '' } = cr.metadata;
  const object = {
    apiVersion: cr.apiVersion,
    kind: cr.kind,
    metadata: { name, namespace, uid },
    status: next,
  };
  failpoint('status.before');
  const options = { manager: `${MANAGER}-status`, force: true, subresource: 'status' } as const;
  const written = await kube.apply(KINDS.cluster, object, { ...options, ...call });
  memory.noteStatus(written, cr.metadata.resourceVersion ?? null);
  memory.statusWrittenMs = clock.monotonicMs();
  failpoint('status.done');
  return null;
}

/**
 * A condition is of the spec that is in force, so who waits for one after a change is not answered by what
 * was before it. Suspension needs nothing but the wish: it is of the newest spec at once.
 */
const statusOf = (intent: StatusIntent, generation: number): Written => ({
  ...intent,
  conditions: intent.conditions.map(({ sinceMs, ...condition }) => ({
    ...condition,
    observedGeneration:
      condition.type === 'Suspended' ? generation : (intent.observedGeneration ?? 0),
    lastTransitionTime: timeText(sinceMs),
  })),
});

/** To the second, as Kubernetes writes times. */
const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** Equal for equal status, as far as this manager owns it. */
function likeness(status: ClusterStatus, depth: 'whole' | 'without-words'): string {
  const {
    clusterID: _id,
    origin: _origin,
    bootstrapped: _latch,
    conditions = [],
    ...rest
  } = status;
  const sorted = conditions.toSorted((a, b) => (a.type < b.type ? -1 : 1));
  const judged = sorted.map(({ message, ...condition }) =>
    depth === 'whole' ? { ...condition, message } : condition,
  );
  return contentHash({ ...rest, conditions: judged });
}

/** What a plan says of its cluster, as metrics. */
export function measure({ metrics, cr }: Pass, { conditions }: StatusIntent): void {
  const cluster = `${cr.metadata.namespace ?? ''}/${cr.metadata.name}`;
  for (const { type, status, reason } of conditions) {
    metrics.conditions.set(VALUES[status], { cluster, type });
    if (type !== 'RollBlocked') continue;
    for (const known of BLOCKS) {
      metrics.gateBlocked.set(status === 'True' && known === reason ? 1 : 0, {
        cluster,
        reason: known,
      });
    }
  }
}

const VALUES = { True: 1, False: 0, Unknown: -1 } as const;
const BLOCKS = CONDITION_REASONS.RollBlocked.True;
