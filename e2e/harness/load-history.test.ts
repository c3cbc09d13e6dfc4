/** What clients saw, cut into phases: a pause or a failed request belongs to the phase it lies in. */
import { expect, test } from '@jest/globals';
import type { Operation } from '../../services/sim/history.ts';
import { type Line, LoadHistory } from './load-history.ts';

const mark = (atMs: number, name: string): Line => ({ kind: 'mark', atMs, name });

const write = (endMs: number, outcome: Operation['outcome'] = 'ok'): Line => ({
  kind: 'operation',
  operation: { key: 'k', kind: 'write', value: `v${endMs}`, startMs: endMs - 1, endMs, outcome },
});

function historyOf(...lines: readonly Line[]): LoadHistory {
  const history = new LoadHistory();
  history.append(lines.map((line) => JSON.stringify(line)).join('\n'));
  return history;
}

test('only acknowledged writes end a pause, also one that outlasts its phase', () => {
  const history = historyOf(
    write(10),
    write(20),
    mark(30, 'quiet'),
    write(500, 'unknown'),
    mark(1_000, 'busy'),
    write(2_520),
    write(2_530),
    mark(2_540, 'end'),
    write(9_000),
  );
  expect(history.gapMsIn('quiet')).toBe(2_500);
  expect(history.gapMsIn('busy')).toBe(6_470);
  expect(history.writes).toBe(5);
});

test('a phase in which writes stop for good has no short pause', () => {
  const history = historyOf(write(10), mark(20, 'gone'), mark(9_020, 'end'));
  expect(history.gapMsIn('gone')).toBe(9_010);
});

test('a request that failed twice is told in its phase', () => {
  const history = historyOf(
    mark(0, 'before'),
    { kind: 'retried', atMs: 5, told: 'saved' },
    mark(10, 'roll'),
    { kind: 'failed', atMs: 15, told: 'lost' },
    mark(20, 'end'),
  );
  expect(history.failedIn('before')).toEqual([]);
  expect(history.failedIn('roll')).toEqual(['lost']);
  expect(() => history.failedIn('other')).toThrow('no phase other');
});
