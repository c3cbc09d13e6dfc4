/**
 * The leader's rules (Raft paper, 5.3 and 5.4). It begins with an entry of its own, so that entries
 * of older terms can be committed and reads can be served; it steps down when a majority has not
 * answered for an election timeout. Invariant: within a term its log only grows.
 */
import { assert } from '../common/assert.ts';
import { logIndex, NOBODY, type NodeId, type Term } from '../common/ids.ts';
import { becomeFollower } from './election.ts';
import type { AppendReply, HeartbeatReply } from './messages.ts';
import { Progress } from './progress.ts';
import { couldElectWithout, majority } from './quorum.ts';
import { type ReadOrigin, ReadRounds } from './read-index.ts';
import { advanceCommit, confirmReads, isCommitCurrent } from './replication.ts';
import { answerRead, envelope, type Leadership, type RaftState } from './state.ts';
import { continueTransfer, tickTransfer } from './transfer.ts';
import type { Entry, LogPoint, ProposalRefusal } from './types.ts';

const NO_DATA = new Uint8Array(0);

export function becomeLeader(state: RaftState): void {
  assert(state.role === 'candidate', 'only a candidate wins');
  assert(!state.recovering, 'a recovering node never leads');
  const { log, options, boots } = state;
  const progress = new Map<NodeId, Progress>();
  for (const peer of state.peers) {
    progress.set(peer, new Progress(log.lastIndex + 1, boots.get(peer) ?? 0, options.limits));
  }
  state.role = 'leader';
  state.leader = state.self;
  state.campaign = null;
  state.retry = null;
  state.leaderContactTicks = 0;
  state.leadership = {
    progress,
    rounds: new ReadRounds(),
    uncommittedBytes: log.bytesBetween(log.commit, log.lastIndex),
    heartbeatTicks: 0,
    heartbeatDue: false,
    quorumTicks: 0,
    transfer: null,
  };
  appendOwn(state, 'noop', NO_DATA);
  for (const readId of state.forwardedReads.drainWaiting()) {
    joinRound(state, state.leadership, { kind: 'local', readId });
  }
}

export function tickLeader(state: RaftState, leadership: Leadership): void {
  leadership.heartbeatTicks += 1;
  if (leadership.heartbeatTicks >= state.options.heartbeatTicks) {
    leadership.heartbeatTicks = 0;
    leadership.heartbeatDue = true;
  }
  tickTransfer(state, leadership);
  leadership.quorumTicks += 1;
  if (leadership.quorumTicks < state.options.electionTicksMin) return;
  leadership.quorumTicks = 0;
  if (!hasQuorum(state, leadership)) becomeFollower(state, state.term, NOBODY);
}

/** Appends the commands, or says why none of them was. */
export function appendProposal(
  state: RaftState,
  leadership: Leadership,
  commands: readonly Uint8Array[],
): ProposalRefusal | null {
  assert(state.role === 'leader', 'only a leader appends');
  if (leadership.transfer !== null) return 'transferring';
  let bytes = 0;
  for (const command of commands) bytes += command.length;
  // A first proposal is taken at any size, or one larger than the bound could never pass.
  const waitingBytes = Math.max(leadership.uncommittedBytes, state.log.undurableBytes);
  const isOver = waitingBytes + bytes > state.options.limits.uncommittedBytesMax;
  if (isOver && waitingBytes > 0) return 'overloaded';
  for (const command of commands) appendOwn(state, 'command', command);
  leadership.uncommittedBytes += bytes;
  assert(leadership.uncommittedBytes >= bytes, 'uncommitted bytes are never negative');
  return null;
}

/** A read joins the open round, or is lost where that is full. */
export function joinRound(state: RaftState, leadership: Leadership, origin: ReadOrigin): void {
  assert(state.role === 'leader', 'only a leader confirms reads');
  if (!leadership.rounds.join(origin)) answerRead(state, origin, logIndex(0));
}

