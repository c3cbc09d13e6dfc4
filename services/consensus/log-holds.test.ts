import { describe, expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { LogHolds } from './log-holds.ts';

const A = nodeId(2);
const B = nodeId(3);

interface More {
  readonly baseIndex?: number;
  readonly led?: number;
  /** Nothing is heard of them. */
  readonly silent?: boolean;
}

/** What a leader with so many entries knows: how far each follower is. */
const followers = (
  lastIndex: number,
  matches: Readonly<Record<number, number>>,
  { baseIndex = 0, led = 1, silent = true }: More = {},
) => ({
  term: term(led),
  lastIndex: logIndex(lastIndex),
  baseIndex: logIndex(baseIndex),
  logBytes: 0,
  peers: Object.entries(matches).map(([node, match]) => ({
    node: nodeId(Number(node)),
    match: logIndex(match),
    next: logIndex(match + 1),
    state: 'replicate' as const,
    recentlyActive: !silent,
    recovering: false,
    stopping: false,
  })),
});

function noted(holds: LogHolds, of: ReturnType<typeof followers>, nowMs: number): number {
  holds.note(of, nowMs);
  return holds.keepFrom(of, nowMs);
}

describe('the log is kept', () => {
  test('for the follower that is furthest behind, until it comes nearer', () => {
    const holds = new LogHolds(100);
    expect(noted(holds, followers(50, { [A]: 50, [B]: 40 }), 0)).toBe(40);
    expect(noted(holds, followers(90, { [A]: 90, [B]: 40 }), 1000)).toBe(40);
    expect(noted(holds, followers(95, { [A]: 90, [B]: 95 }), 2000)).toBe(90);
  });

  test('for one that has stopped: a minute, and so many entries', () => {
    const holds = new LogHolds(100);
    expect(noted(holds, followers(50, { [A]: 50 }), 0)).toBe(50);
    expect(noted(holds, followers(150, { [A]: 50 }), 60_000)).toBe(50);
    expect(noted(holds, followers(150, { [A]: 50 }), 60_001)).toBe(Infinity);
    expect(noted(holds, followers(160, { [A]: 60 }), 70_000)).toBe(60);
    expect(noted(holds, followers(161, { [A]: 60 }), 70_000)).toBe(Infinity);
  });

  test('for one of which a new boot has forgotten what it held', () => {
    const holds = new LogHolds(100);
    expect(noted(holds, followers(50, { [A]: 50 }), 0)).toBe(50);
    expect(noted(holds, followers(60, { [A]: 0 }), 1000)).toBe(50);
  });

  test('for one that is heard as long as it is, also where nothing is written', () => {
    const holds = new LogHolds(100);
    expect(noted(holds, followers(50, { [A]: 50 }, { silent: false }), 0)).toBe(50);
    expect(noted(holds, followers(50, { [A]: 50 }, { silent: false }), 300_000)).toBe(50);
    expect(noted(holds, followers(90, { [A]: 50 }), 360_000)).toBe(50);
    expect(noted(holds, followers(90, { [A]: 50 }), 360_001)).toBe(Infinity);
  });

  test('by a new leader for all, of whom it has heard nothing yet', () => {
    const holds = new LogHolds(100);
    const since = { baseIndex: 900, led: 7 };
    expect(noted(holds, followers(950, { [A]: 0, [B]: 0 }, since), 0)).toBe(900);
    expect(noted(holds, followers(960, { [A]: 960, [B]: 0 }, since), 1000)).toBe(900);
    expect(noted(holds, followers(960, { [A]: 960, [B]: 0 }, since), 60_001)).toBe(960);
    expect(
      noted(holds, followers(970, { [A]: 0, [B]: 0 }, { baseIndex: 900, led: 8 }), 61_000),
    ).toBe(900);
  });

  test('behind a snapshot, however long it took, until its follower has caught up', () => {
    const holds = new LogHolds(100);
    const since = { baseIndex: 900 };
    holds.note(followers(9000, { [A]: 20 }, since), 0);
    holds.staged(A, 1000, 9000, 0);
    expect(noted(holds, followers(17_100, { [A]: 20 }, since), 1000)).toBe(1000);
    expect(noted(holds, followers(9100, { [A]: 1000 }, since), 2000)).toBe(1000);
    expect(noted(holds, followers(9200, { [A]: 5000 }, since), 3000)).toBe(5000);
    expect(noted(holds, followers(9300, { [A]: 9250 }, since), 4000)).toBe(9250);
    // It is one like the others now.
    expect(noted(holds, followers(9351, { [A]: 9250 }, since), 5000)).toBe(Infinity);
  });

  test('behind a snapshot no longer than its follower is heard, and not for a gap that grows and grows', () => {
    const holds = new LogHolds(100);
    const since = { baseIndex: 900 };
    holds.note(followers(2000, { [A]: 0 }, since), 0);
    holds.staged(A, 1000, 2000, 0);
    expect(noted(holds, followers(3100, { [A]: 0 }, since), 60_000)).toBe(1000);
    expect(noted(holds, followers(3101, { [A]: 0 }, since), 60_000)).toBe(Infinity);
    holds.staged(A, 1000, 2000, 0);
    expect(noted(holds, followers(2000, { [A]: 0 }, since), 60_001)).toBe(Infinity);
  });

  test('for nobody whom it cannot help, and by nobody who does not lead', () => {
    const holds = new LogHolds(100);
    expect(noted(holds, followers(50, { [A]: 10 }, { baseIndex: 10 }), 0)).toBe(10);
    expect(noted(holds, followers(60, { [A]: 10 }, { baseIndex: 11 }), 0)).toBe(Infinity);
    expect(noted(holds, followers(60, { [A]: 60 }, { baseIndex: 11 }), 0)).toBe(60);
    expect(noted(holds, followers(60, {}, { baseIndex: 11 }), 0)).toBe(Infinity);
  });
});
