/**
 * One volume's store with many small blobs: how long it takes to open after a stop in good order and
 * after SIGKILL, what a blob costs in memory, and what a read costs. Every open is one of a fresh
 * process, with the files in the page cache.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatBytes, MINUTE_MS } from '../common/units.ts';
import { columns, count, machineLine, thisHost } from './report.ts';
import type { ReadCost, VolumeJob, VolumeSaid } from './volume/process.ts';

export interface VolumeBenchOptions {
  readonly blobs: number;
  readonly sizeBytes: number;
  /** Opens of each kind; the table shows the median and the slowest. */
  readonly opens: number;
  /** Where the temporary folder is made; null: where the system makes them. */
  readonly parent: string | null;
}

export interface VolumeBenchResult {
  readonly fillSeconds: number;
  readonly clean: Opens;
  readonly killed: Opens;
  readonly indexBytesPerBlob: number;
  /** Resident memory that opening after a clean stop took. */
  readonly residentBytesPerBlob: number;
  readonly reads: ReadCost;
}

export interface Opens {
  readonly fastestMs: number;
  readonly medianMs: number;
  readonly slowestMs: number;
  /** Median of the CPU time, all threads: what does not depend on who else was at work. */
  readonly cpuMs: number;
  readonly replayedRecords: number;
}

const PROGRAM = fileURLToPath(new URL('./volume/process.ts', import.meta.url));
const JOB_MS = 15 * MINUTE_MS;

export async function runVolumeBench(
  options: VolumeBenchOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<VolumeBenchResult> {
  const parent = await mkdtemp(join(options.parent ?? tmpdir(), 'minikv-bench-'));
  const { blobs, sizeBytes } = options;
  const live = (kind: VolumeJob['kind'], end: 'stop' | 'kill'): Promise<VolumeSaid> =>
    oneLife({ kind, folder: join(parent, 'volume'), blobs, sizeBytes }, end, signal);
  const opens = async (end: 'stop' | 'kill'): Promise<readonly VolumeSaid[]> => {
    const all: VolumeSaid[] = [];
    for (let i = 0; i < options.opens; i += 1) all.push(check(await live('open', end), options));
    return all;
  };
  try {
    say(`storing ${count(blobs)} blobs of ${sizeBytes} B, then SIGKILL ...`);
    const filled = await live('fill', 'kill');
    say(`opening ${options.opens} times after SIGKILL ...`);
    const killed = await opens('kill');
    await live('open', 'stop');
    say(`opening ${options.opens} times after a stop in good order ...`);
    const clean = await opens('stop');
    if (clean.some((said) => !said.clean)) throw new Error('a stop in good order was not clean');
    say('reading ...');
    const { reads, rssAfter, rssBefore, indexBytes } = await live('read', 'stop');
    if (reads === null) throw new Error('nothing was read');
    return {
      fillSeconds: filled.jobMs / 1000,
      killed: opensOf(killed),
      clean: opensOf(clean),
      indexBytesPerBlob: indexBytes / blobs,
      residentBytesPerBlob: (rssAfter - rssBefore) / blobs,
      reads,
    };
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

/** No figure of a store that has lost something. */
function check(said: VolumeSaid, { blobs }: VolumeBenchOptions): VolumeSaid {
  if (said.copies !== blobs) throw new Error(`${said.copies} of ${blobs} blobs are there`);
  return said;
}

function opensOf(all: readonly VolumeSaid[]): Opens {
  const sorted = (values: readonly number[]): readonly number[] =>
    [...values].sort((a, b) => a - b);
  const times = sorted(all.map(({ openMs }) => openMs));
  const cpu = sorted(all.map(({ openCpuMs }) => openCpuMs));
  return {
    fastestMs: times[0] ?? 0,
    medianMs: times[times.length >> 1] ?? 0,
    slowestMs: times.at(-1) ?? 0,
    cpuMs: cpu[cpu.length >> 1] ?? 0,
    replayedRecords: all[0]?.replayedRecords ?? 0,
  };
}

/** Runs a job in a fresh process and ends it the given way. */
async function oneLife(
  job: VolumeJob,
  end: 'stop' | 'kill',
  signal: AbortSignal,
): Promise<VolumeSaid> {
  const execArgv = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
  const child = fork(PROGRAM, [], { execArgv, signal, killSignal: 'SIGKILL', timeout: JOB_MS });
  child.on('error', () => undefined);
  const said = answerOf(child);
  child.send(job);
  const answer = await said;
  const ended = new Promise<void>((settle) => child.once('exit', () => settle()));
  if (end === 'kill') child.kill('SIGKILL');
  else child.send('stop');
  await ended;
  return answer;
}

const answerOf = (child: ChildProcess): Promise<VolumeSaid> =>
  new Promise((resolve, reject) => {
    child.once('message', (said: VolumeSaid) => resolve(said));
    child.once('exit', (code, killed) =>
      reject(new Error(`the store's process ended: ${killed ?? code ?? '?'}`)),
    );
  });

const OPEN_TITLES = ['fastest ms', 'median ms', 'slowest ms', 'CPU ms', 'records replayed'];

export function volumeReport(options: VolumeBenchOptions, result: VolumeBenchResult): string {
  const { clean, killed, reads, fillSeconds } = result;
  const opened = (name: string, opens: Opens): readonly string[] => [
    name,
    opens.fastestMs.toFixed(1),
    opens.medianMs.toFixed(1),
    opens.slowestMs.toFixed(1),
    opens.cpuMs.toFixed(1),
    count(opens.replayedRecords),
  ];
  const memory = [
    ['in the index', `${result.indexBytesPerBlob.toFixed(1)} B a blob`],
    ['resident after an open', `${result.residentBytesPerBlob.toFixed(1)} B a blob`],
  ];
  const costs = [
    ['read, one at a time', `${reads.aloneUs.toFixed(1)} us`],
    [`read, ${reads.together} at once`, `${reads.togetherUs.toFixed(1)} us`],
    ['read of an absent blob', `${reads.absentUs.toFixed(2)} us`],
    ['store and commit', `${((fillSeconds * 1e6) / options.blobs).toFixed(1)} us`],
  ];
  return [
    `${count(options.blobs)} blobs of ${formatBytes(options.sizeBytes)}, fsync always`,
    machineLine(thisHost()),
    '',
    columns([
      [`open, ${options.opens} times`, ...OPEN_TITLES],
      opened('after a stop in good order', clean),
      opened('after SIGKILL', killed),
    ]),
    '',
    columns(memory),
    '',
    columns(costs),
  ].join('\n');
}
