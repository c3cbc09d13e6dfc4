/**
 * Campaigns: a pre-vote asks whether an election could be won and changes nothing (thesis 9.6); only
 * a won one raises the term and asks for votes (Raft paper, 5.2). Invariant: an answer counts only
 * for the campaign and term that it answers, and once a voter.
 */
import { assert } from '../common/assert.ts';
import { NOBODY, term as termOf } from '../common/ids.ts';
import { becomeFollower, enterTerm, followLeader, retryAfter } from './election.ts';
import { becomeLeader } from './leader.ts';
import type { VoteReply, VoteRequest } from './messages.ts';
import { voteResult } from './quorum.ts';
import { drawElectionTimeout, envelope, type RaftState } from './state.ts';

/** Whether this node may try to lead at all. */
export const isPromotable = (state: RaftState): boolean =>
  !state.recovering && !state.stopping && state.installing === null && state.role !== 'leader';

/** Asks whether an election could be won. */
export function beginPreVote(state: RaftState): void {
  beginCampaign(state, 'pre-candidate');
  askVoters(state, { pre: true, transfer: false, leaderSuspected: state.suspicion !== null });
  conclude(state);
}

/** Enters the next term with a vote for itself and asks for the others'. */
export function beginElection(
  state: RaftState,
  cause: { readonly transfer: boolean; readonly leaderSuspected: boolean },
): void {
  const delayTicks = state.retry?.delayTicks;
  enterTerm(state, termOf(state.term + 1));
  state.vote = state.self;
  beginCampaign(state, 'candidate');
  if (delayTicks !== undefined) retryAfter(state, delayTicks * 2);
  askVoters(state, { pre: false, ...cause });
  conclude(state);
}

export function handleVoteReply(state: RaftState, reply: VoteReply): void {
  const { campaign } = state;
  if (campaign === null || reply.pre !== (state.role === 'pre-candidate')) return;
  const askedTerm = reply.pre && reply.granted ? state.term + 1 : state.term;
  if (reply.term !== askedTerm) return;
  assert(reply.from !== state.self, 'the own vote is not sent');
  if (reply.granted) {
    campaign.granted.add(reply.from);
    campaign.rejected.delete(reply.from);
  } else if (!campaign.granted.has(reply.from)) campaign.rejected.add(reply.from);
  conclude(state);
}

function beginCampaign(state: RaftState, role: 'pre-candidate' | 'candidate'): void {
  assert(isPromotable(state), 'only who may lead campaigns');
  assert(state.leadership === null, 'a leader does not campaign');
  followLeader(state, NOBODY);
  state.role = role;
  state.campaign = { granted: new Set([state.self]), rejected: new Set() };
  state.electionTicks = 0;
  drawElectionTimeout(state);
}

function askVoters(
  state: RaftState,
  cause: Pick<VoteRequest, 'pre' | 'transfer' | 'leaderSuspected'>,
): void {
  const term = cause.pre ? state.term + 1 : state.term;
  for (const peer of state.peers) {
    const request: VoteRequest = {
      kind: 'vote-request',
      ...envelope(state, peer, term),
      ...cause,
      last: state.log.last,
    };
    // A vote for itself must be durable before it can be counted together with others.
    if (cause.pre) state.outbox.send(request);
    else state.outbox.sendAfterPersist(request);
  }
}

function conclude(state: RaftState): void {
  const { campaign } = state;
  assert(campaign !== null, 'a campaign is under way');
  const { granted, rejected } = campaign;
  const result = voteResult(granted.size, rejected.size, state.options.voters.length);
  if (result === 'pending') return;
  if (result === 'lost') becomeFollower(state, state.term, NOBODY);
  else if (state.role === 'candidate') becomeLeader(state);
  else beginElection(state, { transfer: false, leaderSuspected: state.suspicion !== null });
}
