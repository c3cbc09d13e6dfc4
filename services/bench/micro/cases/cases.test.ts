/** Every case is run for a moment, so that none rots: how long it takes is not asserted. */
import { afterAll, describe, expect, test } from '@jest/globals';
import { removeTempDirs, tempDir } from '../../../testing/temp-dir.ts';
import { measure } from '../measure.ts';
import { MICRO_CASES } from './all.ts';

const BRIEF = { warmUpMs: 0, runMs: 0, rounds: 2 };
const STORED = 1000;

afterAll(removeTempDirs);

describe('each case', () => {
  test.each(MICRO_CASES.map((each) => [each.name, each] as const))(
    '%s is sound and gives figures',
    async (_, measured) => {
      const stage = { folder: await tempDir(), stored: STORED };
      const { eachNs, passes } = await measure(measured, stage, BRIEF);
      expect(eachNs).toBeGreaterThan(0);
      expect(passes).toBeGreaterThan(0);
      expect(Number.isFinite(eachNs * passes)).toBe(true);
    },
  );

  test('has a name of its own that begins with its subject', () => {
    const names = MICRO_CASES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z]+: \S/);
  });
});
