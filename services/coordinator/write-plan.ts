/** A mutation whose blobs, if it has any, are about to be staged, and the command that it becomes. */

import { ByteWriter } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import type { Digest, TxnId } from '../common/ids.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Commit, Condition, InlineBody, Op, StagedCopy } from '../metadata/commands.ts';
import type { Headers } from '../metadata/records.ts';
import type { RoundPut } from './commit-round.ts';
import type { MutationContext } from './gateway.ts';

export interface PlannedOp {
  readonly key: Uint8Array;
  readonly condition: Condition | null;
  readonly body:
    | { readonly kind: 'put'; readonly put: RoundPut; readonly headers: Headers }
    | InlineBody
    | { readonly kind: 'delete' }
    | { readonly kind: 'check' };
}

export interface CommandParts {
  readonly need: number;
  readonly want: number;
  readonly planned: readonly PlannedOp[];
  readonly context: MutationContext;
}

/** The blobs to stage, in the order in which `commandOf` wants their votes. */
export const putsOf = (planned: readonly PlannedOp[]): readonly RoundPut[] =>
  planned.flatMap(({ body }) => (body.kind === 'put' ? [body.put] : []));

/** The Commit as bytes: the same for every proposal of this transaction. */
export function commandOf(
  { need, want, planned, context }: CommandParts,
  txnId: TxnId,
  votes: readonly (readonly StagedCopy[])[],
): Uint8Array {
  let putCount = 0;
  const ops = planned.map((op): Op => {
    if (op.body.kind !== 'put') return { key: op.key, condition: op.condition, body: op.body };
    const copies = votes[putCount] ?? [];
    putCount += 1;
    const { blobId, size, digest } = op.body.put.stager;
    const { headers } = op.body;
    const body = { kind: 'put', blobId, size, digest, copies, headers } as const;
    return { key: op.key, condition: op.condition, body };
  });
  const idempotency = idempotencyOf(context, ops);
  return encodeCommand({ kind: 'commit', txnId, need, want, idempotency, ops });
}

/** Of an operation, besides its key, its value, its condition and its headers: ids, digest, copies, lengths. */
const OP_BYTES = 512;
const HEADER_BYTES = 16;
const BLOB_ID_BYTES = 24;

/** Bytes that the command of these will take at most. */
export function commandBytesOf(planned: readonly PlannedOp[]): number {
  let bytes = 0;
  for (const { key, condition, body } of planned) {
    bytes += OP_BYTES + key.length;
    if (condition !== null && 'blobIds' in condition) {
      bytes += condition.blobIds.length * BLOB_ID_BYTES;
    }
    if (body.kind === 'inline') bytes += body.data.length;
    for (const [name, value] of 'headers' in body ? body.headers : []) {
      bytes += HEADER_BYTES + Buffer.byteLength(name) + Buffer.byteLength(value);
    }
  }
  return bytes;
}

function idempotencyOf(context: MutationContext, ops: readonly Op[]): Commit['idempotency'] {
  const { principal, idempotencyKey } = context;
  if (idempotencyKey === null) return null;
  return { principal, key: idempotencyKey, requestHash: requestHash(ops) };
}

/** Digest of what the client asked for: methods, keys, conditions and body digests. */
export function requestHash(ops: readonly Op[]): Digest {
  const out = new ByteWriter();
  for (const { key, condition, body } of ops) {
    // Where a value is kept is not the client's affair.
    out.text(body.kind === 'inline' ? 'put' : body.kind).bytes(key);
    writeCondition(out, condition);
    if (body.kind === 'put' || body.kind === 'inline') out.hex(body.digest);
  }
  return digestOf(out.finish());
}

function writeCondition(out: ByteWriter, condition: Condition | null): void {
  out.text(condition?.kind ?? '');
  if (condition === null || !('blobIds' in condition)) return;
  out.u32(condition.blobIds.length);
  for (const blobId of condition.blobIds) out.hex(blobId);
}
