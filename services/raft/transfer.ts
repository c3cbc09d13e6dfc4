/**
 * Leadership transfer (thesis 3.10): stop taking proposals, bring the target up to date, tell it to
 * campaign at once. Invariant: a transfer ends by another leader or within one election timeout,
 * after which proposals are taken again.
 */
import { assert } from '../common/assert.ts';
import { NOBODY, type NodeId } from '../common/ids.ts';
import { envelope, type Leadership, type RaftState } from './state.ts';

/** Begins a transfer to `to`, or to the most complete live follower where `to` is nobody. */
export function beginTransfer(state: RaftState, leadership: Leadership, to: NodeId): void {
  assert(state.role === 'leader', 'only a leader hands over');
  const target = to === NOBODY ? bestTarget(leadership) : to;
  const progress = leadership.progress.get(target);
  if (progress === undefined || progress.recovering || progress.stopping) return;
  if (leadership.transfer?.target === target) return;
  leadership.transfer = { target, ticks: 0, told: false };
  progress.nudged = progress.state === 'replicate';
  continueTransfer(state, leadership);
}

/** Tells the target to campaign once it holds the whole log. */
export function continueTransfer(state: RaftState, leadership: Leadership): void {
  const { transfer } = leadership;
  if (transfer === null || transfer.told) return;
  const progress = leadership.progress.get(transfer.target);
  assert(progress !== undefined, 'the target is a voter');
  if (progress.match !== state.log.lastIndex) return;
  assert(progress.next > progress.match, 'match stays below next');
  transfer.told = true;
  state.outbox.send({ kind: 'timeout-now', ...envelope(state, transfer.target) });
}

/** Gives up after an election timeout: the target may be dead, and writes must go on. */
export function tickTransfer(state: RaftState, leadership: Leadership): void {
  const { transfer } = leadership;
  if (transfer === null) return;
  transfer.ticks += 1;
  assert(transfer.ticks <= state.options.electionTicksMin, 'a transfer ends in time');
  if (transfer.ticks === state.options.electionTicksMin) leadership.transfer = null;
}

function bestTarget(leadership: Leadership): NodeId {
  let best = NOBODY;
  let bestMatch = -1;
  for (const [node, progress] of leadership.progress) {
    if (!progress.isLive || progress.recovering || progress.stopping) continue;
    if (progress.match <= bestMatch) continue;
    best = node;
    bestMatch = progress.match;
  }
  return best;
}
