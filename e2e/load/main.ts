/**
 * `npm run load`: one of the k6 scenarios of this folder, on a fresh local cluster or on one that runs already.
 * What is printed is k6's own summary, and the exit code is k6's.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Argument, Command } from 'commander';
import { Cluster } from '../harness/cluster.ts';

const SCENARIOS = ['write-heavy', 'read-heavy', 'mixed'] as const;
const INSTALL =
  'Install k6 (https://grafana.com/docs/k6/latest/set-up/install-k6/), then put it into PATH or name ' +
  'it by --k6 PATH. It is there when `k6 version` answers.';
const ANSWER_MS = 20_000;

interface Flags {
  readonly urls?: string;
  readonly vus?: string;
  readonly duration?: string;
  readonly size?: string;
  readonly keys?: string;
  readonly k6: string;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort());
}

async function load(scenario: (typeof SCENARIOS)[number], flags: Flags): Promise<void> {
  const asked = spawnSync(flags.k6, ['version'], { encoding: 'utf8', timeout: ANSWER_MS });
  if (asked.status !== 0) throw new Error(`there is no k6 at '${flags.k6}'. ${INSTALL}`);
  say(asked.stdout.trim());
  if (flags.urls !== undefined) {
    process.exitCode = await runK6(scenario, flags, flags.urls);
    return;
  }
  say('starting three coordinators and three volumes ...');
  const cluster = await Cluster.start();
  try {
    const urls = cluster.urls.join();
    process.exitCode = stopping.signal.aborted ? 1 : await runK6(scenario, flags, urls);
  } finally {
    await cluster.stop();
  }
}

/**
 * Resolves with k6's exit code. An end that somebody wants is k6's to make, which cleans up and sums up when it is
 * told once, and leaves all behind when it is told twice: so it has a group of its own, where no terminal tells it.
 */
async function runK6(scenario: string, flags: Flags, urls: string): Promise<number> {
  const settings = {
    MINIKV_URLS: urls,
    VUS: flags.vus,
    DURATION: flags.duration,
    SIZE: flags.size,
    KEYS: flags.keys,
    // A run on a closed network waits for nobody else.
    K6_NO_USAGE_REPORT: 'true',
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const child = spawn(flags.k6, ['run', join(import.meta.dirname, `${scenario}.js`)], {
    env: { ...process.env, ...Object.fromEntries(given) },
    stdio: 'inherit',
    detached: true,
  });
  const end = (): void => void child.kill('SIGINT');
  stopping.signal.addEventListener('abort', end);
  return await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

const EXAMPLES = `
Examples:
  npm run load                                          70 % reads, 25 % writes, 5 % deletes and conditional writes
  npm run load -- write-heavy --vus 64 --duration 1m
  npm run load -- read-heavy --size 100 --keys 10000
  npm run load -- mixed --urls http://127.0.0.1:5000,http://127.0.0.1:5002
  MINIKV_URLS=http://127.0.0.1:5000 VUS=64 k6 run e2e/load/mixed.js       the same without this command

The exit code is k6's: 0 where every answer was the one promised, 99 where one was not or a time was missed.
k6 itself is to be installed: https://grafana.com/docs/k6/latest/set-up/install-k6/`;

await new Command('npm run load --')
  .description('A k6 scenario on a fresh cluster of three coordinators and three volumes.')
  .addArgument(new Argument('[scenario]').choices(SCENARIOS).default('mixed'))
  .option('--urls <list>', 'coordinators of a cluster that runs already, with commas between')
  .option('--vus <n>', 'users at once, each with one request under way (10)')
  .option('--duration <time>', 'such as 30s or 2m (30s)')
  .option('--size <bytes>', 'of every value (1024)')
  .option('--keys <n>', 'that are written before, to be read (1000)')
  .option('--k6 <path>', 'the program', 'k6')
  .addHelpText('after', EXAMPLES)
  .action(load)
  .parseAsync()
  .catch((error: unknown) => {
    say(`load: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
