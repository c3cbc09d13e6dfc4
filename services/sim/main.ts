/**
 * `npm run sim`: runs seeds of the simulator in worker processes, prints what they have seen, and for each
 * seed that failed the command that replays it with as few faults as it takes. Exit code 1 on any failure.
 */
import { Command, InvalidArgumentError } from 'commander';
import { Draw } from './draw.ts';
import { tellFault } from './fault-types.ts';
import { type Profile, planOf } from './plan.ts';
import { WorkerPool } from './pool.ts';
import { Report } from './report.ts';
import { shrink } from './shrink.ts';
import type { Job, JobResult } from './worker.ts';

interface Flags {
  readonly seeds: number;
  readonly from: number;
  readonly seed?: number;
  readonly jobs: number;
  readonly seconds?: number;
  readonly beyond: boolean;
  readonly mutant?: string;
  readonly faults?: readonly number[];
  readonly verbose: boolean;
  readonly shrink: boolean;
  readonly stopAfter: number;
  readonly timeout: number;
}

/** One seed in so many is run twice. */
const TWICE_EVERY = 20;
const SHRINK_RUNS_MAX = 60;
const PROGRESS_EVERY_MS = 10_000;

const EXAMPLES = `
Examples:
  npm run sim -- --seeds 2000              2000 fresh clusters, two at a time
  npm run sim -- --seeds 500 --from 7000   seeds 7000 to 7499
  npm run sim -- --seconds 120             as many seeds as two minutes take
  npm run sim -- --seed 42 --verbose       one seed again, with everything that happens in it
  npm run sim -- --seed 42 --faults 3,7    the same with two of its faults alone
  npm run sim -- --seeds 500 --beyond      more breaks than is promised to be survived: it may halt, not lie
  npm run sim -- --seeds 500 --mutant R12  with a bug put into the source on purpose: must fail`;

function readCount(text: string): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text)) return value;
  throw new InvalidArgumentError('it must be a whole number');
}

const readIds = (text: string): readonly number[] =>
  text === '' ? [] : text.split(',').map(readCount);

const say = (line: string): void => void process.stdout.write(`${line}\n`);

class Runner {
  readonly #flags: Flags;
  readonly #profile: Profile;
  readonly #pool: WorkerPool;
  readonly #report = new Report(() => performance.now());
  #next: number;

  constructor(flags: Flags) {
    this.#flags = flags;
    this.#profile = flags.beyond ? 'beyond' : 'within';
    this.#next = flags.from;
    this.#pool = new WorkerPool({
      jobs: flags.jobs,
      mutant: flags.mutant ?? null,
      timeoutMs: flags.timeout * 1000,
    });
  }

  /** True where nothing failed. */
  async run(): Promise<boolean> {
    try {
      return this.#flags.seed === undefined
        ? await this.#many()
        : await this.#one(this.#flags.seed);
    } finally {
      this.#pool.close();
    }
  }

  async #one(seed: number): Promise<boolean> {
    const only = this.#flags.faults ?? null;
    const isVerbose = this.#flags.verbose;
    const result = await this.#pool.run(this.#job(seed, { only, isVerbose, isTwice: false }));
    this.#report.add(result);
    say(this.#report.print());
    say(`trace ${result.traceHash}`);
    for (const trouble of result.troubles) say(`\nFAILED seed ${seed}: ${trouble}`);
    if (result.troubles.length > 0 && this.#flags.shrink) await this.#explain(result);
    return result.troubles.length === 0;
  }

  async #many(): Promise<boolean> {
    const timer = setInterval(() => say(this.#report.progress()), PROGRESS_EVERY_MS);
    await Promise.all(Array.from({ length: this.#flags.jobs }, () => this.#work()));
    clearInterval(timer);
    for (const result of this.#report.failed) {
      say(`\nFAILED seed ${result.seed}: ${result.troubles.join('\n  ')}`);
      say(`  ${this.#command(result.seed, null)}`);
    }
    if (this.#flags.shrink) {
      for (const result of this.#report.failed.slice(0, 3)) await this.#explain(result);
    }
    say(`\n${this.#report.print()}`);
    const unseen = this.#flags.mutant === undefined ? this.#report.unseen(this.#flags.beyond) : [];
    for (const name of unseen) say(`NEVER SEEN: ${name}`);
    return this.#report.failed.length === 0 && unseen.length === 0;
  }

  async #work(): Promise<void> {
    const { from, seeds, seconds, stopAfter } = this.#flags;
    const endMs =
      seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + seconds * 1000;
    const end = seconds === undefined ? from + seeds : Number.POSITIVE_INFINITY;
    while (this.#next < end && performance.now() < endMs) {
      if (this.#report.failed.length >= stopAfter) return;
      const seed = this.#next;
      this.#next += 1;
      const isTwice = Draw.of(seed, 'twice').below(TWICE_EVERY) === 0;
      this.#report.add(
        await this.#pool.run(this.#job(seed, { only: null, isVerbose: false, isTwice })),
      );
    }
  }

  #job(seed: number, how: Omit<Job, 'seed' | 'profile'>): Job {
    return { seed, profile: this.#profile, ...how };
  }

  /** Prints as few faults of the seed as still make it fail. */
  async #explain({ seed }: JobResult): Promise<void> {
    const plan = planOf(seed, this.#profile);
    const given = this.#flags.faults ?? plan.faults.map(({ id }) => id);
    const fails = async (only: readonly number[]): Promise<boolean> => {
      const how = { only, isVerbose: false, isTwice: false };
      const { troubles } = await this.#pool.run(this.#job(seed, how));
      return troubles.length > 0;
    };
    const least = await shrink(given, fails, SHRINK_RUNS_MAX);
    say(`\nseed ${seed}: ${least.length} of ${plan.faults.length} faults are enough:`);
    for (const fault of plan.faults) if (least.includes(fault.id)) say(`  ${tellFault(fault)}`);
    say(`  ${this.#command(seed, least)}`);
  }

  #command(seed: number, faults: readonly number[] | null): string {
    const { beyond, mutant } = this.#flags;
    const parts = [
      `npm run sim -- --seed ${seed}`,
      ...(faults === null ? [] : [`--faults '${faults.join(',')}'`]),
      ...(beyond ? ['--beyond'] : []),
      ...(mutant === undefined ? [] : [`--mutant ${mutant}`]),
      '--verbose',
    ];
    return parts.join(' ');
  }
}

const program = new Command('sim')
  .description('Runs whole clusters in virtual time under faults drawn from seeds.')
  .option('--seeds <n>', 'how many seeds', readCount, 100)
  .option('--from <seed>', 'the first seed', readCount, 1)
  .option('--seconds <n>', 'go on for so long instead of a number of seeds', readCount)
  .option('--seed <seed>', 'run this one alone', readCount)
  .option('--faults <ids>', 'with --seed: only these of its faults, such as 3,7,9', readIds)
  .option('--jobs <n>', 'processes at a time', readCount, 2)
  .option('--beyond', 'break more than is promised to be survived', false)
  .option('--mutant <id>', 'run with this bug in the source')
  .option('--verbose', 'with --seed: print everything that happens', false)
  .option('--no-shrink', 'do not look for the faults that matter')
  .option('--stop-after <n>', 'end after so many failed seeds', readCount, 10)
  .option('--timeout <s>', 'wall time that one seed may take, in seconds', readCount, 120)
  .addHelpText('after', EXAMPLES)
  .action(async (flags: Flags) => {
    const isGood = await new Runner(flags).run();
    process.exitCode = isGood ? 0 : 1;
  });

await program.parseAsync();
