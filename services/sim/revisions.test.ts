/** Indexes in answers: sound histories pass, and each way in which an index can be wrong is told. */
import { expect, test } from '@jest/globals';
import { seededRandom } from '../common/random.ts';
import { registerHistory } from '../testing/register-histories.ts';
import type { Operation } from './history.ts';
import { revisionViolations } from './revisions.ts';

type Call = Partial<Operation> & { readonly outcome?: Operation['outcome'] };

/** Calls on one key, one after the other unless they say their times. */
const calls = (...all: readonly Call[]): readonly Operation[] =>
  all.map((call, place) => ({
    key: 'k',
    kind: 'read',
    value: null,
    outcome: 'ok',
    startMs: 10 * place,
    endMs: 10 * place + 5,
    ...call,
  }));

const put = (value: string | null, raftIndex: number, more: Call = {}): Call => ({
  kind: 'write',
  value,
  raftIndex,
  ...more,
});
const read = (value: string | null, raftIndex: number, more: Call = {}): Call => ({
  value,
  raftIndex,
  ...more,
});
const undecided = (value: string | null): Call => ({ kind: 'write', value, outcome: 'unknown' });

test.each<[string, readonly Operation[]]>([
  ['reads at and above the index of the write', calls(put('a', 5), read('a', 5), read('a', 9))],
  ['what ran at the same time may have any order', calls(put('a', 7, { endMs: 30 }), put('b', 5))],
  ['an undecided write may be what was read', calls(put('a', 5), undecided('b'), read('b', 6))],
  [
    'an undecided write has the index that a read names',
    calls(put('a', 5), undecided('b'), read('b', 7, { version: 6 }), put('c', 8), read('c', 8)),
  ],
  [
    'an undecided deletion may be why nothing is there',
    calls(put('a', 5), undecided(null), read(null, 6)),
  ],
  ['a stale read is of the past', calls(put('a', 5), put('b', 6), read('a', 5, { isStale: true }))],
  [
    'refusals share the index of what refused them',
    calls(put('a', 5), put('b', 5, { outcome: 'refused' })),
  ],
  ['failed writes have none', calls(put('a', 5), put('b', 3, { outcome: 'failed' }), read('a', 5))],
  [
    'a write tells what it replaced',
    calls(put('a', 5, { found: false }), put('b', 6, { found: true })),
  ],
])('accepts: %s', (_, history) => {
  expect(revisionViolations(history)).toEqual([]);
});

test.each<[string, readonly Operation[], string]>([
  ['a read from an older state', calls(put('a', 5), read(null, 4)), 'goes back in time'],
  [
    'a write at the index of what was before',
    calls(read(null, 5, { key: 'other' }), put('a', 5)),
    'goes back in time',
  ],
  [
    'two writes of one index',
    calls(put('a', 5, { endMs: 90 }), put('b', 5, { endMs: 90 })),
    'two writes have one index',
  ],
  [
    'a client that sees less than before',
    calls(
      put('a', 5, { client: 'c' }),
      read(null, 4, { key: 'other', client: 'c', startMs: 5, endMs: 6 }),
    ),
    'goes back for client c',
  ],
  [
    'a state older than was asked for',
    calls(put('a', 5), read('a', 5, { isStale: true, minIndex: 6 })),
    'older than the 6',
  ],
  ['the value before the newest write', calls(put('a', 5), put('b', 6), read('a', 6)), 'not what'],
  ['a value that was deleted', calls(put('a', 5), put(null, 6), read('a', 7)), 'not what'],
  ['nothing, where a value is', calls(put('a', 5), read(null, 5)), 'not what the index says'],
  ['a value that nobody wrote', calls(put('a', 5), read('z', 5)), 'not what the index says'],
  [
    'an undecided write after it was replaced',
    calls(undecided('b'), read('b', 4, { version: 3 }), put('c', 5), read('b', 6, { version: 3 })),
    'not what the index says',
  ],
  ['a value of the future', calls(put('a', 5), read('a', 5, { version: 9 })), 'of the future'],
  ['a value of another index', calls(put('a', 5), read('a', 6, { version: 4 })), 'another index'],
  ['created, where a value was', calls(put('a', 5), put('b', 6, { found: false })), 'not what'],
])('refuses: %s', (_, history, told) => {
  expect(revisionViolations(history)).toEqual([expect.stringContaining(told)]);
});

test('accepts what a sound store answers, and tells when one answer is changed', () => {
  let changed = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seededRandom(seed);
    const history = registerHistory(random, {
      operations: 60,
      keys: 1 + random.below(5),
      clients: 6,
      unknown: 15,
      conditional: 20,
      transactions: 20,
    });
    expect({ seed, violations: revisionViolations(history) }).toEqual({ seed, violations: [] });
    // An answer from a state that is older by more than all that ran at the same time.
    const late = history.findLast(
      ({ raftIndex = 0, outcome }) => outcome === 'ok' && raftIndex > 20,
    );
    if (late?.raftIndex === undefined) continue;
    const old = { ...late, raftIndex: late.raftIndex - 20 };
    const broken = history.map((operation) => (operation === late ? old : operation));
    expect({ seed, count: revisionViolations(broken).length }).not.toEqual({ seed, count: 0 });
    changed += 1;
  }
  expect(changed).toBeGreaterThan(200);
});

test('judges 50000 operations on 50 keys that transactions join', () => {
  const history = registerHistory(seededRandom(3), {
    operations: 50_000,
    keys: 50,
    clients: 16,
    unknown: 10,
    conditional: 20,
    transactions: 30,
  });
  expect(revisionViolations(history)).toEqual([]);
});
