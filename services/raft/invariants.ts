/**
 * What must hold between any two inputs, whatever they were. Checked after each one, in production
 * too: a node that breaks one stops before it can acknowledge anything more.
 */
import { assert } from '../common/assert.ts';
import { NOBODY } from '../common/ids.ts';
import type { RaftState } from './state.ts';

/** What may only grow from one input to the next. */
export interface Watermark {
  readonly term: number;
  readonly commit: number;
}

export const watermarkOf = (state: RaftState): Watermark => ({
  term: state.term,
  commit: state.log.commit,
});

export function checkInvariants(state: RaftState, before: Watermark): void {
  assert(state.term >= before.term, 'the term never falls');
  assert(state.log.commit >= before.commit, 'the commit index never falls');
  checkRole(state);
  checkLog(state);
}

function checkRole(state: RaftState): void {
  const isLeader = state.role === 'leader';
  const isCandidate = state.role === 'candidate' || state.role === 'pre-candidate';
  assert(isLeader === (state.leadership !== null), 'leadership belongs to the leader');
  assert(isLeader === (state.leader === state.self), 'only the leader follows himself');
  assert(isCandidate === (state.campaign !== null), 'a campaign belongs to a candidate');
  assert(!isCandidate || state.leader === NOBODY, 'a candidate follows nobody');
  assert(!state.recovering || state.role === 'follower', 'a recovering node only follows');
  assert(state.role !== 'candidate' || state.vote === state.self, 'a candidate votes for himself');
}

function checkLog(state: RaftState): void {
  const { log } = state;
  assert(log.base.index <= log.commit, 'the log is cut only behind what is committed');
  assert(log.commit <= log.lastIndex, 'only entries at hand are committed');
  assert(log.unstable.durable <= log.unstable.handed, 'durable entries were handed out');
  assert(log.unstable.handed <= log.lastIndex, 'only entries at hand are handed out');
  assert(log.last.term <= state.term, 'no entry is of a later term');
  assert(
    state.verified <= log.lastIndex || state.role === 'leader',
    'verified entries are at hand',
  );
}
