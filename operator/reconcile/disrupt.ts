/**
 * The dangerous part. What was planned from caches is planned once more from the API server itself, and
 * only if both say the same thing of the same pod, and the Lease is held at that very moment, it is done.
 * What then still goes wrong meets a precondition, a disruption budget or the epoch.
 */
import { failpoint } from '../../services/common/failpoint.ts';
import { KINDS } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/types.ts';
import { plan } from '../plan/plan.ts';
import { findPod } from '../plan/pods.ts';
import type { Action, Plan, PodDelete, Snapshot } from '../plan/types.ts';
import { targetOf } from './observe.ts';
import { DeposedError, type Pass } from './pass.ts';

const REFUSED_AGAIN_MS = 10_000;
const SOON_MS = 1000;

/** When to look again, if anything was tried; null: nothing was to be done. */
export async function disrupt(pass: Pass, planned: Plan): Promise<number | null> {
  const { broken, disruptive } = planned;
  if (broken === null && disruptive === null) return null;
  const snapshot = await pass.lookLive();
  const again = plan(snapshot);
  if (broken !== null) {
    return again.broken?.uid === broken.uid ? deleteBroken(pass, again.broken) : SOON_MS;
  }
  if (again.disruptive === null || !isSame(disruptive, again.disruptive)) return SOON_MS;
  if (again.disruptive.kind === 'evict') return evict(pass, again.disruptive);
  return transfer(pass, snapshot, again.disruptive);
}

function isSame(a: Action | null, b: Action): boolean {
  if (a?.kind === 'evict') return b.kind === 'evict' && a.uid === b.uid;
  return a?.kind === 'transfer' && b.kind === 'transfer' && a.from === b.from && a.to === b.to;
}

async function deleteBroken(pass: Pass, broken: PodDelete): Promise<number> {
  const { pod, uid, rv } = broken;
  const { kube, cr, leadership, metrics, call, tell } = pass;
  const key = { namespace: cr.metadata.namespace ?? '', name: pod };
  leadership.assertFresh();
  failpoint('broken.before-delete');
  try {
    const options = { uid, resourceVersion: rv, propagation: 'Background' } as const;
    await kube.delete(KINDS.pod, key, { ...options, ...call });
  } catch (thrown) {
    if (isOvertaken(thrown)) return SOON_MS;
    throw thrown;
  }
  failpoint('broken.deleted');
  metrics.disruptions.add(1, { action: 'delete-broken' });
  const note = `${pod} is broken and of an older template: deleted, to be made anew`;
  tell({ type: 'Normal', reason: 'BrokenPodDeleted', note }, podOf(pass, broken));
  return SOON_MS;
}

/** What happens to a pod is told of that pod: told of the cluster, all pods of a roll would be one event. */
const podOf = ({ cr }: Pass, { pod, uid }: PodDelete): KubeObject => ({
  apiVersion: KINDS.pod.apiVersion,
  kind: KINDS.pod.kind,
  metadata: { name: pod, namespace: cr.metadata.namespace ?? '', uid },
});

/** Somebody was faster: the next look decides. */
const isOvertaken = (thrown: unknown): boolean =>
  thrown instanceof KubeError && (thrown.isConflict || thrown.isNotFound);

async function evict(pass: Pass, action: Extract<Action, { kind: 'evict' }>): Promise<number> {
  const { pod, uid, rv } = action;
  const { kube, cr, memory, leadership, metrics, clock, call, tell } = pass;
  const key = { namespace: cr.metadata.namespace ?? '', name: pod };
  leadership.assertFresh();
  failpoint('evict.before');
  memory.open = { kind: 'evict', atMs: clock.wallMs(), pod, oldUid: uid };
  try {
    await kube.evict(key, { uid, resourceVersion: rv, ...call });
  } catch (thrown) {
    if (thrown instanceof KubeError && !thrown.isUnknown) memory.open = null;
    // Never by a delete instead: the budget is what stops an operator that wakes up late.
    if (thrown instanceof KubeError && thrown.isTooManyRequests) return REFUSED_AGAIN_MS;
    if (isOvertaken(thrown)) return SOON_MS;
    if (thrown instanceof KubeError) {
      const note = `the eviction of ${pod} failed and is tried again: ${thrown.message}`;
      tell({ type: 'Warning', reason: 'EvictionFailed', note }, podOf(pass, action));
    }
    throw thrown;
  }
  failpoint('evict.done');
  metrics.disruptions.add(1, { action: 'evict' });
  const note = `${pod} is evicted, to take the new template`;
  tell({ type: 'Normal', reason: 'PodEvicted', note }, podOf(pass, action));
  return SOON_MS;
}

async function transfer(
  pass: Pass,
  snapshot: Snapshot,
  action: Extract<Action, { kind: 'transfer' }>,
): Promise<number> {
  const { admin, memory, leadership, metrics, clock, call, tell } = pass;
  const { from, to, toNodeId, expectedTerm } = action;
  const leader = findPod(snapshot, from);
  if (leader === undefined || snapshot.cluster === 'unknown') return SOON_MS;
  leadership.assertFresh();
  failpoint('transfer.before');
  const caller = { clusterId: snapshot.cluster.clusterId, epoch: leadership.epoch };
  const request = { to: toNodeId, expectedTerm, ...caller };
  const outcome = await admin.transferLeader(targetOf(leader), request, call.signal);
  failpoint('transfer.done');
  if (outcome.kind === 'deposed') throw new DeposedError('a later operator has acted');
  if (outcome.kind !== 'done') {
    memory.noteTransferRefused(clock.wallMs());
    pass.logger.info({ outcome, to }, 'leadership was not transferred');
    return SOON_MS;
  }
  memory.open = { kind: 'transfer', atMs: clock.wallMs(), oldLeader: from };
  metrics.disruptions.add(1, { action: 'transfer' });
  tell({
    type: 'Normal',
    reason: 'LeaderTransferred',
    note: `leadership goes from ${from} to ${to}`,
  });
  return SOON_MS;
}
