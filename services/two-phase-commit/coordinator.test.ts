import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { diskId, session } from '../common/ids.ts';
import { begin, step, votesOf } from './coordinator.ts';
import type { CommitEffect, CommitEvent, CommitState, Step } from './types.ts';

const disks = (...numbers: number[]) => numbers.map((n) => diskId(n));
const one = (spares: number[] = []) => [{ replicas: disks(1, 2, 3), spares: disks(...spares) }];
const kinds = (effects: readonly CommitEffect[]) => effects.map(({ kind }) => kind);

/** Feeds events in order; answers the last state and all effects after the beginning. */
function play(
  start: Step,
  events: readonly CommitEvent[],
): { state: CommitState; effects: CommitEffect[] } {
  const effects: CommitEffect[] = [];
  let { state } = start;
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
}

const sent = (n: number): CommitEvent => ({ kind: 'sent', staging: 0, disk: diskId(n) });
const voted = (n: number): CommitEvent => ({
  kind: 'voted',
  staging: 0,
  disk: diskId(n),
  session: session(10 + n),
});
const failed = (n: number, held: boolean): CommitEvent => ({
  kind: 'failed',
  staging: 0,
  disk: diskId(n),
  held,
});
const stalled = (numbers: number[], held: boolean): CommitEvent => ({
  kind: 'stalled',
  staging: 0,
  disks: disks(...numbers),
  held,
});
const allSent = [sent(1), sent(2), sent(3)];
const allVoted = [voted(1), voted(2), voted(3)];
const decided = (decision: 'applied' | 'refused' | 'forgotten'): CommitEvent => ({
  kind: 'decided',
  decision,
});

describe('a write', () => {
  test('streams, mints before the first end, proposes after all votes, finalizes', () => {
    const start = begin(2, one());
    expect(kinds(start.effects)).toEqual(['stage', 'stage', 'stage']);
    const { state, effects } = play(start, [...allSent, ...allVoted, decided('applied')]);
    expect(kinds(effects)).toEqual(['mint', 'end', 'end', 'end', 'propose', 'finalize', 'answer']);
    expect(state.verdict).toEqual({ kind: 'decided', decision: 'applied' });
    expect(votesOf(state.stagings[0]!).map((member) => member.session)).toEqual([11, 12, 13]);
  });

  test('a delete stages nothing and is proposed at once', () => {
    expect(kinds(begin(2, []).effects)).toEqual(['mint', 'propose']);
  });

  test('with too few volumes nothing begins', () => {
    const { state, effects } = begin(2, [{ replicas: disks(1), spares: [] }]);
    expect(state.verdict).toEqual({ kind: 'abandoned', reason: 'too-few-volumes' });
    expect(kinds(effects)).toEqual(['discard', 'answer']);
  });

  test('a failed volume is replaced by a spare while the body is held', () => {
    const { effects } = play(begin(2, one([4])), [sent(1), failed(2, true), sent(3), sent(4)]);
    expect(effects).toContainEqual({ kind: 'release', staging: 0, disk: 2 });
    expect(effects).toContainEqual({ kind: 'stage', staging: 0, disk: 4 });
    expect(effects).toContainEqual({ kind: 'end', staging: 0, disk: 4 });
  });

  test('a spare that steps in after the ends are out gets its own end', () => {
    const events = [...allSent, voted(1), failed(2, true), voted(3), sent(4), voted(4)];
    const { state, effects } = play(begin(2, one([4])), events);
    expect(effects.filter(({ kind }) => kind === 'end')).toHaveLength(4);
    expect(state.phase).toBe('PROPOSED');
    expect(votesOf(state.stagings[0]!).map(({ disk }) => disk)).toEqual([1, 3, 4]);
  });

  test('a failed volume is left out when the body is gone; the rest decides', () => {
    const events = [failed(2, false), sent(1), sent(3), voted(1), voted(3), decided('applied')];
    const { effects } = play(begin(2, one([4])), events);
    expect(effects).toContainEqual({ kind: 'finalize', staging: 0, disks: [1, 3] });
    expect(effects).toContainEqual({ kind: 'discard', staging: 0, disks: [2] });
  });

  test('fewer than need: abandoned, everything discarded', () => {
    const { state, effects } = play(begin(2, one()), [failed(2, false), failed(3, false)]);
    expect(state.verdict).toEqual({ kind: 'abandoned', reason: 'too-few-volumes' });
    expect(effects).toContainEqual({ kind: 'discard', staging: 0, disks: [1, 2, 3] });
  });

  test('slow volumes are left out only while enough others go on', () => {
    const lone = play(begin(2, one()), [stalled([3], false)]);
    expect(lone.state.stagings[0]?.members[2]?.state).toBe('out');
    const many = play(begin(2, one()), [stalled([2, 3], false)]);
    expect(many.effects).toEqual([]);
    const replaced = play(begin(2, one([4])), [stalled([2, 3], true)]);
    expect(replaced.effects).toContainEqual({ kind: 'stage', staging: 0, disk: 4 });
  });

  test('a client that vanishes before the proposal leaves nothing behind', () => {
    for (const events of [[], allSent, [...allSent, voted(1)]]) {
      const { state, effects } = play(begin(2, one()), [...events, { kind: 'withdrawn' }]);
      expect(state.verdict).toEqual({ kind: 'abandoned', reason: 'withdrawn' });
      expect(effects).toContainEqual({ kind: 'discard', staging: 0, disks: [1, 2, 3] });
    }
  });

  test('from the proposal on nothing but a decision or the deadline counts', () => {
    const { state } = play(begin(2, one()), [...allSent, ...allVoted]);
    for (const event of [
      { kind: 'withdrawn' } as const,
      failed(1, true),
      stalled([1], true),
      sent(1),
    ]) {
      expect(step(state, event)).toEqual({ state, effects: [] });
    }
    expect(step(state, { kind: 'retry' }).effects).toEqual([{ kind: 'propose' }]);
  });

  test('after the deadline: unknown, no further proposal, and a late outcome settles the copies', () => {
    const proposed = play(begin(2, one()), [...allSent, ...allVoted]);
    const late = step(proposed.state, { kind: 'deadline' });
    expect(late.effects).toEqual([{ kind: 'answer', verdict: { kind: 'unknown' } }]);
    expect(step(late.state, { kind: 'retry' }).effects).toEqual([]);
    const learned = step(late.state, decided('applied'));
    expect(kinds(learned.effects)).toEqual(['finalize']);
    expect(step(learned.state, decided('applied')).effects).toEqual([]);
    expect(kinds(step(late.state, decided('refused')).effects)).toEqual(['discard']);
  });

  test('a forgotten outcome settles nothing', () => {
    const { effects } = play(begin(2, one()), [...allSent, ...allVoted, decided('forgotten')]);
    expect(kinds(effects).slice(-2)).toEqual(['propose', 'answer']);
  });

  test('a transaction proposes when all its blobs have their votes', () => {
    const start = begin(1, [
      { replicas: disks(1), spares: [] },
      { replicas: disks(2), spares: [] },
    ]);
    const at = (staging: number, event: CommitEvent): CommitEvent =>
      event.kind === 'sent' || event.kind === 'voted' ? { ...event, staging } : event;
    const half = play(start, [at(0, sent(1)), at(1, sent(2)), at(0, voted(1))]);
    expect(half.state.phase).toBe('VOTE');
    expect(step(half.state, at(1, voted(2))).effects).toEqual([{ kind: 'propose' }]);
  });
});

