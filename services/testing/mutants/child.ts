/** Runs tests and storms in processes of their own, on mutated code, and reads what they found. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type Mutant, ROOT } from './mutant.ts';
import type { StormResult } from './storm.ts';

/** `void`: the mutated code does not even load, so nothing was tested. */
export type Verdict = 'caught' | 'escaped' | 'void';

export interface TestsRun {
  readonly verdict: Verdict;
  /** The tests that failed, `file: title`, those that name the bug first; or why it is void. */
  readonly by: readonly string[];
}

export interface Finding extends TestsRun {
  readonly mutant: Mutant;
  readonly storm: StormResult | null;
}

const TESTS_TIMEOUT_MS = 300_000;
const STORM_TIMEOUT_MS = 600_000;
const OUTPUT_BYTES_MAX = 1 << 26;
const REGISTER = join(import.meta.dirname, 'register.ts');
const STORM = join(import.meta.dirname, 'storm.ts');
const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  join(ROOT, 'node_modules/jest/bin/jest.js'),
  '--config',
  'jest.mutants.config.js',
  '--ci',
  '--silent',
  '--json',
];

interface JestFile {
  readonly name: string;
  readonly message: string;
  readonly assertionResults: readonly { readonly status: string; readonly title: string }[];
}

/** The outcome of these test files under the mutant, or without one. */
export async function runTests(files: readonly string[], mutant: Mutant | null): Promise<TestsRun> {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-mutant-'));
  try {
    const outputFile = join(folder, 'report.json');
    const args = [...JEST, '--outputFile', outputFile, '--runTestsByPath', ...files];
    const { timedOut } = await run(args, mutant, TESTS_TIMEOUT_MS);
    if (timedOut) return { verdict: 'caught', by: [`${files.join(', ')}: hangs`] };
    const report = JSON.parse(readFileSync(outputFile, 'utf8')) as { testResults: JestFile[] };
    return judge(report.testResults, mutant);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function judge(files: readonly JestFile[], mutant: Mutant | null): TestsRun {
  const broken = files.filter(({ assertionResults }) => assertionResults.length === 0);
  if (files.length === 0 || broken.length > 0) {
    return { verdict: 'void', by: broken.map(({ name, message }) => `${name}: ${message}`) };
  }
  const failed = files.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ title }) => ({ file: relative(ROOT, name), title })),
  );
  const order = mutant?.tests ?? [];
  const rank = ({ file, title }: { file: string; title: string }): number =>
    order.indexOf(file) + (mutant !== null && namesBug(title, mutant) ? 0 : 1000);
  failed.sort((a, b) => rank(a) - rank(b));
  const by = failed.map(({ file, title }) => `${file}: ${title}`);
  return { verdict: by.length > 0 ? 'caught' : 'escaped', by };
}

/** `R6: ...` or `r06-...`. */
const namesBug = (title: string, { bugs }: Mutant): boolean =>
  bugs.some((bug) => {
    const pattern = `(^|\\W)${bug.slice(0, 1)}0?${bug.slice(1)}\\b`;
    return new RegExp(pattern, 'i').test(title);
  });

/** Seeded storms over Raft cores until one fails. */
export async function runStorm(mutant: Mutant, seeds: number): Promise<StormResult> {
  const { stdout, timedOut } = await run(
    ['--disable-warning=ExperimentalWarning', '--import', REGISTER, STORM, String(seeds)],
    mutant,
    STORM_TIMEOUT_MS,
  );
  if (timedOut) return { seeds: 0, nodes: 0, why: 'hangs' };
  return JSON.parse(stdout) as StormResult;
}

function run(
  args: readonly string[],
  mutant: Mutant | null,
  timeoutMs: number,
): Promise<{ readonly stdout: string; readonly timedOut: boolean }> {
  const options = {
    cwd: ROOT,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, MINIKV_MUTANT: mutant?.id ?? '' },
  } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], options, (error, stdout) => {
      resolve({ stdout, timedOut: error?.killed === true });
    });
  });
}
