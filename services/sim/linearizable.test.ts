/** Histories that have an order, and such that have none: a judge that accepts all judges nothing. */
import { expect, test } from '@jest/globals';
import { seededRandom } from '../common/random.ts';
import { registerHistory } from '../testing/register-histories.ts';
import type { Operation } from './history.ts';
import { violationsOf } from './linearizable.ts';

const LOAD = {
  operations: 4_000,
  keys: 10,
  clients: 16,
  unknown: 10,
  conditional: 0,
  transactions: 0,
};

type Row = readonly [
  startMs: number,
  endMs: number,
  kind: Operation['kind'],
  value: string | null,
  outcome?: Operation['outcome'],
];

const history = (rows: readonly Row[], key = 'k'): readonly Operation[] =>
  rows.map(([startMs, endMs, kind, value, outcome = 'ok']) => ({
    key,
    kind,
    value,
    startMs,
    endMs,
    outcome,
  }));

test.each<[string, readonly Row[]]>([
  ['nothing', []],
  [
    'one after another',
    [
      [0, 1, 'read', null],
      [2, 3, 'write', 'a'],
      [4, 5, 'read', 'a'],
      [6, 7, 'write', null],
      [8, 9, 'read', null],
    ],
  ],
  [
    'a read beside a write sees the old value or the new one',
    [
      [0, 1, 'write', 'a'],
      [2, 9, 'write', 'b'],
      [3, 4, 'read', 'a'],
      [5, 6, 'read', 'b'],
    ],
  ],
  [
    'two writes at once take effect in either order',
    [
      [0, 9, 'write', 'a'],
      [1, 8, 'write', 'b'],
      [10, 11, 'read', 'a'],
    ],
  ],
  [
    'an undecided write takes effect late',
    [
      [0, 1, 'write', 'a', 'unknown'],
      [2, 3, 'write', 'b'],
      [4, 5, 'read', 'b'],
      [6, 7, 'read', 'a'],
    ],
  ],
  [
    'an undecided write never takes effect',
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'write', 'b', 'unknown'],
      [4, 5, 'read', 'a'],
    ],
  ],
  [
    'an undecided deletion is seen, then a refused one is not',
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'write', null, 'unknown'],
      [4, 5, 'read', null],
      [6, 7, 'write', 'b'],
      [8, 9, 'write', null, 'failed'],
      [10, 11, 'read', 'b'],
    ],
  ],
])('accepts: %s', (_, rows) => {
  expect(violationsOf(history(rows))).toEqual([]);
});

test.each<[string, readonly Row[]]>([
  [
    'an acknowledged write is lost',
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'read', null],
    ],
  ],
  [
    'a read shows the value before the last one',
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'write', 'b'],
      [4, 5, 'read', 'a'],
    ],
  ],
  [
    'a read goes back behind what another one saw beside the same write',
    [
      [0, 1, 'write', 'a'],
      [2, 9, 'write', 'b'],
      [3, 4, 'read', 'b'],
      [5, 6, 'read', 'a'],
    ],
  ],
  [
    'a value appears before it is written',
    [
      [0, 1, 'read', 'a'],
      [2, 3, 'write', 'a'],
    ],
  ],
  ['a value that nobody wrote', [[0, 1, 'read', 'a']]],
  [
    'a refused write is seen',
    [
      [0, 1, 'write', 'a', 'failed'],
      [2, 3, 'read', 'a'],
    ],
  ],
  [
    'an undecided write takes effect twice',
    [
      [0, 1, 'write', 'a', 'unknown'],
      [2, 3, 'read', 'a'],
      [4, 5, 'write', 'b'],
      [6, 7, 'read', 'a'],
      [8, 9, 'write', 'c'],
      [10, 11, 'read', 'a'],
    ],
  ],
  [
    'a deleted value comes back',
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'write', null],
      [4, 5, 'read', null],
      [6, 7, 'read', 'a'],
    ],
  ],
])('refuses: %s', (_, rows) => {
  expect(violationsOf(history(rows))).toHaveLength(1);
});

