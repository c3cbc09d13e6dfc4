/**
 * Writes what is set once: the id of the cluster, where it came from, and that it was formed. Its own
 * field manager, so that no other write can drop them.
 */
import { failpoint } from '../../services/common/failpoint.ts';
import { hexOf } from '../../services/common/ids.ts';
import { KINDS } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { IdentityIntent } from '../plan/types.ts';
import { MANAGER, type Pass } from './pass.ts';

const CLUSTER_ID_BYTES = 16;

export async function writeIdentity(pass: Pass, intent: IdentityIntent): Promise<void> {
  const { cr, random, tell } = pass;
  const isNew = cr.status?.clusterID === undefined;
  const clusterID = intent.clusterId ?? hexOf(random.bytes(CLUSTER_ID_BYTES));
  if (isNew) failpoint('identity.minted');
  else failpoint('bootstrap.before-latch');
  const isWritten = await write(pass, { ...intent, clusterId: clusterID });
  if (!isWritten) return;
  failpoint('identity.written');
  if (!isNew) return;
  const reason = intent.origin === 'New' ? 'ClusterIDMinted' : 'ClusterAdopted';
  tell({ type: 'Normal', reason, note: `the id of the cluster is ${clusterID}` });
}

/** False: another operator has set another one meanwhile, and the next look finds it. */
async function write({ cr, kube, call }: Pass, intent: IdentityIntent): Promise<boolean> {
  const { clusterId: clusterID, origin, bootstrapped } = intent;
  const { name, namespace = '', uid = '' } = cr.metadata;
  const object = {
    apiVersion: cr.apiVersion,
    kind: cr.kind,
    metadata: { name, namespace, uid },
    status: { clusterID, origin, ...(bootstrapped ? { bootstrapped } : {}) },
  };
  try {
    const options = { manager: `${MANAGER}-identity`, force: true, subresource: 'status' } as const;
    await kube.apply(KINDS.cluster, object, { ...options, ...call });
    return true;
  } catch (thrown) {
    if (thrown instanceof KubeError && (thrown.isInvalid || thrown.isConflict)) return false;
    throw thrown;
  }
}
