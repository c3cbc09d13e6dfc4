/** Histories that have an order, and such that have none: a judge that accepts all judges nothing. */
import { expect, test } from '@jest/globals';
import { type Operation, violationsOf } from './linearizable.ts';

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
    'lost has no order:\n  0.0 to 1.0 write a ok\n  2.0 to 3.0 read nothing ok',
  ]);
});

test('is quick where many writes are undecided', () => {
  const rows = Array.from({ length: 60 }, (_, index): readonly Row[] => [
    [4 * index, 4 * index + 9, 'write', `v${index}`, index % 3 === 0 ? 'unknown' : 'ok'],
    [4 * index + 10, 4 * index + 11, 'read', `v${index}`],
  ]);
  expect(violationsOf(history(rows.flat()))).toEqual([]);
});
