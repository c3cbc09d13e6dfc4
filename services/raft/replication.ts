/**
 * The leader's sending and committing. Appends are made when the caller takes a Ready: one a follower
 * a turn, entries shared by reference, so a busy turn becomes one large append. Invariants: only
 * entries of the own term are committed by counting (Raft paper, 5.4.2); the leader counts itself
 * only for what its own disk holds.
 */
import { assert } from '../common/assert.ts';
import { logIndex, type NodeId, term as termOf } from '../common/ids.ts';
import type { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { answerRead, envelope, type Leadership, type RaftState } from './state.ts';

/** Raises the commit index to what a majority holds durably. True when that is news. */
export function advanceCommit(state: RaftState, leadership: Leadership): boolean {
  const matches = [state.log.unstable.durable];
  for (const progress of leadership.progress.values()) matches.push(progress.match);
  const reached = quorumValue(matches);
  const committed = state.log.commit;
  assert(reached <= state.log.lastIndex, 'nobody holds more than the leader');
  if (reached <= committed || state.log.termAt(reached) !== state.term) return false;
  leadership.uncommittedBytes -= state.log.bytesBetween(committed, reached);
  assert(leadership.uncommittedBytes >= 0, 'uncommitted bytes are never negative');
  return state.log.commitTo(reached);
}

/** Before an entry of the own term is committed, the commit index may be an old one (thesis 6.4). */
export const isCommitCurrent = ({ log, term }: RaftState): boolean =>
  log.termAt(log.commit) === term;

/** Closes the open round of reads: from now on its heartbeats leave, and later reads wait. */
export function closeReadRound(state: RaftState, leadership: Leadership): void {
  if (!leadership.rounds.isDue || !isCommitCurrent(state)) return;
  leadership.rounds.close(state.log.commit);
  leadership.heartbeatDue = true;
  confirmReads(state, leadership);
}

/** Answers the reads of all rounds that a majority has confirmed. */
export function confirmReads(state: RaftState, leadership: Leadership): void {
  const { rounds } = leadership;
  const tokens = [rounds.newestToken];
  for (const progress of leadership.progress.values()) tokens.push(progress.readToken);
  for (const round of rounds.confirm(quorumValue(tokens))) {
    for (const origin of round.origins) answerRead(state, origin, round.index);
  }
}

/** Heartbeats to all, where they are due. */
export function sendHeartbeats(state: RaftState, leadership: Leadership): void {
  if (!leadership.heartbeatDue) return;
  leadership.heartbeatDue = false;
  for (const [node, progress] of leadership.progress) {
    state.outbox.send({
      kind: 'heartbeat-request',
      ...envelope(state, node),
      // Beyond its match the follower may hold other entries at the same indexes.
      commit: logIndex(Math.min(state.log.commit, progress.match)),
      readToken: leadership.rounds.newestToken,
      lastIndex: logIndex(state.log.lastIndex),
    });
  }
}

/** One append to each follower that may take one and lacks something. */
export function sendAppends(state: RaftState, leadership: Leadership): void {
  for (const [node, progress] of leadership.progress) {
    if (isAppendDue(state, progress)) sendAppend(state, node, progress);
  }
}

function isAppendDue(state: RaftState, progress: Progress): boolean {
  if (progress.state === 'snapshot') return false;
  if (progress.state === 'probe') return !progress.isPaused;
  const hasEntries = !progress.isPaused && progress.next <= state.log.lastIndex;
  const hasCommit = progress.sentCommit < Math.min(state.log.commit, progress.next - 1);
  return hasEntries || hasCommit || progress.nudged;
}

function sendAppend(state: RaftState, node: NodeId, progress: Progress): void {
  const { log, options } = state;
  const previousIndex = progress.next - 1;
  const previousTerm = log.termAt(previousIndex);
  if (previousTerm === null) {
    // A dead follower is sent no snapshot: it would be made in vain, again and again.
    if (!progress.recentlyActive) return;
    progress.needSnapshot();
    state.outbox.requestSnapshot(node);
    return;
  }
  const hasEntries = !progress.isPaused && progress.next <= log.lastIndex;
  const entries = hasEntries ? log.slice(progress.next, options.limits.appendBytesMax) : [];
  const lastIndex = previousIndex + entries.length;
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  progress.sent(lastIndex, bytes);
  progress.sentCommit = Math.min(log.commit, lastIndex);
  state.outbox.send({
    kind: 'append-request',
    ...envelope(state, node),
    previous: { index: logIndex(previousIndex), term: termOf(previousTerm) },
    entries,
    commit: log.commit,
    lastIndex: logIndex(log.lastIndex),
  });
}