/**
 * A follower's read, asked for while the follower was in `term`. A request of this term says what the answer to a
 * heartbeat would: when it left, the sender had not voted in a later term, and neither has this leader. Where no others
 * could have elected anybody, nobody had by then committed what this leader does not know, so no round is needed.
 */
export function takeRead(
  state: RaftState,
  leadership: Leadership,
  { read, term }: { readonly read: ReadOrigin; readonly term: Term },
): void {
  const isConfirmed = term === state.term && !couldElectWithout(2, state.options.voters.length);
  if (isConfirmed && isCommitCurrent(state)) answerRead(state, read, state.log.commit);
  else joinRound(state, leadership, read);
}

/** What every answer of a follower says of it. */
function heardFrom(
  state: RaftState,
  leadership: Leadership,
  reply: AppendReply | HeartbeatReply,
): Progress {
  const progress = leadership.progress.get(reply.from);
  assert(progress !== undefined, 'replies come from voters');
  assert(reply.term === state.term, 'other terms are dropped before');
  progress.recentlyActive = true;
  progress.recovering = reply.recovering;
  progress.stopping = reply.stopping;
  if (reply.stopping && leadership.transfer?.target === reply.from) leadership.transfer = null;
  return progress;
}

export function handleAppendReply(
  state: RaftState,
  leadership: Leadership,
  reply: AppendReply,
): void {
  const progress = heardFrom(state, leadership, reply);
  // The own log cannot be shorter than what was acknowledged in this term: not an answer to us.
  if (reply.index > state.log.lastIndex) return;
  if (!reply.success) {
    const meeting = state.log.lastNotAfter(reply.hint.index, reply.hint.term);
    progress.refused(reply.index, meeting.index);
    return;
  }
  if (progress.accepted(reply.index)) advanceCommit(state, leadership);
  if (leadership.transfer?.target === reply.from) continueTransfer(state, leadership);
}

export function handleHeartbeatReply(
  state: RaftState,
  leadership: Leadership,
  reply: HeartbeatReply,
): void {
  const progress = heardFrom(state, leadership, reply);
  progress.resumeProbe();
  if (progress.state === 'replicate' && progress.match < state.log.lastIndex) {
    progress.nudged = true;
  }
  if (progress.stagedPoint !== null) sendStaged(state, reply.from, progress.stagedPoint);
  if (reply.readToken > progress.readToken) {
    progress.readToken = Math.min(reply.readToken, leadership.rounds.newestToken);
    confirmReads(state, leadership);
  }
}

/** The stream of a snapshot to `peer` ended, with all of `point` staged there or (null) failed. */
export function snapshotSent(
  state: RaftState,
  leadership: Leadership,
  sent: { readonly peer: NodeId; readonly point: LogPoint | null },
): void {
  const progress = leadership.progress.get(sent.peer);
  assert(progress !== undefined, 'snapshots go to voters');
  assert(sent.peer !== state.self, 'nobody sends himself a snapshot');
  if (sent.point === null) {
    progress.snapshotFailed();
    return;
  }
  progress.snapshotStaged(sent.point);
  if (progress.stagedPoint !== null) sendStaged(state, sent.peer, progress.stagedPoint);
}

/** Asks whether the staged snapshot is installed; repeated each heartbeat, as answers get lost. */
function sendStaged(state: RaftState, to: NodeId, point: LogPoint): void {
  state.outbox.send({ kind: 'snapshot-staged', ...envelope(state, to), point });
}

function appendOwn(state: RaftState, kind: Entry['kind'], data: Uint8Array): void {
  state.log.append({ index: logIndex(state.log.lastIndex + 1), term: state.term, kind, data });
}

/** Whether a majority, the leader among it, was heard since the last check. */
function hasQuorum(state: RaftState, leadership: Leadership): boolean {
  let active = 1;
  for (const progress of leadership.progress.values()) {
    if (progress.recentlyActive) active += 1;
    progress.wasActive = progress.recentlyActive;
    progress.recentlyActive = false;
  }
  assert(active <= state.options.voters.length, 'a voter counts once');
  return active >= majority(state.options.voters.length);
}
