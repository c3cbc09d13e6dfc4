/** Carries out the steps that disturb no pod: all at once, each failing without the others. */

import { present } from '../../services/common/assert.ts';
import { asError } from '../../services/common/errors.ts';
import { failpoint } from '../../services/common/failpoint.ts';
import { KINDS } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { Kind } from '../kube/types.ts';
import type { Snapshot, Step } from '../plan/types.ts';
import { MANAGER, type Pass } from './pass.ts';
import { eventOfStep } from './step-events.ts';

export interface Applied {
  /** The first failure that is worth another try soon. */
  readonly failure: Error | null;
  readonly isNamespaceTerminating: boolean;
}

export async function carryOut(
  pass: Pass,
  snapshot: Snapshot,
  steps: readonly Step[],
): Promise<Applied> {
  const ends = await Promise.all(steps.map((step) => one(pass, snapshot, step)));
  return {
    failure: ends.find((end) => end instanceof Error) ?? null,
    isNamespaceTerminating: ends.includes('namespace-terminating'),
  };
}

type End = 'done' | 'namespace-terminating' | Error;

async function one(pass: Pass, snapshot: Snapshot, step: Step): Promise<End> {
  try {
    failpoint('apply.each');
    await execute(pass, snapshot, step);
    const event = eventOfStep(snapshot, step);
    if (event !== null) pass.tell(event);
    return 'done';
  } catch (thrown) {
    return judge(pass, step, thrown);
  }
}

async function execute(pass: Pass, snapshot: Snapshot, step: Step): Promise<void> {
  const { kube, memory, call, cr } = pass;
  const { namespace = '' } = cr.metadata;
  switch (step.kind) {
    case 'apply': {
      const { key, manifest, hash } = step;
      const options = { manager: MANAGER, force: true, ...call };
      const object = await kube.apply(kindAt(key), manifest, options);
      memory.noteApplied(key, { hash, object, replacedRv: snapshot.live[key]?.rv ?? null });
      return;
    }
    case 'delete': {
      const at = { namespace, name: nameIn(step.key) };
      await kube.delete(kindAt(step.key), at, {
        uid: step.uid,
        propagation: 'Background',
        ...call,
      });
      return;
    }
    case 'recreate': {
      const at = { namespace, name: nameIn(step.key) };
      await kube.delete(KINDS.statefulSet, at, { uid: step.uid, propagation: 'Orphan', ...call });
      memory.noteGone(step.key);
      failpoint('recreate.orphaned');
      return;
    }
    case 'own-claim':
      await ownClaim(pass, step);
      failpoint('claim.owner-set');
  }
}

/** The uid makes it a change of that very claim: an apply would else make a new one. */
async function ownClaim(
  { kube, call, cr }: Pass,
  { claim, uid, owned }: Extract<Step, { kind: 'own-claim' }>,
): Promise<void> {
  const { name, namespace = '', uid: clusterUid = '' } = cr.metadata;
  const owner = { apiVersion: cr.apiVersion, kind: cr.kind, name, uid: clusterUid };
  const object = {
    apiVersion: KINDS.claim.apiVersion,
    kind: KINDS.claim.kind,
    metadata: { name: claim, namespace, uid, ownerReferences: owned ? [owner] : [] },
  };
  await kube.apply(KINDS.claim, object, { manager: MANAGER, force: true, ...call });
}

/** A refusal is kept and said; what may pass by itself is tried again. */
function judge({ memory, clock }: Pass, step: Step, thrown: unknown): End {
  if (!(thrown instanceof KubeError)) return asError(thrown);
  if (thrown.isNamespaceTerminating) return 'namespace-terminating';
  const isGone = step.kind !== 'apply' && (thrown.isNotFound || thrown.isConflict);
  if (isGone) return 'done';
  const mayPass = thrown.isUnknown || thrown.isTooManyRequests || thrown.isConflict;
  if (step.kind !== 'apply' || mayPass) return thrown;
  const { key, hash, manifest } = step;
  memory.noteRefused(key, {
    hash,
    rv: '',
    refused: {
      atMs: clock.wallMs(),
      message: thrown.message,
      immutable: manifest.kind === 'StatefulSet' && isImmutable(thrown),
    },
  });
  return 'done';
}

/** As the API server says it of a StatefulSet; there is no other mark. */
const isImmutable = (error: KubeError): boolean =>
  error.isInvalid && error.message.includes('updates to statefulset spec for fields other than');

const nameIn = (key: string): string => key.slice(key.indexOf('/') + 1);

const kindAt = (key: string): Kind =>
  present(
    Object.values(KINDS).find(({ kind }) => kind === key.slice(0, key.indexOf('/'))),
    `kind of ${key}`,
  );
