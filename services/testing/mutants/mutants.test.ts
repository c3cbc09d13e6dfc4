/**
 * Goal: mutants stay what they claim to be, and never reach a release. Method: each patch is tried on
 * the source of today, and the files of the build are listed as the compiler lists them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';
import { BUGS } from './bugs.ts';
import { MUTANTS } from './catalogue.ts';
import { type Mutant, mutate, ROOT } from './mutant.ts';
import { REPORT_FILE, rowsOf } from './report.ts';

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

describe('every mutant', () => {
  test('has an id of its own, which begins with that of its bug', () => {
    const ids = MUTANTS.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { id, bugs } of MUTANTS) {
      expect(bugs).toContain(id.replace(/[a-z]$/, ''));
      for (const bug of bugs) expect(BUGS.get(bug)?.notApplicable).toBeUndefined();
    }
  });

  test.each(MUTANTS.map((mutant) => [mutant.id, mutant] as const))(
    '%s fits the source once, still parses, and names tests that exist',
    (_id, mutant) => {
      expect(mutant.patches.length).toBeGreaterThan(0);
      for (const { file } of mutant.patches) {
        const mutated = mutate(mutant, file, read(file));
        expect(mutated).not.toBe(read(file));
        expect(() => stripTypeScriptTypes(mutated)).not.toThrow();
      }
      expect(mutant.tests.length).toBeGreaterThan(0);
      for (const file of mutant.tests)
        expect([file, existsSync(join(ROOT, file))]).toEqual([file, true]);
    },
  );

  test('is refused where a patch does not fit exactly once', () => {
    const mutant = (find: string): Mutant => ({
      id: 'R1',
      bugs: ['R1'],
      title: '',
      patches: [{ file: 'a.ts', find, replace: 'x' }],
      tests: [],
    });
    expect(mutate(mutant('b'), 'a.ts', 'abc')).toBe('axc');
    expect(mutate(mutant('b'), 'b.ts', 'abc')).toBe('abc');
    expect(() => mutate(mutant('d'), 'a.ts', 'abc')).toThrow('0 times');
    expect(() => mutate(mutant('b'), 'a.ts', 'abcb')).toThrow('2 times');
  });
});

describe('the catalogue', () => {
  test.each([...BUGS])('%s has a mutant, or says why it has none', (bug, { notApplicable }) => {
    const count = MUTANTS.filter(({ bugs }) => bugs.includes(bug)).length;
    expect(count > 0).toBe(notApplicable === undefined);
  });

  test('is R1 to R40 and S1 to S14', () => {
    const ids = (letter: string, count: number): string[] =>
      Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
    expect([...BUGS.keys()]).toEqual([...ids('R', 40), ...ids('S', 14)]);
  });

  test(`stands in ${REPORT_FILE} as it is now, and nothing in it escaped`, () => {
    const rows = rowsOf(read(REPORT_FILE));
    const wanted = [...BUGS].flatMap(([bug, { title, notApplicable }]) => {
      if (notApplicable !== undefined) return [[bug, title, '-', notApplicable]];
      const mutants = MUTANTS.filter(({ bugs }) => bugs.includes(bug));
      return mutants.map(({ id, title: what }) => [bug, title, `${id}: ${what}`]);
    });
    expect(rows.map((row, i) => row.slice(0, wanted[i]?.length))).toEqual(wanted);
    for (const [, , mutant, caughtBy] of rows) {
      expect([mutant, caughtBy]).not.toContain('ESCAPED');
      expect([mutant, caughtBy]).not.toContain('VOID');
      expect(caughtBy).not.toBe('');
    }
  });
});

test('no file of a release is a mutant, names one, or imports test code', () => {
  const build = ts.getParsedCommandLineOfConfigFile(
    join(ROOT, 'tsconfig.build.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: ({ messageText }) => expect(messageText).toBe(''),
    },
  );
  const files = (build?.fileNames ?? []).map((name) => relative(ROOT, name));
  expect(files).toContain('services/raft/core.ts');
  expect(files.filter((file) => file.includes('/testing/'))).toEqual([]);
  const tainted = files.filter((file) => /MINIKV_MUTANT|from '[^']*\/testing\//.test(read(file)));
  expect(tainted).toEqual([]);
});
