/**
 * The follower's rules: take what the leader sends, acknowledge what is durable, notice a silent or
 * closed leader. Invariants: the commit index never passes what was verified against the leader of
 * this term; every acknowledgement waits for the entries that it speaks of.
 */
import { assert } from '../common/assert.ts';
import { type LogIndex, logIndex, NOBODY, type NodeId, type Term } from '../common/ids.ts';
import { beginElection, beginPreVote, isPromotable } from './candidate.ts';
import { becomeFollower, heardLeader, retryAfter } from './election.ts';
import type {
  AppendRequest,
  Envelope,
  HeartbeatRequest,
  SnapshotStaged,
  TimeoutNow,
} from './messages.ts';
import { envelope, type RaftState, type Suspicion } from './state.ts';
import type { LogPoint } from './types.ts';

export function tickFollower(state: RaftState): void {
  assert(state.role !== 'leader', 'a leader has its own ticks');
  state.electionTicks += 1;
  state.leaderContactTicks += 1;
  state.outbox.readsLost(state.forwardedReads.tick());
  if (!isPromotable(state)) return;
  if (isHintDue(state) || state.electionTicks >= state.electionTimeoutTicks) beginPreVote(state);
}

/**
 * The link from the leader closed: suspect it and ask for a pre-vote, each survivor when its turn comes,
 * since those who ask at the same time split the votes.
 */
export function suspectLeader(state: RaftState): void {
  assert(state.leader !== NOBODY, 'only a known leader is suspected');
  assert(state.leader !== state.self, 'a leader does not suspect itself');
  const ticksLeft = turnAfter(state, state.leader) * state.options.heartbeatTicks;
  state.suspicion = { leader: state.leader, term: state.term, ticksLeft };
  if (ticksLeft > 0 || !isPromotable(state)) return;
  askAgainSoon(state, state.suspicion);
  beginPreVote(state);
}

/** 0 for the voter that follows `leader` in the ring of ids, 1 for the next one. */
function turnAfter({ self, options }: RaftState, leader: NodeId): number {
  const ring = options.voters.toSorted((a, b) => a - b);
  const steps = ring.indexOf(self) - ring.indexOf(leader);
  return (steps + ring.length - 1) % ring.length;
}

/** Whoever has not noticed yet did not answer, and will notice in a moment. */
function askAgainSoon({ options }: RaftState, suspicion: Suspicion): void {
  suspicion.ticksLeft = 1 + options.randomBelow(Math.ceil(options.heartbeatTicks / 2));
}

/**
 * A link to a peer opened, and with it perhaps a majority came together: where nobody leads, as after a
 * restart of all, there is no reason to wait for the patient timeout. A living leader is heard before.
 */
export function seekLeader(state: RaftState): void {
  if (state.leader !== NOBODY || !isPromotable(state)) return;
  retryAfter(state, state.options.heartbeatTicks);
}

export function handleAppend(state: RaftState, request: AppendRequest): void {
  assert(request.term === state.term, 'other terms are handled before');
  heardLeader(state, request.from);
  // A snapshot about to replace the log must not race with entries.
  if (state.installing !== null) return;
  const { log } = state;
  if (request.previous.index < log.commit) {
    acknowledge(state, request.from, log.commit);
    return;
  }
  if (!log.matches(request.previous)) {
    refuse(state, request.from, request.previous);
    return;
  }
  log.merge(request.previous, request.entries);
  const verified = request.previous.index + request.entries.length;
  state.verified = Math.max(state.verified, verified);
  log.commitTo(Math.min(request.commit, verified));
  acknowledge(state, request.from, logIndex(verified));
  noteRecoveryMark(state, request);
}

export function handleHeartbeat(state: RaftState, request: HeartbeatRequest): void {
  assert(request.term === state.term, 'other terms are handled before');
  heardLeader(state, request.from);
  if (state.installing === null) {
    state.log.commitTo(Math.min(request.commit, state.verified));
    noteRecoveryMark(state, request);
  }
  tell(state, request.from, request.readToken);
}

/** From now on this node never leads: the leader hears that at once, before it hands over to somebody. */
export function beginStop(state: RaftState): void {
  state.stopping = true;
  if (state.leader !== NOBODY && state.leader !== state.self) tell(state, state.leader, 0);
}

/** How this node is. A token confirms a read round, 0: none. */
function tell(state: RaftState, leader: NodeId, readToken: number): void {
  state.outbox.send({
    kind: 'heartbeat-reply',
    ...envelope(state, leader),
    readToken,
    recovering: state.recovering,
    stopping: state.stopping,
  });
}