const write = (value: string | null, more: Partial<Operation> = {}): Call => ({
  kind: 'write',
  value,
  outcome: 'ok',
  ...more,
});
const read = (value: string | null): Call => ({ kind: 'read', value, outcome: 'ok' });
type Call = Omit<Operation, 'key' | 'startMs' | 'endMs'> & Partial<Operation>;

/** Calls one after the other, unless they say their times. */
const calls = (...all: readonly Call[]): readonly Operation[] =>
  all.map((call, place) => ({ key: 'k', startMs: 10 * place, endMs: 10 * place + 5, ...call }));

const absent = { kind: 'absent' } as const;
const is = (...values: readonly string[]) => ({ kind: 'match', values }) as const;

test.each<[string, readonly Operation[]]>([
  [
    'of writes that create one wins, the others are refused',
    calls(
      write('a', { condition: absent, endMs: 90 }),
      write('b', { condition: absent, endMs: 90, outcome: 'refused' }),
      write('c', { condition: absent, endMs: 90, outcome: 'refused' }),
      read('a'),
    ),
  ],
  [
    'a refusal is explained by an undecided write that nobody read',
    calls(
      write('a', { outcome: 'unknown' }),
      write('b', { condition: absent, outcome: 'refused' }),
    ),
  ],
  [
    'an undecided conditional write takes effect once its condition holds',
    calls(
      write('b', { condition: is('a'), outcome: 'unknown' }),
      read(null),
      write('a', { found: false }),
      read('b'),
    ),
  ],
  [
    'two undecided transactions explain one sight of both',
    calls(
      write('a', { key: 'x', outcome: 'unknown' }),
      write('b', { key: 'y', outcome: 'unknown' }),
      write('c', {
        key: 'x',
        found: true,
        together: [{ key: 'y', ...write('d', { found: true }) }],
      }),
    ),
  ],
  [
    'a stale read sees the past',
    calls(write('a'), write('b'), { ...read('a'), isStale: true }, read('b')),
  ],
  [
    'a refused transaction says which condition did not hold',
    calls(write('a', { key: 'x' }), {
      ...write('b', { key: 'x', condition: is('a'), outcome: 'refused', failedOp: 1 }),
      together: [{ key: 'y', ...write('c', { condition: is('z') }) }],
    }),
  ],
])('accepts: %s', (_, history) => {
  expect(violationsOf(history)).toEqual([]);
});

test.each<[string, readonly Operation[]]>([
  [
    'two writes created the same key',
    calls(
      write('a', { condition: absent, endMs: 90 }),
      write('b', { condition: absent, endMs: 90 }),
    ),
  ],
  [
    'a refusal although the condition held',
    calls(write('a'), write('b', { condition: is('a'), outcome: 'refused' })),
  ],
  [
    'an update that was lost: both replaced the same value',
    calls(
      write('a'),
      write('b', { condition: is('a'), endMs: 90 }),
      write('c', { condition: is('a'), endMs: 90 }),
    ),
  ],
  ['an answer says created where a value was', calls(write('a'), write('b', { found: false }))],
  [
    'half a transaction is seen',
    calls(
      write('a', { key: 'x', together: [{ key: 'y', ...write('b') }] }),
      { ...read('a'), key: 'x' },
      { ...read(null), key: 'y' },
    ),
  ],
  [
    'two clients see two transactions in opposite orders',
    calls(
      write('a', { key: 'x', endMs: 90, together: [{ key: 'y', ...write('a') }] }),
      write('b', { key: 'x', endMs: 90, together: [{ key: 'y', ...write('b') }] }),
      { ...read('a'), key: 'x', startMs: 100, endMs: 101 },
      { ...read('b'), key: 'y', startMs: 100, endMs: 101 },
    ),
  ],
  [
    'an undecided transaction took effect on one key only',
    calls(
      write('a', { key: 'x', outcome: 'unknown', together: [{ key: 'y', ...write('b') }] }),
      { ...read('a'), key: 'x' },
      { ...read(null), key: 'y' },
    ),
  ],
])('refuses: %s', (_, history) => {
  expect(violationsOf(history)).toHaveLength(1);
});

