/** Commands and messages in a few words, for the steps of a counterexample. */
import type { Command, Commit } from '../../metadata/commands.ts';
import { copyName, numberOf } from './names.ts';
import type { Message } from './world.ts';

export function describe(command: Command): string {
  switch (command.kind) {
    case 'commit':
      return describeCommit(command);
    case 'register':
      return `Register of ${command.volume}, start ${command.nonce}, boots ${command.boots}, ${command.clean ? 'clean' : 'unclean'}`;
    case 'move': {
      const { from, to } = command;
      const source =
        from === null ? 'nothing' : `${copyName(numberOf(from.copyId))} of disk ${from.disk}`;
      const target =
        to === null ? 'nothing' : `${copyName(numberOf(to.copyId))} of disk ${to.disk}`;
      return `Move from ${source} to ${target}`;
    }
    case 'suspect':
      return `Suspect of ${copyName(numberOf(command.copyId))} on disk ${command.disk}`;
    case 'reconciled':
      return `Reconciled of disk ${command.disk} in session ${command.session}`;
    case 'reclaimed':
      return `Reclaimed of ${command.rows.map(({ disk, copyId }) => `${copyName(numberOf(copyId))} on disk ${disk}`).join(', ')}`;
    case 'abort':
      return `Abort of transaction ${numberOf(command.txnId.slice(12))}`;
    case 'advance':
    case 'set-disk':
    case 'pin':
    case 'unpin':
    case 'init-cluster':
    case 'set-operator-epoch':
      return command.kind;
  }
}

function describeCommit({ ops, txnId }: Commit): string {
  const body = ops[0]?.body;
  const number = numberOf(txnId.slice(12));
  const birth = numberOf(txnId.slice(0, 12));
  if (body?.kind !== 'put') return `Commit of ${body?.kind ?? 'nothing'} ${number}, born ${birth}`;
  const votes = body.copies.map(({ disk, session }) => `disk ${disk} in session ${session}`);
  return `Commit of put ${number}, born ${birth}, voted by ${votes.join(' and ')}`;
}

export function describeMessage(message: Message): string {
  const { kind, disk, copy } = message;
  const at = `${copyName(copy)} ${kind === 'sent' || kind === 'vote' || kind === 'failed' ? 'from' : 'at'} disk ${disk}`;
  switch (message.kind) {
    case 'vote':
      return `the vote for ${at} in session ${message.session}`;
    case 'KEEP':
    case 'DROP':
      return `the answer ${message.kind} for ${at}`;
    case 'pull':
      return `the order to pull ${at}`;
    case 'chunks':
    case 'sent':
    case 'end':
    case 'failed':
    case 'finalize':
    case 'discard':
    case 'drop':
      return `${kind} of ${at}`;
  }
}
