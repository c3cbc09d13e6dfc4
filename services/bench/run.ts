/**
 * `npm run bench`: measures the store on the machine that it stands on. Each sub-command makes what it
 * measures in a temporary folder and removes it. Exit code 1 where anything was refused or wrong: a
 * rate with errors in it is no figure.
 */
import { Command, InvalidArgumentError } from 'commander';
import { asError } from '../common/errors.ts';
import {
  type ClusterBenchOptions,
  type ClusterBenchResult,
  type Method,
  runClusterBench,
} from './cluster-bench.ts';
import { readProcesses, withFreshCluster } from './fresh-cluster.ts';
import {
  AXES,
  type Axis,
  type GrowthOptions,
  growthFaults,
  growthReport,
  runGrowthBench,
} from './growth-bench.ts';
import { faultsOf, interferenceReport, runInterferenceBench } from './interference-bench.ts';
import { metadataReport, runMetadataBench } from './metadata-bench.ts';
import { microReport, runMicroBench } from './micro-bench.ts';
import { clusterReport, errorCount, thisHost } from './report.ts';
import { runVolumeBench, volumeReport } from './volume-bench.ts';

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort());
}

const readCount =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}`);
  };

function readUrls(text: string): readonly string[] {
  return text.split(',').map((part) => {
    const url = URL.parse(part.trim());
    if (url?.protocol === 'http:') return url.origin;
    throw new InvalidArgumentError(`${part} is not a URL such as http://127.0.0.1:5000`);
  });
}

function readMethod(text: string): Method {
  if (text === 'put' || text === 'get') return text;
  throw new InvalidArgumentError('it must be put or get');
}

function readAxis(text: string): Axis {
  const axis = AXES.find((each) => each === text);
  if (axis !== undefined) return axis;
  throw new InvalidArgumentError(`it must be one of ${AXES.join(', ')}`);
}

