/**
 * Goal: what a leader believes of a follower stays true and bounded under any order of events, and
 * can always move on. Method: random events against a model that knows what was sent.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { logIndex, term } from '../common/ids.ts';
import { Inflight } from './inflight.ts';
import { Progress } from './progress.ts';

const LIMITS = {
  uncommittedBytesMax: 1000,
  appendBytesMax: 100,
  inflightMessagesMax: 3,
  inflightBytesMax: 50,
};
const LAST = 40;

type Step =
  | { readonly kind: 'send'; readonly count: number }
  | { readonly kind: 'accept'; readonly index: number }
  | { readonly kind: 'refuse'; readonly index: number; readonly hint: number }
  | { readonly kind: 'staged'; readonly index: number }
  | { readonly kind: 'unreachable' | 'heartbeat' | 'snapshot' | 'failed' | 'boot' };

function move(progress: Progress, step: Step, boot: number): void {
  switch (step.kind) {
    case 'send':
      if (progress.isPaused) return;
      progress.sent(Math.min(LAST, progress.next - 1 + step.count), 20);
      return;
    case 'accept':
      progress.accepted(step.index);
      return;
    case 'refuse':
      progress.refused(step.index, step.hint);
      return;
    case 'unreachable':
      progress.unreachable();
      return;
    case 'heartbeat':
      progress.resumeProbe();
      return;
    case 'snapshot':
      if (progress.state !== 'snapshot') progress.needSnapshot();
      return;
    case 'staged':
      progress.snapshotStaged({ index: logIndex(step.index), term: term(1) });
      return;
    case 'failed':
      progress.snapshotFailed();
      return;
    case 'boot':
      progress.observeBoot(boot, LAST);
      return;
    default:
      step satisfies never;
  }
}

describe('Inflight', () => {
  const events = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('add' as const), bytes: fc.nat(30) }),
      fc.record({ kind: fc.constant('free' as const), to: fc.nat(200) }),
      fc.record({ kind: fc.constant('reset' as const) }),
    ),
    { maxLength: 100 },
  );

  test('counts and bytes are those of a plain list, and nothing leaks', () => {
    fc.assert(
      fc.property(events, (sequence) => {
        const inflight = new Inflight(4, 60);
        let model: { last: number; bytes: number }[] = [];
        let last = 0;
        for (const event of sequence) {
          if (event.kind === 'add' && !inflight.isFull) {
            last += 1 + (event.bytes % 3);
            inflight.add(last, event.bytes);
            model.push({ last, bytes: event.bytes });
          } else if (event.kind === 'free') {
            inflight.freeTo(event.to);
            model = model.filter((one) => one.last > event.to);
          } else if (event.kind === 'reset') {
            inflight.reset();
            model = [];
          }
          const bytes = model.reduce((sum, one) => sum + one.bytes, 0);
          expect(inflight.count).toBe(model.length);
          expect(inflight.bytes).toBe(bytes);
          expect(inflight.isFull).toBe(model.length === 4 || bytes >= 60);
        }
      }),
    );
  });

  test('an append beyond the bound is a bug', () => {
    const inflight = new Inflight(1, 10);
    inflight.add(1, 0);
    expect(() => inflight.add(2, 0)).toThrow('beyond the bound');
  });
});

describe('Progress', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ kind: fc.constant('accept' as const), index: fc.nat(LAST) }),
    fc.record({ kind: fc.constant('refuse' as const), index: fc.nat(LAST), hint: fc.nat(LAST) }),
    fc.record({ kind: fc.constant('unreachable' as const) }),
    fc.record({ kind: fc.constant('heartbeat' as const) }),
    fc.record({ kind: fc.constant('snapshot' as const) }),
    fc.record({ kind: fc.constant('staged' as const), index: fc.nat(LAST) }),
    fc.record({ kind: fc.constant('failed' as const) }),
    fc.record({ kind: fc.constant('boot' as const) }),
  );

  test('match only grows within a boot, stays below next, and the way on is always open', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (sequence) => {
        const progress = new Progress(10, 1, LIMITS);
        let boot = 1;
        for (const step of sequence) {
          const before = progress.match;
          if (step.kind === 'boot') boot += 1;
          move(progress, step, boot);
          if (step.kind === 'boot') expect(progress.match).toBe(0);
          else expect(progress.match).toBeGreaterThanOrEqual(before);
          expect(progress.match).toBeLessThan(progress.next);
          expect(progress.inflight.count).toBeLessThanOrEqual(3);
        }
        // Whatever came before, a heartbeat's answer and an acknowledgement open the way again.
        progress.snapshotFailed();
        progress.resumeProbe();
        progress.accepted(LAST);
        expect(progress).toMatchObject({ state: 'replicate', isPaused: false, match: LAST });
      }),
    );
  });

  test('bytes on the way are forgotten with a probe, so lost acknowledgements hold nothing', () => {
    const progress = new Progress(1, 1, LIMITS);
    progress.sent(0, 0);
    progress.accepted(0);
    for (let index = 1; !progress.isPaused; index += 1) progress.sent(index, 30);
    expect(progress.inflight.bytes).toBe(60);
    progress.unreachable();
    expect(progress).toMatchObject({ state: 'probe', next: 1, isPaused: false });
    expect(progress.inflight.bytes).toBe(0);
  });
});