const arbitraryEvent: fc.Arbitrary<CommitEvent> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 5 }).map(sent) },
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 5 }).map(voted) },
  fc.tuple(fc.integer({ min: 1, max: 5 }), fc.boolean()).map(([n, held]) => failed(n, held)),
  fc
    .tuple(fc.subarray([1, 2, 3, 4, 5], { minLength: 1 }), fc.boolean())
    .map(([numbers, held]) => stalled(numbers, held)),
  fc.constantFrom<CommitEvent>(
    { kind: 'withdrawn' },
    { kind: 'retry' },
    { kind: 'deadline' },
    decided('applied'),
    decided('refused'),
    decided('forgotten'),
  ),
);

test('whatever happens: one mint before any end, one answer, no discard while undecided', () => {
  fc.assert(
    fc.property(fc.array(arbitraryEvent, { maxLength: 30 }), (events) => {
      const start = begin(2, one([4, 5]));
      const { state, effects } = play(start, events);
      const order = kinds(effects);
      expect(order.filter((kind) => kind === 'mint').length).toBeLessThanOrEqual(1);
      expect(order.filter((kind) => kind === 'answer').length).toBe(
        state.phase === 'DECIDED' ? 1 : 0,
      );
      const mint = order.indexOf('mint');
      const end = order.indexOf('end');
      if (end >= 0) expect(mint).toBeLessThan(end);
      const propose = order.indexOf('propose');
      if (propose < 0) return;
      expect(state.stagings.every((staging) => votesOf(staging).length >= 2)).toBe(true);
      const after = order.slice(propose);
      const { verdict } = state;
      if (verdict?.kind !== 'decided') expect(after).not.toContain('discard');
      expect(after).not.toContain('stage');
      expect(after).not.toContain('end');
      expect(verdict?.kind).not.toBe('abandoned');
    }),
    { numRuns: 2000 },
  );
});
