/**
 * `npm run model`: explores the protocol further than the tests have time for. Exit code 1 where a
 * state breaks an invariant; its steps are printed.
 */
import { Command, InvalidArgumentError } from 'commander';
import { type ExploreOptions, explore, textOf } from './explore.ts';
import { MUTANTS } from './mutants.ts';
import { RULES, type Rules } from './rules.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

interface Flags {
  readonly depth: number;
  readonly states: number;
  readonly scenario?: string;
  readonly mutants: boolean;
}

function readCount(text: string): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= 1) return value;
  throw new InvalidArgumentError('it must be a whole number from 1 on');
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Explores one scenario; true where what was found is what was to be found. */
function run(
  { scenario, rules, why }: { scenario: Scenario; rules: Rules; why: RegExp | null },
  options: ExploreOptions,
): boolean {
  const result = explore(scenario, rules, options);
  say(textOf(result));
  return why === null ? result.found === null : why.test(result.found?.why ?? '');
}

function main({ depth, states, scenario: wanted, mutants }: Flags): void {
  const options = { depthMax: depth, statesMax: states, nowMs: () => performance.now() };
  const isWanted = ({ name }: { readonly name: string }): boolean =>
    wanted === undefined || name.includes(wanted);
  const outcomes = mutants
    ? MUTANTS.filter(isWanted).map(({ name, opening, ...mutant }) => {
        say(`mutant: ${name}`);
        return run(mutant, { ...options, opening });
      })
    : SCENARIOS.filter(isWanted).map((scenario) =>
        run({ scenario, rules: RULES, why: null }, options),
      );
  if (outcomes.length === 0) say('there is no such scenario');
  process.exitCode = outcomes.length > 0 && outcomes.every((isRight) => isRight) ? 0 : 1;
}

new Command('npm run model --')
  .description('explores every interleaving of the protocol, breadth first, scenario by scenario')
  .option('--depth <steps>', 'steps from the start at most', readCount, 12)
  .option('--states <count>', 'states of a scenario at most', readCount, 200_000)
  .option('--scenario <text>', 'only those whose name has this in it')
  .option('--mutants', 'break one rule after the other, and print what comes of it', false)
  .addHelpText('after', `\nScenarios:\n${SCENARIOS.map(({ name }) => `  ${name}`).join('\n')}`)
  .action((flags: Flags) => main(flags))
  .parse();