/** The leader believes a snapshot staged here: say whether it has been installed. */
export function handleSnapshotStaged(state: RaftState, message: SnapshotStaged): void {
  assert(message.term === state.term, 'other terms are handled before');
  heardLeader(state, message.from);
  if (state.installing !== null) return;
  if (message.point.index <= state.log.commit) acknowledge(state, message.from, state.log.commit);
  else refuse(state, message.from, message.point);
}

/** A complete, verified snapshot of `point` from the leader of `term` is staged at this node. */
export function snapshotReady(
  state: RaftState,
  snapshot: { readonly point: LogPoint; readonly from: NodeId; readonly term: Term },
): void {
  const { point, from, term } = snapshot;
  if (term < state.term || state.installing !== null) return;
  if (term > state.term) becomeFollower(state, term, from);
  assert(state.role !== 'leader', 'one leader a term');
  heardLeader(state, from);
  if (point.index > state.log.commit && !state.log.matches(point)) {
    state.installing = point;
    state.outbox.install(point);
    return;
  }
  // The log reaches that point by itself; a committed prefix is worth more than a copy of it.
  state.verified = Math.max(state.verified, point.index);
  state.log.commitTo(point.index);
  acknowledge(state, from, state.log.commit);
}

/** The snapshot is the durable state now; the term stays as it is. */
export function snapshotInstalled(state: RaftState, point: LogPoint): void {
  assert(state.installing?.index === point.index, 'the snapshot being installed is reported');
  assert(point.term <= state.term, 'a snapshot never comes from a later term');
  state.installing = null;
  state.log.restore(point);
  state.verified = point.index;
  if (state.leader !== NOBODY) acknowledge(state, state.leader, point.index);
  endRecovery(state);
}

/** Leadership transfer: campaign at once, without a pre-vote and past everybody's timeout. */
export function handleTimeoutNow(state: RaftState, message: TimeoutNow): void {
  assert(message.term === state.term, 'other terms are handled before');
  assert(state.role !== 'leader', 'one leader a term');
  if (message.from !== state.leader || !isPromotable(state)) return;
  beginElection(state, { transfer: true, leaderSuspected: false });
}

/** Recovering ends when the durable log equals the leader's up to the mark (raft recovering). */
export function endRecovery(state: RaftState): void {
  if (!state.recovering || state.recoveryMark === null) return;
  const durable = Math.min(state.verified, state.log.unstable.durable);
  if (durable < state.recoveryMark) return;
  assert(state.role === 'follower', 'a recovering node only follows');
  assert(state.recoveryMark <= state.log.lastIndex, 'the mark is within the log');
  state.recovering = false;
  state.recoveryMark = null;
  state.outbox.recovered();
}

/**
 * The leader's last index, in a message that echoes this boot, covers all that an earlier boot may
 * have acknowledged to it. The first such mark of a term is kept: a later one would run ahead.
 */
function noteRecoveryMark(
  state: RaftState,
  message: Envelope & { readonly lastIndex: LogIndex },
): void {
  if (!state.recovering) return;
  assert(message.term === state.term, 'only the leader of this term sets the mark');
  if (message.toBoot === state.options.bootId) state.recoveryMark ??= message.lastIndex;
  endRecovery(state);
}

/** Ticks of the two quick ways to a pre-vote: a suspicion, and an attempt that is planned soon. */
function isHintDue(state: RaftState): boolean {
  const { suspicion, retry } = state;
  if (suspicion !== null) {
    suspicion.ticksLeft -= 1;
    if (suspicion.ticksLeft > 0) return false;
    askAgainSoon(state, suspicion);
    return true;
  }
  if (retry === null) return false;
  assert(retry.ticksLeft >= 1, 'a retry waits');
  retry.ticksLeft -= 1;
  if (retry.ticksLeft > 0) return false;
  retryAfter(state, retry.delayTicks * 2);
  return true;
}

function acknowledge(state: RaftState, leader: NodeId, index: LogIndex): void {
  assert(index <= state.log.lastIndex, 'only entries at hand are acknowledged');
  state.outbox.sendAfterPersist({
    kind: 'append-reply',
    ...envelope(state, leader),
    success: true,
    index,
    hint: state.log.last,
    recovering: state.recovering,
    stopping: state.stopping,
  });
}

function refuse(state: RaftState, leader: NodeId, point: LogPoint): void {
  assert(point.index >= state.log.commit, 'what is committed is never refused');
  state.outbox.sendAfterPersist({
    kind: 'append-reply',
    ...envelope(state, leader),
    success: false,
    index: point.index,
    hint: state.log.lastNotAfter(point.index, point.term),
    recovering: state.recovering,
    stopping: state.stopping,
  });
}
