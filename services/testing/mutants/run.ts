/**
 * `npm run mutants`: runs the tests that are to catch each mutant, on the mutated code, and says which
 * one did. A mutant that nothing catches is a test that is missing: exit code 1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { MUTANTS } from './catalogue.ts';
import { type Finding, runStorm, runTests } from './child.ts';
import { type Mutant, ROOT } from './mutant.ts';
import { REPORT_FILE, reportLines, reportTable, withReport } from './report.ts';

interface Flags {
  readonly only?: readonly Mutant[];
  readonly sim?: number | true;
  readonly jobs: number;
  readonly write?: true;
}

const SEEDS = 500;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

function readCount(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it must be a whole number from 1');
}

function readIds(text: string): readonly Mutant[] {
  return text.split(',').flatMap((id) => {
    const meant = MUTANTS.filter(
      ({ id: known, bugs }) => known === id || bugs.some((b) => b === id),
    );
    if (meant.length === 0) throw new InvalidArgumentError(`there is no mutant ${id}`);
    return meant;
  });
}

/** Storms are of Raft cores alone: what is wrong elsewhere they cannot see. */
const isOfCore = ({ patches }: Mutant): boolean =>
  patches.every(({ file }) => file.startsWith('services/raft/'));

async function examine(mutant: Mutant, seeds: number | null): Promise<Finding> {
  const { verdict, by } = await runTests(mutant.tests, mutant);
  const storm = seeds !== null && isOfCore(mutant) ? await runStorm(mutant, seeds) : null;
  return { mutant, verdict, by, storm };
}

async function examineAll(
  mutants: readonly Mutant[],
  { jobs, seeds }: { readonly jobs: number; readonly seeds: number | null },
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const waiting = [...mutants];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const finding = await examine(next, seeds);
      findings.push(finding);
      say(`${findings.length}/${mutants.length} ${reportLines([finding]).join(' ')}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return mutants.flatMap((mutant) => findings.filter((finding) => finding.mutant === mutant));
}

/** The tests must be green without a mutant, or every mutant would seem caught. */
async function checkGround(mutants: readonly Mutant[]): Promise<boolean> {
  const files = [...new Set(mutants.flatMap(({ tests }) => tests))];
  say(`the ${files.length} test files without a mutant ...`);
  const { verdict, by } = await runTests(files, null);
  if (verdict === 'escaped') return true;
  say(`they fail without any mutant (${verdict}): ${by.join('; ')}`);
  return false;
}

async function main(flags: Flags): Promise<void> {
  const mutants = flags.only ?? MUTANTS;
  if (!(await checkGround(mutants))) {
    process.exitCode = 1;
    return;
  }
  const seeds = flags.sim === undefined ? null : flags.sim === true ? SEEDS : flags.sim;
  const findings = await examineAll(mutants, { jobs: flags.jobs, seeds });
  process.stdout.write(`${reportLines(findings).join('\n')}\n`);
  const missed = findings.filter(({ verdict }) => verdict !== 'caught');
  process.stdout.write(
    `${mutants.length} mutants, ${mutants.length - missed.length} caught, ${missed.length} not\n`,
  );
  if (missed.length > 0) process.exitCode = 1;
  if (flags.write === true) {
    const path = join(ROOT, REPORT_FILE);
    writeFileSync(path, withReport(readFileSync(path, 'utf8'), reportTable(findings)));
  }
}

await new Command('mutants')
  .description(
    'Runs tests on mutated code: every known mistake must be caught by one of its tests.',
  )
  .option('--only <ids>', 'mutants or bugs, with commas between: R6a,R12,S4', readIds)
  .option('--sim [seeds]', `storms of Raft cores too, up to ${SEEDS} seeds a mutant`, readCount)
  .option('--jobs <n>', 'processes at a time', readCount, 2)
  .option('--write', `write the table into ${REPORT_FILE}; needs all mutants and --sim`)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run mutants\n  npm run mutants -- --only R2,R12\n' +
      '  npm run mutants -- --sim --write\n',
  )
  .action(async (flags: Flags, command: Command) => {
    if (flags.write === true && (flags.only !== undefined || flags.sim === undefined)) {
      command.error('--write needs all mutants and --sim');
    }
    await main(flags);
  })
  .parseAsync();
