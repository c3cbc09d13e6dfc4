/**
 * The voter's side of elections, and stepping down. Invariants: the term never falls; within a term
 * the vote is given once and never taken back (Raft paper, 5.2); nobody disturbs a leader that a
 * majority still hears (thesis 9.6 and check-quorum).
 */
import { assert } from '../common/assert.ts';
import { logIndex, NOBODY, type NodeId, type Term } from '../common/ids.ts';
import type { VoteRequest } from './messages.ts';
import { answerRead, drawElectionTimeout, envelope, type RaftState } from './state.ts';

/** Follows `leader` (or nobody yet) in `term`; the vote is cleared only by a new term. */
export function becomeFollower(state: RaftState, term: Term, leader: NodeId): void {
  assert(term >= state.term, 'the term never falls');
  assert(leader !== state.self, 'nobody follows himself');
  if (term > state.term) enterTerm(state, term);
  if (state.leadership !== null) loseLeadership(state);
  if (state.role !== 'follower') drawElectionTimeout(state);
  state.role = 'follower';
  state.campaign = null;
  followLeader(state, leader);
}

/** A new term: the vote is free again and what was known of the old leader is void. */
export function enterTerm(state: RaftState, term: Term): void {
  assert(term > state.term, 'a new term is a higher one');
  state.term = term;
  state.vote = NOBODY;
  state.verified = state.log.commit;
  state.recoveryMark = null;
  if (state.suspicion !== null) {
    state.suspicion = null;
    retryAfter(state, state.options.heartbeatTicks);
  }
}

/** Changes whom to follow; requests to another leader are lost with it. */
export function followLeader(state: RaftState, leader: NodeId): void {
  if (leader === state.leader) return;
  state.outbox.readsLost(state.forwardedReads.drainRequests());
  state.leader = leader;
}

/** The leader of this term was heard. */
export function heardLeader(state: RaftState, leader: NodeId): void {
  assert(state.role !== 'leader', 'one leader a term');
  assert(state.leader === NOBODY || state.leader === leader, 'one leader a term');
  if (state.role !== 'follower' || state.leader !== leader) {
    becomeFollower(state, state.term, leader);
  }
  state.electionTicks = 0;
  state.leaderContactTicks = 0;
  state.retry = null;
}

/** Whether a campaign of a higher term is to be ignored: the leader is believed alive. */
export function isLeaderTrusted(state: RaftState): boolean {
  if (state.role === 'leader') return true;
  if (state.leader === NOBODY || state.suspicion !== null) return false;
  return state.electionTicks < state.options.electionTicksMin;
}

/** Answers a request whose term is the own or, for a pre-vote, a higher one. */
export function answerVoteRequest(state: RaftState, request: VoteRequest): void {
  assert(request.term >= state.term, 'older terms are answered before');
  assert(request.pre || request.term === state.term, 'the new term is entered before');
  const granted = mayVoteFor(state, request);
  if (granted && !request.pre) {
    state.vote = request.from;
    state.electionTicks = 0;
    if (state.retry !== null) retryAfter(state, state.retry.delayTicks);
  }
  // Whose log is too short to lead has taken the first turn in vain.
  if (!granted && state.suspicion !== null) state.suspicion.ticksLeft = 1;
  state.outbox.sendAfterPersist({
    kind: 'vote-reply',
    ...envelope(state, request.from, granted ? request.term : state.term),
    pre: request.pre,
    granted,
  });
}

/** Refuses a request of an older term, so that its sender learns the present one. */
export function refuseOldVoteRequest(state: RaftState, request: VoteRequest): void {
  assert(request.term < state.term, 'only older terms are refused unseen');
  state.outbox.sendAfterPersist({
    kind: 'vote-reply',
    ...envelope(state, request.from),
    pre: request.pre,
    granted: false,
  });
}

/** Plans another pre-vote soon, until the patient election timeout is the shorter wait. */
export function retryAfter(state: RaftState, delayTicks: number): void {
  const { electionTicksMin, heartbeatTicks, randomBelow } = state.options;
  assert(delayTicks >= 1, 'a retry waits');
  if (delayTicks >= electionTicksMin) state.retry = null;
  else state.retry = { ticksLeft: delayTicks + randomBelow(heartbeatTicks + 1), delayTicks };
}

/** Raft paper, 5.4.1: one vote a term, and only for a log that is at least as complete. */
function mayVoteFor(state: RaftState, request: VoteRequest): boolean {
  if (state.recovering) return false;
  const isFree =
    state.vote === request.from ||
    (state.vote === NOBODY && state.leader === NOBODY) ||
    (request.pre && request.term > state.term);
  return isFree && state.log.isUpToDate(request.last);
}

/** Reads that were promised an answer get a refusal; nothing of the leadership outlives it. */
function loseLeadership(state: RaftState): void {
  assert(state.role === 'leader', 'only a leader has leadership');
  for (const origin of state.leadership?.rounds.drain() ?? []) {
    answerRead(state, origin, logIndex(0));
  }
  state.leadership = null;
  state.electionTicks = 0;
  state.leaderContactTicks = 0;
}