function readForm(text: string): 'text' | 'json' {
  if (text === 'text' || text === 'json') return text;
  throw new InvalidArgumentError('it must be text or json');
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface ClusterFlags {
  readonly connections: number;
  readonly size: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly keys: number;
  readonly only?: Method;
  readonly url?: readonly string[];
  readonly processes?: string;
  readonly basePort: number;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchCluster(flags: ClusterFlags): Promise<void> {
  const shared = {
    connections: flags.connections,
    sizeBytes: flags.size,
    seconds: flags.seconds,
    warmUpSeconds: flags.warmUp,
    keys: flags.keys,
    methods: flags.only === undefined ? (['put', 'get'] as const) : [flags.only],
  };
  const drive = async (
    target: Pick<ClusterBenchOptions, 'urls' | 'processes'>,
  ): Promise<readonly [ClusterBenchOptions, ClusterBenchResult]> => {
    const options = { ...shared, ...target };
    return [options, await runClusterBench(options, say)];
  };
  const { url, processes: folder, basePort } = flags;
  let outcome: readonly [ClusterBenchOptions, ClusterBenchResult];
  if (url !== undefined || folder !== undefined) {
    stopping.signal.addEventListener('abort', () => process.exit(1));
    const processes = folder === undefined ? [] : await readProcesses(folder);
    outcome = await drive({ processes, urls: url ?? coordinatorsOf(processes) });
  } else {
    say('starting 3 coordinators and 3 volumes ...');
    const sizes = { coordinators: 3, volumes: 3, basePort, parent: flags.dir ?? null };
    outcome = await withFreshCluster(sizes, stopping.signal, (processes) =>
      drive({ processes, urls: coordinatorsOf(processes) }),
    );
  }
  const [options, result] = outcome;
  const { processes: _processes, ...settings } = options;
  print(flags.output, {
    text: clusterReport(options, result),
    json: { machine: thisHost(), settings, ...result },
  });
  if (result.phases.some((phase) => errorCount(phase) > 0)) process.exitCode = 1;
}

const coordinatorsOf = (
  processes: readonly { readonly role: string; readonly http: string }[],
): readonly string[] =>
  processes.filter(({ role }) => role === 'coordinator').map(({ http }) => http);

function print(form: 'text' | 'json', result: { text: string; json: unknown }): void {
  process.stdout.write(form === 'json' ? `${JSON.stringify(result.json)}\n` : `${result.text}\n`);
}

const program = new Command('npm run bench --')
  .description('Measures the store on this machine, the load generator included.')
  .enablePositionalOptions()
  .addHelpText('before', 'PUT and GET on a fresh cluster of 3 coordinators and 3 volumes.\n')
  .option('--connections <n>', 'open at once, over all coordinators', readCount(1, 10_000), 64)
  .option('--size <bytes>', 'of a value', readCount(0, 64 * 1024 * 1024), 1024)
  .option('--seconds <n>', 'counted', readCount(1, 3600), 10)
  .option('--warm-up <n>', 'seconds before those', readCount(0, 3600), 20)
  .option('--keys <n>', 'that GET reads from', readCount(1, 100_000_000), 10_000)
  .option('--only <method>', 'put or get', readMethod)
  .option('--url <urls>', 'coordinators of a running cluster, separated by commas', readUrls)
  .option('--processes <dir>', 'data folder of a running `minikv local`, for its CPU and syncs')
  .option('--base-port <port>', 'first port of the fresh cluster', readCount(1024, 64_000), 15_000)
  .option('--dir <dir>', 'where its temporary folder is made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchCluster);

interface InterferenceFlags {
  readonly connections: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly keys: number;
  readonly crowd: number;
  readonly basePort: number;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchInterference(flags: InterferenceFlags): Promise<void> {
  const { connections, seconds, warmUp: warmUpSeconds, keys, crowd, basePort } = flags;
  const options = { connections, seconds, warmUpSeconds, keys, crowd, sizeBytes: 1024 };
  const sizes = { coordinators: 3, volumes: 3, basePort, parent: flags.dir ?? null };
  const { signal } = stopping;
  say('starting 3 coordinators and 3 volumes ...');
  const result = await withFreshCluster(sizes, signal, (processes) =>
    runInterferenceBench(options, processes, { signal, say }),
  );
  print(flags.output, {
    text: interferenceReport(options, result),
    json: { machine: thisHost(), settings: options, ...result },
  });
  if (faultsOf(result).length > 0) process.exitCode = 1;
}

program
  .command('interference')
  .description(
    'PUT and GET beside large values, a compaction, a snapshot and a crowd: exit code 1 where one costs an election',
  )
  .option('--connections <n>', 'of the foreground', readCount(1, 10_000), 16)
  .option('--seconds <n>', 'counted of each', readCount(1, 3600), 10)
  .option('--warm-up <n>', 'seconds before all', readCount(0, 3600), 20)
  .option('--keys <n>', 'that GET reads from', readCount(1, 100_000_000), 10_000)
  .option('--crowd <n>', 'connections beside the upload', readCount(1, 10_000), 4096)
  .option('--base-port <port>', 'first port of the fresh cluster', readCount(1024, 64_000), 15_000)
  .option('--dir <dir>', 'where its temporary folder is made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchInterference);

interface GrowthFlags {
  readonly only?: Axis;
  readonly seconds: number;
  readonly warmUp: number;
  readonly keysMax: number;
  readonly basePort: number;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchGrowth(flags: GrowthFlags): Promise<void> {
  const { only = null, seconds, warmUp: warmUpSeconds, keysMax, basePort } = flags;
  const options: GrowthOptions = { only, seconds, warmUpSeconds, keysMax };
  const { signal } = stopping;
  const site = { basePort, parent: flags.dir ?? null, signal, say };
  const result = await runGrowthBench(options, site);
  print(flags.output, {
    text: growthReport(options, result),
    json: { machine: thisHost(), settings: options, ...result },
  });
  if (growthFaults(result).length > 0) process.exitCode = 1;
}

program
  .command('growth')
  .description('PUT and GET as connections, values, volumes, coordinators and keys grow in turn')
  .option('--only <axis>', `what grows: one of ${AXES.join(', ')}`, readAxis)
  .option('--seconds <n>', 'counted of each', readCount(1, 3600), 5)
  .option('--warm-up <n>', 'seconds before those', readCount(0, 3600), 10)
  .option('--keys-max <n>', 'keys grow tenfold to it', readCount(10_000, 100_000_000), 1_000_000)
  .option('--base-port <port>', 'first port of the fresh clusters', readCount(1024, 64_000), 15_000)
  .option('--dir <dir>', 'where its temporary folders are made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchGrowth);

interface VolumeFlags {
  readonly blobs: number;
  readonly size: number;
  readonly opens: number;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchVolume(flags: VolumeFlags): Promise<void> {
  const { blobs, opens, dir: parent = null } = flags;
  const options = { blobs, opens, parent, sizeBytes: flags.size };
  const result = await runVolumeBench(options, stopping.signal, say);
  print(flags.output, {
    text: volumeReport(options, result),
    json: { machine: thisHost(), settings: options, ...result },
  });
}

program
  .command('volume')
  .description("one volume's store: open times, memory and reads with many small blobs")
  .option('--blobs <n>', 'stored', readCount(1000, 100_000_000), 1_000_000)
  .option('--size <bytes>', 'of a blob', readCount(0, 1024 * 1024), 100)
  .option('--opens <n>', 'measured of each kind', readCount(1, 1000), 9)
  .option('--dir <dir>', 'where its temporary folder is made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchVolume);

interface MetadataFlags {
  readonly keys: number;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchMetadata(flags: MetadataFlags): Promise<void> {
  const options = { keys: flags.keys, parent: flags.dir ?? null };
  const result = await runMetadataBench(options, say);
  print(flags.output, {
    text: metadataReport(options, result),
    json: { machine: thisHost(), settings: options, ...result },
  });
}

program
  .command('metadata')
  .description("look-ups in a coordinator's metadata: absent and present keys")
  .option('--keys <n>', 'stored', readCount(10_000, 100_000_000), 100_000)
  .option('--dir <dir>', 'where its temporary folder is made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchMetadata);

interface MicroFlags {
  readonly only: string;
  readonly write?: true;
  readonly dir?: string;
  readonly output: 'text' | 'json';
}

async function benchMicro(flags: MicroFlags): Promise<void> {
  const { only, write = false, dir: parent = null } = flags;
  const result = await runMicroBench({ only, write, parent }, stopping.signal, say);
  print(flags.output, {
    text: microReport(result),
    json: { machine: thisHost(), ...result },
  });
  if (result.cases.some(({ verdict }) => verdict === 'slower')) process.exitCode = 1;
}

program
  .command('micro')
  .description(
    'the parts by themselves, against the stored baseline: exit code 1 where one is slower',
  )
  .option('--only <text>', 'cases with this in their name', '')
  .option('--write', 'make what is measured the baseline')
  .option('--dir <dir>', 'where its temporary folder is made')
  .option('--output <form>', 'text or json', readForm, 'text')
  .action(benchMicro);

try {
  await program.parseAsync();
} catch (error) {
  say(`bench: ${asError(error).message}`);
  process.exitCode = 1;
}
process.exit();
