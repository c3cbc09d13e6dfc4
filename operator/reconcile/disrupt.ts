/**
 * The dangerous part. What was planned from caches is planned once more from the API server itself, and
 * only if both say the same thing of the same pod, and the Lease is held at that very moment, it is done.
 * What then still goes wrong meets a precondition, a disruption budget or the epoch.
 */
import { KINDS } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import { plan } from '../plan/plan.ts';
import { findPod } from '../plan/pods.ts';
import type { Action, Plan, PodDelete, Snapshot } from '../plan/types.ts';
import { targetOf } from './observe.ts';
import { DeposedError, type Pass, step } from './pass.ts';

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

async function deleteBroken(pass: Pass, { pod, uid, rv }: PodDelete): Promise<number> {
  const { kube, cr, leadership, metrics, call, tell } = pass;
  const key = { namespace: cr.metadata.namespace ?? '', name: pod };
  step('broken.before-delete');
  leadership.assertFresh();
  try {
    const options = { uid, resourceVersion: rv, propagation: 'Background' } as const;
    await kube.delete(KINDS.pod, key, { ...options, ...call });
  } catch (thrown) {
    if (isOvertaken(thrown)) return SOON_MS;
    throw thrown;
  }
  step('broken.deleted');
  metrics.disruptions.add(1, { action: 'delete-broken' });
  const note = `${pod} is broken and of an older template: deleted, to be made anew`;
  tell({ type: 'Normal', reason: 'BrokenPodDeleted', note });
  return SOON_MS;
}

/** Somebody was faster: the next look decides. */
const isOvertaken = (thrown: unknown): boolean =>
  thrown instanceof KubeError && (thrown.isConflict || thrown.isNotFound);

async function evict(
  pass: Pass,
  { pod, uid, rv }: Extract<Action, { kind: 'evict' }>,
): Promise<number> {
  const { kube, cr, memory, leadership, metrics, call, tell } = pass;
  const key = { namespace: cr.metadata.namespace ?? '', name: pod };
  step('evict.before');
  leadership.assertFresh();
  memory.open = { kind: 'evict', pod, oldUid: uid };
  try {
    await kube.evict(key, { uid, resourceVersion: rv, ...call });
  } catch (thrown) {
    if (thrown instanceof KubeError && !thrown.isUnknown) memory.open = null;
    // Never by a delete instead: the budget is what stops an operator that wakes up late.
    if (thrown instanceof KubeError && thrown.isTooManyRequests) return REFUSED_AGAIN_MS;
    if (isOvertaken(thrown)) return SOON_MS;
    throw thrown;
  }
  step('evict.done');
  metrics.disruptions.add(1, { action: 'evict' });
  tell({
    type: 'Normal',
    reason: 'PodEvicted',
    note: `${pod} is evicted, to take the new template`,
  });
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
  step('transfer.before');
  leadership.assertFresh();
  const caller = { clusterId: snapshot.cluster.clusterId, epoch: leadership.epoch };
  const request = { to: toNodeId, expectedTerm, ...caller };
  const outcome = await admin.transferLeader(targetOf(leader), request, call.signal);
  step('transfer.done');
  if (outcome.kind === 'deposed') throw new DeposedError('a later operator has acted');
  if (outcome.kind !== 'done') {
    memory.noteTransferRefused(clock.wallMs());
    pass.logger.info({ outcome, to }, 'leadership was not transferred');
    return SOON_MS;
  }
  memory.open = { kind: 'transfer', oldLeader: from };
  metrics.disruptions.add(1, { action: 'transfer' });
  tell({
    type: 'Normal',
    reason: 'LeaderTransferred',
    note: `leadership goes from ${from} to ${to}`,
  });
  return SOON_MS;
}
