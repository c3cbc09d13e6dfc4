/** Carries out what is asked of the store besides leadership: forming it, and the zones of volumes. */

import { failpoint } from '../../services/common/failpoint.ts';
import type { Outcome } from '../admin/types.ts';
import { findPod } from '../plan/pods.ts';
import type { AdminCall, Snapshot } from '../plan/types.ts';
import { targetOf } from './observe.ts';
import { DeposedError, type Pass } from './pass.ts';

/** One after the other; the first that does not end well ends them, and the next look decides anew. */
export async function makeCalls(
  pass: Pass,
  snapshot: Snapshot,
  calls: readonly AdminCall[],
): Promise<void> {
  let bootstraps = 0;
  for (const call of calls) {
    if (call.kind === 'bootstrap')
      failpoint(bootstraps === 0 ? 'bootstrap.before' : 'bootstrap.partial');
    const outcome = await make(pass, snapshot, call);
    if (call.kind === 'zone') failpoint('zone.sent');
    else bootstraps += 1;
    if (outcome.kind === 'deposed') throw new DeposedError('a later operator has acted');
    if (outcome.kind !== 'done') {
      pass.logger.info({ call: call.kind, outcome }, 'admin call did not take effect');
      return;
    }
  }
}

async function make(pass: Pass, snapshot: Snapshot, call: AdminCall): Promise<Outcome> {
  const { admin, leadership, call: options } = pass;
  if (call.kind === 'bootstrap') {
    const pod = findPod(snapshot, call.pod);
    if (pod === undefined) return gone(call.pod);
    leadership.assertFresh();
    const { clusterId, members } = call;
    return admin.bootstrap(targetOf(pod), { clusterId, members }, options.signal);
  }
  const { cluster } = snapshot;
  const leader = cluster === 'unknown' ? undefined : findPod(snapshot, cluster.leader.name);
  if (leader === undefined || cluster === 'unknown') return gone('the leader');
  leadership.assertFresh();
  const { volume, disk, zone } = call;
  const caller = { clusterId: cluster.clusterId, epoch: leadership.epoch };
  return admin.setZone(targetOf(leader), { volume, disk, zone, ...caller }, options.signal);
}

const gone = (what: string): Outcome => ({
  kind: 'refused',
  code: 'UNAVAILABLE',
  message: `${what} is not there`,
});
