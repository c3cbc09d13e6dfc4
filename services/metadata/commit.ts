/**
 * Commit: the one place where a write is decided (docs/guarantees.md). The order of the checks is the
 * protocol. Keys of one command are distinct, so every condition sees the state before the command.
 */

import { compareBytes } from '../common/bytes.ts';
import { copyOfWrite, type DiskId, type LogIndex } from '../common/ids.ts';
import { keyHash } from '../common/key-hash.ts';
import type { Commit, Condition, Op, PutBody } from './commands.ts';
import type { Located } from './record-table.ts';
import type { Copy, OpResult, TxnOutcome, Undecided, ValueRecord } from './records.ts';
import type { SmallState } from './small-state.ts';
import type { State } from './state.ts';
import { undecidable } from './transactions.ts';

export function applyCommit(
  state: State,
  index: LogIndex,
  command: Commit,
): TxnOutcome | Undecided {
  const settled = undecidable(state, index, command.txnId);
  if (settled !== undefined) return settled;
  if (repeatsKey(command.ops)) return { kind: 'malformed', why: 'a key occurs twice' };
  const { idempotency: asked } = command;
  const known = asked === null ? undefined : state.idempotency.find(asked);
  if (asked !== null && known !== undefined) {
    const outcome: TxnOutcome =
      known.requestHash === asked.requestHash
        ? known.outcome
        : { kind: 'idempotency-mismatch', index };
    state.outcomes.write(command.txnId, index, outcome, state.small.marks);
    return outcome;
  }
  const outcome = decide(state, index, command);
  state.outcomes.write(command.txnId, index, outcome, state.small.marks);
  const isAnswer = outcome.kind === 'applied' || outcome.kind === 'precondition-failed';
  if (asked !== null && isAnswer) state.idempotency.remember(asked, command.txnId, outcome);
  return outcome;
}

/** Checks 4 to 6: votes that count, conditions, and then all ops or none. */
function decide(state: State, index: LogIndex, command: Commit): TxnOutcome {
  const { ops, need, want } = command;
  const counted: (readonly Copy[])[] = [];
  for (const { body } of ops) {
    const copies = body.kind === 'put' ? countedCopies(state.small, body) : [];
    if (body.kind === 'put' && copies.length < need) {
      return { kind: 'no-replicas', index, confirmed: copies.length };
    }
    counted.push(copies);
  }
  const places = ops.map((op) => state.records.locate(op.key));
  const failedOp = ops.findIndex((op, i) => !holds(op.condition, places[i]?.value));
  if (failedOp >= 0) return { kind: 'precondition-failed', index, failedOp };
  const results: OpResult[] = [];
  for (const [ordinal, op] of ops.entries()) {
    const at = places[ordinal];
    const copies = counted[ordinal];
    if (at === undefined || copies === undefined) continue;
    results.push(write(state, op, { at, copies, want, index, ordinal }));
  }
  return { kind: 'applied', index, results };
}

/** Strikes votes of sessions that have ended and of disks that are gone; a disk counts once. */
function countedCopies(small: SmallState, body: PutBody): readonly Copy[] {
  const copies: Copy[] = [];
  for (const { disk, session } of body.copies) {
    if (!small.isCurrent(disk, session)) continue;
    if (!hasDisk(copies, disk)) copies.push({ disk, copyId: copyOfWrite(body.blobId) });
  }
  return copies;
}

function hasDisk(copies: readonly Copy[], disk: DiskId): boolean {
  for (const copy of copies) if (copy.disk === disk) return true;
  return false;
}

function holds(condition: Condition | null, present: ValueRecord | undefined): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case 'exists':
      return present !== undefined;
    case 'absent':
      return present === undefined;
    case 'match':
      return present !== undefined && condition.blobIds.includes(present.blobId);
    case 'none-match':
      return present === undefined || !condition.blobIds.includes(present.blobId);
  }
}

interface Write {
  readonly at: Located;
  readonly copies: readonly Copy[];
  readonly want: number;
  readonly index: LogIndex;
  readonly ordinal: number;
}

function write(state: State, op: Op, { at, copies, want, index, ordinal }: Write): OpResult {
  const version = { index, ordinal };
  const { body } = op;
  if (body.kind === 'check') return { effect: 'checked', version, copyCount: 0, blobId: '' };
  if (body.kind === 'delete') {
    state.records.remove(at, index);
    const effect = at.value === undefined ? 'absent' : 'deleted';
    return { effect, version, copyCount: 0, blobId: '' };
  }
  const { blobId, digest, headers } = body;
  const effect = at.value === undefined ? 'created' : 'replaced';
  if (body.kind === 'inline') {
    const { data } = body;
    const value = { blobId, size: data.length, digest, version, copies, headers, data };
    state.records.write(at, { value, suspects: [], want: 0 }, index);
    const copyCount = Math.min(want, state.small.cluster.members.length);
    return { effect, version, copyCount, blobId };
  }
  const value = { blobId, size: body.size, digest, version, copies, headers, data: null };
  state.records.write(at, { value, suspects: [], want }, index);
  return { effect, version, copyCount: copies.length, blobId };
}

/** Keys are compared only where their hashes meet; most commands have one op. */
function repeatsKey(ops: readonly Op[]): boolean {
  if (ops.length < 2) return false;
  const seen = new Map<number, Uint8Array[]>();
  for (const { key } of ops) {
    const hash = keyHash(key);
    const alike = seen.get(hash) ?? [];
    if (alike.some((other) => compareBytes(other, key) === 0)) return true;
    seen.set(hash, [...alike, key]);
  }
  return false;
}
