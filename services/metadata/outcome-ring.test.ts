import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { hexOf, logIndex, type TxnId } from '../common/ids.ts';
import { ByteQueue } from './byte-queue.ts';
import { outcomeKey } from './keys.ts';
import { OutcomeRing } from './outcome-ring.ts';

/** Few births and few ends, so that ids lie close together. */
const txnIds = fc
  .tuple(fc.nat(40), fc.nat(300))
  .map(
    ([birth, end]) =>
      (birth.toString(16).padStart(12, '0') + end.toString(16).padStart(20, '0')) as TxnId,
  );

const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('push' as const),
        txnId: txnIds,
        bytes: fc.nat(70_000),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('shift' as const) }) },
  ),
  { minLength: 100, maxLength: 400, size: 'max' },
);

describe('the ring of outcomes', () => {
  test('finds exactly the rows that it holds, and gives them up in their order', () => {
    fc.assert(
      fc.property(steps, (history) => {
        const ring = new OutcomeRing();
        const model = new Map<TxnId, { at: number; value: Uint8Array }>();
        const seen = new Set<TxnId>();
        for (const [i, step] of history.entries()) {
          if (step.kind === 'shift') {
            const [oldest] = model;
            if (oldest === undefined) continue;
            expect(ring.shift()).toEqual({ laneA: oldest[1].at, laneB: 7 });
            model.delete(oldest[0]);
          } else if (!model.has(step.txnId)) {
            const value = new Uint8Array(
              step.bytes % 977 === 0 ? step.bytes : step.bytes % 80,
            ).fill(i);
            ring.pushRow(logIndex(i), outcomeKey(step.txnId), value, { laneA: i, laneB: 7 });
            model.set(step.txnId, { at: i, value });
            seen.add(step.txnId);
          }
          const [first] = model.values();
          expect([ring.count, ring.oldestIndex()]).toEqual([
            model.size,
            first?.at ?? Number.POSITIVE_INFINITY,
          ]);
        }
        for (const txnId of seen) expect(ring.find(txnId)).toEqual(model.get(txnId)?.value);
      }),
      { numRuns: 20 },
    );
  });
});

test('a queue of bytes keeps what is in it and lets go of the rest', () => {
  const queue = new ByteQueue();
  const places = new Map<number, number>();
  for (let i = 0; i < 3000; i += 1) {
    places.set(i, queue.push(new Uint8Array(i % 97).fill(i)));
    if (i >= 500) queue.shift();
    const oldest = Math.max(0, i - 499);
    const kept = [oldest, i].map((at) =>
      hexOf(queue.at(places.get(at) ?? -1) ?? new Uint8Array(1)),
    );
    expect(kept).toEqual([oldest, i].map((at) => hexOf(new Uint8Array(at % 97).fill(at))));
  }
  expect(queue.bytes).toBeLessThan(500 * 101 + 3 * 64 * 1024);
});
