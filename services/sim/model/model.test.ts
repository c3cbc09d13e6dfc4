/**
 * The protocol, explored: every interleaving of each scenario up to a depth that takes about a second,
 * and every mutant until it is caught. `npm run model` goes further.
 */
import { describe, expect, test } from '@jest/globals';
import { explore, textOf } from './explore.ts';
import { MUTANTS } from './mutants.ts';
import { RULES } from './rules.ts';
import { SCENARIOS } from './scenarios.ts';

const nowMs = (): number => performance.now();

describe('nothing goes wrong', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    (_, scenario) => {
      const options = { depthMax: scenario.testDepth, statesMax: 1e6, nowMs };
      const result = explore(scenario, RULES, options);
      expect(result.found === null ? null : textOf(result)).toBeNull();
      expect(result.states).toBeGreaterThan(1000);
    },
  );
});

describe('a protocol without one of its rules is caught', () => {
  test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))('%s', (_, mutant) => {
    const { scenario, rules, opening, why } = mutant;
    const options = { depthMax: 12, statesMax: 40_000, nowMs, opening };
    const result = explore(scenario, rules, options);
    expect(result.found?.why ?? 'nothing was found').toMatch(why);
    expect(result.found?.steps.length).toBeGreaterThan(0);
  });
});
