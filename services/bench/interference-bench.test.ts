/** What is told of a run beside background work, and what makes its figures worthless. */
import { describe, expect, test } from '@jest/globals';
import {
  faultsOf,
  type InterferenceResult,
  interferenceReport,
  type Scene,
} from './interference-bench.ts';

const tally = (p99Ms: number, errors = {}): Scene['put'] => ({
  operations: 1000,
  seconds: 10,
  p50Ms: 2,
  p99Ms,
  maxMs: 99,
  errors,
});
const scene = (more: Partial<Scene> = {}): Scene => ({
  name: 'compaction',
  put: tally(30),
  get: tally(4),
  elections: 0,
  did: '64 MiB compacted',
  ...more,
});
const quiet = scene({ name: 'quiet', put: tally(10), get: tally(2), did: '' });

const settings = { connections: 16, sizeBytes: 1024, seconds: 10, warmUpSeconds: 20 };
const linesOf = (result: InterferenceResult): readonly string[] =>
  interferenceReport({ ...settings, keys: 10, crowd: 20 }, result).split('\n');

describe('a run beside background work', () => {
  test('says how many times the quiet p99 each job costs, and what the job did', () => {
    const lines = linesOf({ scenes: [quiet, scene()] });
    const row = lines.find((line) => line.startsWith('compaction'));
    expect(row?.split(/\s{2,}/)).toEqual([
      'compaction',
      ...['100', '2.0', '30.0', '3.0'],
      ...['100', '2.0', '4.0', '2.0'],
      ...['0', '64 MiB compacted'],
    ]);
  });

  test('a crowd is compared with nothing', () => {
    const lines = linesOf({ scenes: [quiet, scene({ name: 'a crowd', get: null })] });
    const row = lines.find((line) => line.startsWith('a crowd'));
    expect(row?.split(/\s{2,}/).slice(4, 9)).toEqual(['-', '-', '-', '-', '-']);
  });

  test('errors, elections and a job that did nothing are faults', () => {
    expect(faultsOf({ scenes: [quiet, scene()] })).toEqual([]);
    const bad = scene({ put: tally(9, { '503 NO_LEADER': 2 }), elections: 1, did: null });
    expect(faultsOf({ scenes: [quiet, bad] })).toEqual([
      'compaction: 2 x 503 NO_LEADER',
      'compaction: 1 elections',
      'compaction: nothing went on',
    ]);
  });
});
