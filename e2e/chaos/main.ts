/** `npm run chaos`: faults on a real cluster of processes, drawn from a seed, under judged load. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { furnish, installTools, runInside, thisMachine } from './machine.ts';
import { summaryOf, textOf } from './report.ts';
import { runChaos } from './run.ts';

interface Flags {
  readonly minutes: number;
  readonly seed: number;
  readonly clients: number;
  readonly rate: number;
  readonly rateMin: number;
  readonly network: 'auto' | 'namespaces' | 'loopback';
  readonly basePort: number;
  readonly output: 'text' | 'json';
  readonly keep: boolean;
  readonly install: boolean;
  readonly inside: boolean;
}

const ROUND_MS = 60_000;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const number =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}`);
  };

async function chaos(flags: Flags): Promise<void> {
  if (flags.install && !flags.inside && !installTools()) {
    throw new Error('apt could not install the tools: see above, or run without --install');
  }
  const machine = thisMachine();
  if (flags.network === 'namespaces' && !machine.namespaces) {
    throw new Error(`no network namespaces here: ${machine.lacks.join('; ')}`);
  }
  if (machine.mounts && !flags.inside) {
    for (const sentence of machine.lacks) say(`LEFT OUT: ${sentence}`);
    process.exitCode = await runInside([...process.argv.slice(2), '--inside']);
    return;
  }
  if (!flags.inside) for (const sentence of machine.lacks) say(`LEFT OUT: ${sentence}`);
  const isLoopback = flags.network === 'loopback' || !machine.namespaces;
  if (flags.inside) furnish();
  const folder = await mkdtemp(join(tmpdir(), 'minikv-chaos-'));
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stopping.abort());
  }
  const options = {
    seed: flags.seed,
    rounds: flags.minutes,
    roundMs: ROUND_MS,
    network: isLoopback ? 'loopback' : 'namespaces',
    mounts: machine.mounts,
    clockLibrary: machine.clockLibrary,
    descriptors: machine.descriptors,
    clients: flags.clients,
    rate: flags.rate,
    rateMin: flags.rateMin,
    folder,
    basePort: flags.basePort,
  } as const;
  say(
    `seed ${flags.seed}, ${flags.minutes} rounds, ${options.network}; logs and data in ${folder}`,
  );
  const summary = summaryOf(await runChaos(options, say, stopping.signal));
  const settings = { ...options, folder };
  process.stdout.write(
    flags.output === 'json' ? `${JSON.stringify({ settings, ...summary })}\n` : textOf(summary),
  );
  if (summary.findings.length > 0) {
    process.exitCode = 1;
    say(`again: ${commandOf(flags)}`);
    say(`logs, data and histories: ${folder} (remove it when done)`);
  } else if (!flags.keep) await rm(folder, { recursive: true, force: true });
}

const commandOf = ({ minutes, seed, clients, rate, network }: Flags): string =>
  `npm run chaos -- --minutes ${minutes} --seed ${seed} --clients ${clients} --rate ${rate} ` +
  `--network ${network}`;

const EXAMPLES = `
Examples:
  npm run chaos -- --minutes 5 --seed 7              the same faults at the same times as every seed 7
  npm run chaos -- --minutes 30 --seed 1 --output json > chaos.json
  npm run chaos -- --minutes 1 --network loopback    without root: TCP proxies stand for the network
  npm run chaos -- --install --minutes 1             first installs nftables and libfaketime with apt

As root everything runs in network, mount and process namespaces of its own and leaves nothing behind.
Exit code 1 where anything was found; then the command to repeat and the folder of the logs are told.`;

await new Command('npm run chaos --')
  .description(
    'Faults on a real cluster of three coordinators and three volumes, under judged load.',
  )
  .option('--minutes <n>', 'rounds of a minute each', number(1, 1440), 5)
  .option('--seed <n>', 'of the faults: the same seed is the same schedule', number(0, 2 ** 31), 1)
  .option('--clients <n>', 'at once', number(1, 64), 12)
  .option('--rate <n>', 'requests a second that the clients aim at', number(1, 10_000), 320)
  .option('--rate-min <n>', 'a run with fewer between faults is void', number(0, 10_000), 200)
  .addOption(
    new Option('--network <kind>', 'how processes are parted')
      .choices(['auto', 'namespaces', 'loopback'])
      .default('auto'),
  )
  .option('--base-port <port>', 'HTTP port of every process', number(1024, 64_000), 17_000)
  .addOption(new Option('--output <form>').choices(['text', 'json']).default('text'))
  .option('--keep', 'keep logs and data of a good run too', false)
  .option('--install', 'install missing tools with apt', false)
  .addOption(new Option('--inside').hideHelp().default(false))
  .addHelpText('after', EXAMPLES)
  .action(chaos)
  .parseAsync()
  .catch((error: unknown) => {
    say(`chaos: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
