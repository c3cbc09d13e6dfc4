/**
 * The checker against one that tries all orders: on every small history there is, and on histories of
 * a store that is right, then changed at random. Goal: they never disagree, and both verdicts occur often.
 */
import { expect, test } from '@jest/globals';
import { seededRandom } from '../common/random.ts';
import { hasOrderByForce } from '../testing/brute-force-order.ts';
import { mutated, registerHistory } from '../testing/register-histories.ts';
import type { Operation } from './history.ts';
import { shrink } from './history-shrink.ts';
import { violationsOf } from './linearizable.ts';
import { orderProblem } from './order-problem.ts';
import { searchOrder } from './order-search.ts';

type Call = Omit<Operation, 'key' | 'startMs' | 'endMs'>;
type Times = readonly (readonly [startMs: number, endMs: number])[];

const read = (value: string | null): Call => ({ kind: 'read', value, outcome: 'ok' });
const write = (value: string | null, more: Partial<Call> = {}): Call => ({
  kind: 'write',
  value,
  outcome: 'ok',
  ...more,
});

const PLAIN: readonly Call[] = [
  read(null),
  read('a'),
  read('b'),
  write('a'),
  write('b'),
  write('a', { outcome: 'unknown' }),
  write('b', { outcome: 'unknown' }),
];
const absent = { kind: 'absent' } as const;
const match = { kind: 'match', values: ['a'] } as const;
const CONDITIONAL: readonly Call[] = [
  ...PLAIN,
  write(null),
  write(null, { outcome: 'unknown' }),
  write(null, { found: true }),
  write('a', { found: false }),
  write('a', { condition: absent }),
  write('b', { condition: match }),
  write('b', { condition: match, outcome: 'unknown' }),
  write('b', { condition: match, outcome: 'refused' }),
  write('b', { condition: absent, outcome: 'refused' }),
  { kind: 'check', value: null, condition: { kind: 'none-match', values: ['a'] }, outcome: 'ok' },
  write('b', { outcome: 'failed' }),
];

/** All ways in which `count` calls, by their start, may lie to each other. */
function timesOf(count: number): readonly Times[] {
  const grow = (times: Times): readonly Times[] => {
    const place = times.length;
    if (place === count) return [times];
    // It ends before the next one starts, or the one after that, and so on.
    return Array.from({ length: count - place }, (_, span) =>
      grow([...times, [10 * place, 10 * (place + span) + 5]]),
    ).flat();
  };
  return grow([]);
}

function* histories(count: number, calls: readonly Call[]): Generator<readonly Operation[]> {
  for (const times of timesOf(count)) {
    for (let number = 0; number < calls.length ** count; number += 1) {
      yield times.map(([startMs, endMs], place): Operation => {
        const call = calls[Math.floor(number / calls.length ** place) % calls.length] ?? read(null);
        return { key: 'k', startMs, endMs, ...call };
      });
    }
  }
}

const isSound = (history: readonly Operation[]): boolean =>
  searchOrder(orderProblem(history), 10_000).kind === 'order';

/** How many of the histories have an order; throws where the checker and the oracle disagree. */
function sound(all: Iterable<readonly Operation[]>): { sound: number; broken: number } {
  const counts = { sound: 0, broken: 0 };
  for (const history of all) {
    const hasOrder = hasOrderByForce(history);
    if (isSound(history) !== hasOrder) {
      throw new Error(
        `${hasOrder ? 'has an' : 'has no'} order: ${JSON.stringify(history, null, 1)}`,
      );
    }
    counts[hasOrder ? 'sound' : 'broken'] += 1;
  }
  return counts;
}

// The numbers of the oracle: a checker that accepts all, or a generator that makes less, is seen.
test.each([
  [1, CONDITIONAL, { sound: 13, broken: 5 }],
  [2, CONDITIONAL, { sound: 382, broken: 266 }],
  [3, CONDITIONAL, { sound: 18_183, broken: 16_809 }],
  [4, PLAIN, { sound: 29_472, broken: 28_152 }],
])('all histories of %i calls', (count, kinds, expected) => {
  expect(sound(histories(count, kinds))).toEqual(expected);
});

test('1500 histories of a sound store, and what becomes of them when they are changed', () => {
  let broken = 0;
  for (let seed = 1; seed <= 1_500; seed += 1) {
    const random = seededRandom(seed);
    const history = registerHistory(random, {
      operations: 4 + random.below(6),
      keys: 1 + random.below(3),
      clients: 2 + random.below(3),
      unknown: 20,
      conditional: seed % 2 === 0 ? 0 : 40,
      transactions: seed % 3 === 0 ? 30 : 0,
    });
    expect({ seed, violations: violationsOf(history) }).toEqual({ seed, violations: [] });
    const changed = mutated(mutated(mutated(history, random), random), random);
    const hasOrder = hasOrderByForce(changed);
    expect({ seed, isSound: violationsOf(changed).length === 0 }).toEqual({
      seed,
      isSound: hasOrder,
    });
    if (hasOrder) continue;
    broken += 1;
    // What a report is made of must itself be wrong.
    const isLeastSound = hasOrderByForce(shrink(changed, 10_000));
    expect({ seed, isLeastSound }).toEqual({ seed, isLeastSound: false });
  }
  expect(broken).toBeGreaterThan(400);
});
