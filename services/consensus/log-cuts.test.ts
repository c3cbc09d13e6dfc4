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
  const next = (lastIndex: number, change: Partial<RaftStatus> = {}): number | null => {
    machine.flushed = point(lastIndex);
    return made.next(status(lastIndex, change))?.index ?? null;
  };
  const staged = (index: number, lastIndex: number): void =>
    made.staged(nodeId(2), point(index), status(lastIndex));
  return Object.assign(next, { staged });
}

test('a follower that stopped is waited for, as far as entries go', () => {
  const next = cuts();
  for (const index of [10, 20, 30, 100]) expect(next(index)).toBeNull();
  expect(next(120)).toBe(100);
});

test('but not in a log beyond what memory bears', () => {
  const next = cuts();
  for (const index of [10, 20, 30]) expect(next(index, { logBytes: 256 * MIB })).toBeNull();
  expect(next(40, { logBytes: 256 * MIB + 1 })).toBe(30);
});

test('one that installs a snapshot is waited for in a large log, too', () => {
  const next = cuts();
  const large = { logBytes: 300 * MIB };
  for (const index of [10, 20, 30]) expect(next(index)).toBeNull();
  next.staged(20, 30);
  expect(next(100, large)).toBe(20);
  const since = { ...large, baseIndex: logIndex(20) };
  expect(next(110, { ...since, peers: [peer(60)] })).toBe(30);
  expect(next(120, { ...since, peers: [peer(119)] })).toBe(110);
});

test('the slack of large entries is as many as memory bears', () => {
  const next = cuts();
  const alone = { peers: [], role: 'follower' } as const;
  for (const index of [10, 14, 16, 18]) next(index, { ...alone, logBytes: index });
  expect(next(20, { ...alone, logBytes: 20 * 16 * MIB })).toBe(16);
});
