/**
 * The way of a message to the rules of the present role. Invariants: what speaks of a memory that is
 * gone (another boot) is dropped, and terms are settled here, before any rule sees the message.
 */
import { assert, unreachable } from '../common/assert.ts';
import { logIndex, NOBODY, term } from '../common/ids.ts';
import { handleVoteReply } from './candidate.ts';
import {
  answerVoteRequest,
  becomeFollower,
  isLeaderTrusted,
  refuseOldVoteRequest,
} from './election.ts';
import {
  handleAppend,
  handleHeartbeat,
  handleSnapshotStaged,
  handleTimeoutNow,
} from './follower.ts';
import { appendProposal, handleAppendReply, handleHeartbeatReply, takeRead } from './leader.ts';
import type {
  Message,
  ProposeForward,
  ProposeRefused,
  ReadReply,
  ReadRequest,
} from './messages.ts';
import { answerRead, envelope, type RaftState } from './state.ts';

/** Matched by id and boot alone: whatever their term, none of them changes the own. */
type TermFreeMessage = ProposeForward | ProposeRefused | ReadRequest | ReadReply;
type TermMessage = Exclude<Message, TermFreeMessage>;

export function dispatch(state: RaftState, message: Message): void {
  if (!isForThisNode(state, message)) return;
  clearSuspicion(state, message);
  if (isTermFree(message)) dispatchTermFree(state, message);
  else if (settleTerm(state, message)) dispatchInTerm(state, message);
}

/**
 * Drops what is not for this node's present boot, and what an older boot of the sender sent: both
 * speak of memory that is gone.
 */
function isForThisNode(state: RaftState, message: Message): boolean {
  if (message.to !== state.self || !state.peers.includes(message.from)) return false;
  const known = state.boots.get(message.from) ?? 0;
  if (message.fromBoot < known) return false;
  if (isAnswer(message.kind) && message.toBoot !== state.options.bootId) return false;
  if (message.fromBoot > known) {
    state.boots.set(message.from, message.fromBoot);
    state.leadership?.progress
      .get(message.from)
      ?.observeBoot(message.fromBoot, state.log.lastIndex);
  }
  return true;
}

/** Brings the own term to the message's, where that is higher. False: the message is done with. */
function settleTerm(state: RaftState, message: TermMessage): boolean {
  if (message.term === state.term) return true;
  if (message.term < state.term) {
    answerOldTerm(state, message);
    return false;
  }
  if (message.kind === 'vote-request') {
    if (!message.transfer && isLeaderTrusted(state)) return false;
    if (message.pre) return true;
  }
  // A granted pre-vote speaks of the term that would begin, not of one that has.
  if (message.kind === 'vote-reply' && message.pre && message.granted) return true;
  becomeFollower(state, message.term, isFromLeader(message.kind) ? message.from : NOBODY);
  return true;
}

function dispatchInTerm(state: RaftState, message: TermMessage): void {
  const { leadership } = state;
  switch (message.kind) {
    case 'vote-request':
      answerVoteRequest(state, message);
      return;
    case 'vote-reply':
      handleVoteReply(state, message);
      return;
    case 'append-request':
      handleAppend(state, message);
      return;
    case 'heartbeat-request':
      handleHeartbeat(state, message);
      return;
    case 'snapshot-staged':
      handleSnapshotStaged(state, message);
      return;
    case 'timeout-now':
      handleTimeoutNow(state, message);
      return;
    case 'append-reply':
      if (leadership !== null) handleAppendReply(state, leadership, message);
      return;
    case 'heartbeat-reply':
      if (leadership !== null) handleHeartbeatReply(state, leadership, message);
      return;
    default:
      unreachable(message);
  }
}

function dispatchTermFree(state: RaftState, message: TermFreeMessage): void {
  switch (message.kind) {
    case 'propose':
      receiveProposal(state, message);
      return;
    case 'propose-refused':
      state.outbox.refuse(message.proposalId, message.reason);
      return;
    case 'read-request':
      receiveReadRequest(state, message);
      return;
    case 'read-reply':
      receiveReadReply(state, message);
      return;
    default:
      unreachable(message);
  }
}

/** A leader or candidate of an older term learns the present one and steps down. */
function answerOldTerm(state: RaftState, message: TermMessage): void {
  assert(message.term < state.term, 'only older terms are answered so');
  if (message.kind === 'vote-request') refuseOldVoteRequest(state, message);
  else if (isFromLeader(message.kind)) {
    state.outbox.sendAfterPersist({
      kind: 'append-reply',
      ...envelope(state, message.from),
      success: false,
      index: logIndex(0),
      hint: { index: logIndex(0), term: term(0) },
      recovering: state.recovering,
      stopping: state.stopping,
    });
  }
}

/** Any message of the suspected leader in its term shows it alive. */
function clearSuspicion(state: RaftState, message: Message): void {
  const { suspicion } = state;
  if (suspicion?.leader === message.from && suspicion.term === message.term) {
    state.suspicion = null;
  }
}

/** Forwarded once: a node that does not lead refuses, it never forwards again. */
function receiveProposal(state: RaftState, message: ProposeForward): void {
  const { leadership } = state;
  const reason =
    leadership === null ? 'not-leader' : appendProposal(state, leadership, message.commands);
  if (reason === null) return;
  state.outbox.send({
    kind: 'propose-refused',
    ...envelope(state, message.from),
    proposalId: message.proposalId,
    reason,
  });
}

function receiveReadRequest(state: RaftState, message: ReadRequest): void {
  const { from: node, fromBoot: boot, requestId } = message;
  const read = { kind: 'remote', node, boot, requestId } as const;
  if (state.leadership !== null) takeRead(state, state.leadership, { read, term: message.term });
  else answerRead(state, read, logIndex(0));
}

function receiveReadReply(state: RaftState, message: ReadReply): void {
  const readIds = state.forwardedReads.answered(message.requestId);
  if (message.index === 0) state.outbox.readsLost(readIds);
  else for (const readId of readIds) state.outbox.readReady(readId, message.index);
}

const isAnswer = (kind: Message['kind']): boolean =>
  kind === 'vote-reply' ||
  kind === 'append-reply' ||
  kind === 'heartbeat-reply' ||
  kind === 'propose-refused' ||
  kind === 'read-reply';

const isFromLeader = (kind: Message['kind']): boolean =>
  kind === 'append-request' || kind === 'heartbeat-request' || kind === 'snapshot-staged';

const isTermFree = (message: Message): message is TermFreeMessage =>
  message.kind === 'propose' ||
  message.kind === 'propose-refused' ||
  message.kind === 'read-request' ||
  message.kind === 'read-reply';
