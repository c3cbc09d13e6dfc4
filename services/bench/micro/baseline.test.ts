import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  type Baseline,
  baselineText,
  isSameMachine,
  parseBaseline,
  withFigures,
} from './baseline.ts';
import { MICRO_CASES } from './cases/all.ts';
import type { Figure } from './figures.ts';

const machine = { cores: 2, cpu: 'a cpu', kernel: '6.1', node: '24.0.0' };
const baseline: Baseline = { machine, passes: { 'a: one': 2, 'a: two': 0.25 } };
const figure = (name: string, passes: number, onDisk = false): Figure => ({
  name,
  of: 'call',
  onDisk,
  eachNs: 1,
  passes,
  passNs: 1,
});

describe('parsing', () => {
  test('what was written is read as it was', () => {
    expect(parseBaseline(baselineText(baseline))).toEqual(baseline);
  });

  test.each([
    ['', 'it is no JSON'],
    ['{"machine": ', 'it is no JSON'],
    ['[]', 'it is no object'],
    ['null', 'it is no object'],
    ['{}', '"machine" is no object'],
    [JSON.stringify({ machine }), '"passes" is no object'],
    [JSON.stringify({ ...baseline, machine: { cores: 2 } }), '"machine" lacks cpu'],
    [
      JSON.stringify({ ...baseline, machine: { ...machine, cores: '2' } }),
      '"machine" lacks its cores',
    ],
    [JSON.stringify({ machine, passes: [] }), '"passes" is no object'],
    [JSON.stringify({ machine, passes: { 'a: one': '2' } }), '"a: one" is no number above zero'],
    [JSON.stringify({ machine, passes: { 'a: one': 0 } }), '"a: one" is no number above zero'],
    [JSON.stringify({ machine, passes: { 'a: one': null } }), '"a: one" is no number above zero'],
  ])('%s is refused, with the reason and the way out', (text, why) => {
    expect(() => parseBaseline(text)).toThrow(why);
    expect(() => parseBaseline(text)).toThrow('npm run bench -- micro --write');
  });
});

describe('writing', () => {
  test('all figures but those of the disk, to four digits', () => {
    const figures = [figure('a: one', 1.23456), figure('a: on disk', 7, true)];
    expect(withFigures(null, figures, machine)).toEqual({ machine, passes: { 'a: one': 1.235 } });
  });

  test('those that were chosen take the place of the old ones, and the others stay', () => {
    const written = withFigures(baseline, [figure('a: two', 9)], machine);
    expect(written.passes).toEqual({ 'a: one': 2, 'a: two': 9 });
  });

  test('a baseline of two machines is refused', () => {
    const other = { ...machine, node: '25.0.0' };
    expect(isSameMachine(machine, other)).toBe(false);
    expect(() => withFigures(baseline, [figure('a: two', 9)], other)).toThrow('another machine');
  });
});

test('the stored baseline knows every case that is judged, and no other', async () => {
  const text = await readFile(join(import.meta.dirname, 'baseline.json'), 'utf8');
  const judged = MICRO_CASES.filter(({ onDisk }) => !onDisk).map(({ name }) => name);
  expect(Object.keys(parseBaseline(text).passes).sort()).toEqual(judged.sort());
});