test('tells only what is needed to see what is wrong', () => {
  const noise = calls(
    ...Array.from({ length: 60 }, (_, i) =>
      i % 3 === 0 ? write(`n${i}`) : read(`n${i - (i % 3)}`),
    ),
  );
  const late = { key: 'k', startMs: 1_000, endMs: 1_001, client: 'c7', raftIndex: 99 };
  const told = violationsOf([...noise, { ...late, ...read('n3') }]);
  expect(told).toEqual([
    [
      'k has no order:',
      '  30.0 to 35.0 write n3 ok',
      '  570.0 to 575.0 write n57 ok',
      '  1000.0 to 1001.0 read n3 ok by c7 at 99',
      '  furthest: after write n3, write n57: k = some value; then read n3 cannot come',
      '  (58 other operations on it are not needed to see this)',
    ].join('\n'),
  ]);
});

test('what cannot be judged within the steps is no pass', () => {
  const history = registerHistory(seededRandom(1), { ...LOAD, operations: 200, keys: 2 });
  expect(violationsOf(history, { stepsMax: 10 })).toEqual([
    'k1 could not be judged: 99 operations, 10 steps used up',
    'k0 could not be judged: 101 operations, 10 steps used up',
  ]);
});

test.each([
  ['6000 operations on 30 keys', { operations: 6_000, keys: 30 }],
  ['4000 operations on 10 keys, half of them conditional', { keys: 10, conditional: 50 }],
  ['2000 operations on one key', { operations: 2_000, keys: 1 }],
  ['4000 operations of which 40 in 100 are undecided', { keys: 20, unknown: 40, conditional: 20 }],
  [
    '1000 operations, 20 in 100 of them transactions',
    { operations: 1_000, keys: 30, transactions: 20 },
  ],
])('judges %s, sound or not, in few steps', (_, options) => {
  const history = registerHistory(seededRandom(7), { ...LOAD, ...options });
  // A few steps for each operation, so that the time does not explode, whatever the machine.
  const stepsMax = 8 * history.length;
  expect(violationsOf(history, { stepsMax })).toEqual([]);
  const last = history.findLast(({ kind, outcome }) => kind === 'read' && outcome === 'ok');
  const old = history.find(
    ({ key, value, outcome }) => key === last?.key && value !== null && outcome === 'ok',
  );
  const broken = history.map((operation) =>
    operation === last ? { ...operation, value: old?.value ?? null } : operation,
  );
  expect(violationsOf(broken, { stepsMax })).toEqual([expect.stringContaining('has no order')]);
});

test('names the keys that have no order, and no other', () => {
  const sound = history([[0, 1, 'write', 'a']], 'sound');
  const lost = history(
    [
      [0, 1, 'write', 'a'],
      [2, 3, 'read', null],
    ],
    'lost',
  );
  expect(violationsOf([...sound, ...lost])).toEqual([
    [
      'lost has no order:',
      '  0.0 to 1.0 write a ok',
      '  2.0 to 3.0 read nothing ok',
      '  furthest: after write a: lost = some value; then read nothing cannot come',
    ].join('\n'),
  ]);
});

test('is quick where many writes are undecided', () => {
  const rows = Array.from({ length: 60 }, (_, index): readonly Row[] => [
    [4 * index, 4 * index + 9, 'write', `v${index}`, index % 3 === 0 ? 'unknown' : 'ok'],
    [4 * index + 10, 4 * index + 11, 'read', `v${index}`],
  ]);
  expect(violationsOf(history(rows.flat()))).toEqual([]);
});
