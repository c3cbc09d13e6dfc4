/**
 * Where copies stand, for a value that does not change: Move (repair, drain, rebalance) and Suspect.
 * A Move that the state has overtaken is refused, and its staged copy is dropped like any other.
 */
import type { LogIndex } from '../common/ids.ts';
import type { Move, Suspect } from './commands.ts';
import { isSameCopy, type Located } from './record-table.ts';
import type { Copy, MoveRefusal, TxnOutcome, Undecided, ValueRecord } from './records.ts';
import type { State } from './state.ts';
import { undecidable } from './transactions.ts';

export function applyMove(state: State, index: LogIndex, command: Move): TxnOutcome | Undecided {
  const settled = undecidable(state, index, command.txnId);
  if (settled !== undefined) return settled;
  const at = state.records.locate(command.key);
  const outcome = decide(state, index, { command, at });
  state.outcomes.write(command.txnId, index, outcome, state.small.marks);
  return outcome;
}

/** A copy that its disk lacks or found bad. Anything but a listed copy of this value: no change. */
export function applySuspect(state: State, index: LogIndex, command: Suspect): void {
  const at = state.records.locate(command.key);
  const { value } = at;
  if (value?.blobId !== command.blobId) return;
  if (!value.copies.some((copy) => isSameCopy(copy, command))) return;
  const known = state.records.suspects(at);
  if (known.some((copy) => isSameCopy(copy, command))) return;
  const suspects = [...known, { disk: command.disk, copyId: command.copyId }];
  state.records.write(at, { value, suspects, want: value.copies.length }, index);
}

interface Moving {
  readonly command: Move;
  readonly at: Located;
}

function decide(state: State, index: LogIndex, { command, at }: Moving): TxnOutcome {
  const { value } = at;
  if (value?.blobId !== command.blobId || value.data !== null) {
    return { kind: 'refused', index, reason: 'record-changed' };
  }
  const suspects = state.records.suspects(at);
  const reason = refusal(state, command, { value, suspects });
  if (reason !== null) return { kind: 'refused', index, reason };
  const copies = moved(value.copies, command);
  const stillSuspect = suspects.filter((copy) => copies.some((kept) => isSameCopy(kept, copy)));
  const next = { value: { ...value, copies }, suspects: stillSuspect, want: command.want };
  state.records.write(at, next, index);
  return { kind: 'applied', index, results: [] };
}

interface Present {
  readonly value: ValueRecord;
  readonly suspects: readonly Copy[];
}

function refusal(state: State, command: Move, present: Present): MoveRefusal | null {
  const { from, to } = command;
  const { copies } = present.value;
  if (from !== null && !copies.some((copy) => isSameCopy(copy, from))) return 'copy-unknown';
  if (to === null)
    return from !== null && isSpare(from, command.want, present) ? null : 'copy-count';
  if (!state.small.isCurrent(to.disk, to.session)) return 'stale-session';
  const isTaken = copies.some((copy) => copy.disk === to.disk && to.disk !== from?.disk);
  if (isTaken) return 'copy-count';
  return from === null && copies.length >= command.want ? 'copy-count' : null;
}

/** A copy may go without a replacement only where enough others stand that nobody suspects. */
function isSpare(from: Copy, want: number, { value, suspects }: Present): boolean {
  const sound = value.copies.filter(
    (copy) => !isSameCopy(copy, from) && !suspects.some((bad) => isSameCopy(bad, copy)),
  );
  return value.copies.length > want && sound.length >= want;
}

/** The new copy takes the place of the old one: the order of copies is part of the state. */
function moved(copies: readonly Copy[], { from, to }: Move): readonly Copy[] {
  const added = to === null ? [] : [{ disk: to.disk, copyId: to.copyId }];
  if (from === null) return [...copies, ...added];
  return copies.flatMap((copy) => (isSameCopy(copy, from) ? added : [copy]));
}
