/** What an applied decision means: for the staged copies, and for the client. */
import { unreachable } from '../common/assert.ts';
import { KvError } from '../common/errors.ts';
import type { BlobId, TxnId } from '../common/ids.ts';
import type { TxnOutcome } from '../metadata/records.ts';
import type { Decision as Settlement } from '../two-phase-commit/types.ts';
import type { Decision } from './metadata-port.ts';

export type AppliedOutcome = Extract<TxnOutcome, { kind: 'applied' }>;

/**
 * What becomes of the copies staged for `blobIds`. An idempotent retry is answered by the outcome of
 * an earlier attempt, which names that attempt's blobs: ours were not used.
 */
export function interpret(decision: Decision, blobIds: readonly BlobId[]): Settlement {
  if (decision.kind === 'forgotten') return 'forgotten';
  if (decision.kind !== 'applied') return 'refused';
  const used = new Set<string>(decision.results.map(({ blobId }) => blobId));
  return blobIds.every((blobId) => used.has(blobId)) ? 'applied' : 'refused';
}

/** The applied outcome. @throws KvError with the code of every other decision. */
export function appliedOr(decision: Decision, txnId: TxnId): AppliedOutcome {
  if (decision.kind === 'applied') return decision;
  throw refusal(decision, txnId);
}

function refusal(decision: Exclude<Decision, AppliedOutcome>, txnId: TxnId): KvError {
  const at = 'index' in decision ? { txnId, raftIndex: decision.index } : { txnId };
  switch (decision.kind) {
    case 'precondition-failed':
      return new KvError('PRECONDITION_FAILED', 'a condition of the request does not hold', {
        detail: { ...at, failedOp: decision.failedOp },
      });
    case 'no-replicas':
      return new KvError('NO_REPLICAS', 'too few volumes still hold what they had staged', {
        detail: { ...at, confirmed: decision.confirmed },
      });
    case 'idempotency-mismatch':
      return new KvError(
        'IDEMPOTENCY_KEY_REUSED',
        'this Idempotency-Key was used for another request',
        { detail: at },
      );
    case 'aborted':
      return new KvError('EXPIRED', 'the transaction was aborted; nothing was changed', {
        detail: at,
      });
    case 'expired':
      return new KvError('EXPIRED', 'the transaction took too long; nothing was changed', {
        detail: at,
      });
    case 'forgotten':
      return new KvError('FORGOTTEN', 'the outcome of the transaction is no longer known', {
        detail: at,
      });
    case 'refused':
    case 'malformed':
      return new KvError('INTERNAL', 'the state machine refused the command', { detail: at });
    default:
      return unreachable(decision);
  }
}
