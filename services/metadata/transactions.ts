/** The checks that every command with a txnId begins with, and Abort, which is nothing but them. */
import { birthOf, type LogIndex, type TxnId } from '../common/ids.ts';
import type { Abort } from './commands.ts';
import type { TxnOutcome, Undecided } from './records.ts';
import type { State } from './state.ts';

/** Why `txnId` cannot be decided at `index`; undefined when it can. */
export function undecidable(
  state: State,
  index: LogIndex,
  txnId: TxnId,
): TxnOutcome | Undecided | undefined {
  const settled = state.outcomes.settled(txnId, state.small.marks);
  if (settled !== undefined) return settled;
  if (birthOf(txnId) > index) return { kind: 'malformed', why: 'born after its own index' };
  return undefined;
}

/** Lets one who gave up know at once; safety never needs it. */
export function applyAbort(state: State, index: LogIndex, command: Abort): TxnOutcome | Undecided {
  const settled = undecidable(state, index, command.txnId);
  if (settled !== undefined) return settled;
  const outcome: TxnOutcome = { kind: 'aborted', index };
  state.outcomes.write(command.txnId, index, outcome, state.small.marks);
  return outcome;
}
