/** Where a log may be cut: the slack, what followers are waited for, and how much of it memory bears. */
import { expect, test } from '@jest/globals';
import { logIndex, NOBODY, nodeId, term } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { LogPoint, PeerStatus, RaftStatus } from '../raft/types.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LogCuts } from './log-cuts.ts';

const point = (index: number): LogPoint => ({ index: logIndex(index), term: term(1) });
const NOTHING_SENT = { keepFrom: Number.POSITIVE_INFINITY };

const peer = (match: number): PeerStatus => ({
  node: nodeId(2),
  match: logIndex(match),
  next: logIndex(match + 1),
  state: 'replicate',
  recentlyActive: false,
  recovering: false,
  stopping: false,
});

const status = (lastIndex: number, change: Partial<RaftStatus> = {}): RaftStatus => ({
  role: 'leader',
  term: term(1),
  vote: nodeId(1),
  leader: nodeId(1),
  commit: logIndex(lastIndex),
  applied: logIndex(lastIndex),
  lastIndex: logIndex(lastIndex),
  baseIndex: logIndex(0),
  logBytes: lastIndex,
  recovering: false,
  transferTarget: NOBODY,
  leaderContactTicks: 0,
  peers: [peer(0)],
  ...change,
});

/** Cuts of a log with a slack of ten, whose state is flushed as far as it goes. */
function cuts() {
  const machine = { flushed: point(0) };
  const made = new LogCuts({ clock: new ManualClock(), machine, snapshots: NOTHING_SENT }, 10);
  return (lastIndex: number, change: Partial<RaftStatus> = {}): number | null => {
    machine.flushed = point(lastIndex);
    return made.next(status(lastIndex, change))?.index ?? null;
  };
}

test('a follower that stopped is waited for, as far as entries go', () => {
  const next = cuts();
  for (const index of [10, 20, 30, 100]) expect(next(index)).toBeNull();
  expect(next(120)).toBe(100);
});

test('but not beyond what memory bears', () => {
  const next = cuts();
  for (const index of [10, 20, 30]) expect(next(index, { logBytes: 256 * MIB })).toBeNull();
  expect(next(40, { logBytes: 256 * MIB + 1 })).toBe(30);
});
