/**
 * What background work costs the foreground: the same PUTs and GETs of small values alone, and beside one
 * job after the other. A follower takes no requests in any of them, since one of the jobs stops it. Last comes a
 * crowd of connections with a large upload: nothing of all this may cost a leader its office.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { LocalProcess } from '../cli/local-plan.ts';
import { SECOND_MS } from '../common/units.ts';
import {
  type BackgroundJob,
  compaction,
  largeStream,
  largeUpload,
  type Site,
  snapshot,
} from './background-jobs.ts';
import { leaderOf, targetOfUrl } from './cluster-bench.ts';
import { LoadGenerator } from './load/generator.ts';
import type { Tally } from './load/workload.ts';
import { totalOf } from './probe.ts';
import { columns, count, machineLine, thisHost } from './report.ts';

export interface InterferenceOptions {
  readonly connections: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** That GETs read from. */
  readonly keys: number;
  /** Connections that put at once beside the upload. */
  readonly crowd: number;
}

export interface Scene {
  readonly name: string;
  readonly put: Tally;
  /** null: not asked. */
  readonly get: Tally | null;
  /** Leaders that were elected meanwhile. */
  readonly elections: number;
  /** What the job did; null: nothing, so the figures say nothing. */
  readonly did: string | null;
}

export interface InterferenceResult {
  /** The first one is the quiet one. */
  readonly scenes: readonly Scene[];
}

const SETTLE_MS = 2 * SECOND_MS;
const JOBS = [largeStream, compaction, snapshot];

export async function runInterferenceBench(
  options: InterferenceOptions,
  processes: readonly LocalProcess[],
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<InterferenceResult> {
  const site = await siteOf(processes, signal);
  const asked = processes.filter(
    ({ role, name }) => role === 'coordinator' && name !== site.straggler.name,
  );
  const stage = { site, asked, options, say };
  const scenes: Scene[] = [];
  const load = await startLoad(stage, options.connections);
  try {
    say(`storing ${count(options.keys)} keys to read ...`);
    await load.fill(options.keys);
    say(`warming up for ${options.warmUpSeconds} s ...`);
    load.run('put');
    await pause(options.warmUpSeconds * SECOND_MS, undefined, { signal });
    await load.end();
    scenes.push(await play(stage, load, null));
    for (const job of JOBS) scenes.push(await play(stage, load, job));
  } finally {
    load.stop();
  }
  scenes.push(await playCrowd(stage));
  return { scenes };
}

interface Stage {
  readonly site: Site;
  /** Coordinators that take the requests. */
  readonly asked: readonly LocalProcess[];
  readonly options: InterferenceOptions;
  readonly say: (line: string) => void;
}

async function siteOf(processes: readonly LocalProcess[], signal: AbortSignal): Promise<Site> {
  const coordinators = processes.filter(({ role }) => role === 'coordinator');
  const name = await leaderOf(coordinators.map(({ http }) => http));
  const leader = coordinators.find((each) => each.name === name);
  const straggler = coordinators.findLast((each) => each.name !== name);
  if (leader === undefined || straggler === undefined) throw new Error('nobody leads the cluster');
  return { leader, straggler, volumes: processes.filter(({ role }) => role === 'volume'), signal };
}

function startLoad({ asked, options }: Stage, connections: number): Promise<LoadGenerator> {
  const { sizeBytes, keys } = options;
  const prefixes = [`/kv/interference/${randomBytes(4).toString('hex')}/`];
  const dialect = { kind: 'paths', prefixes, suffix: '' } as const;
  const targets = asked.map(({ http }) => targetOfUrl(http));
  return LoadGenerator.start({ connections, sizeBytes, keys, targets, dialect, firstSpace: 0 });
}

async function play(stage: Stage, load: LoadGenerator, job: BackgroundJob | null): Promise<Scene> {
  const { site, options, say } = stage;
  const name = job?.name ?? 'quiet';
  say(`${name} ...`);
  const before = await elections(stage);
  const running = (await job?.start(site)) ?? null;
  const tallies = async (): Promise<Pick<Scene, 'put' | 'get'>> => ({
    put: await counted(load, 'put', options.seconds),
    get: await counted(load, 'get', options.seconds),
  });
  // A job that goes on after a failure would leave a process behind.
  const { put, get } = await tallies().catch(async (error: unknown) => {
    await running?.stop();
    throw error;
  });
  const did = running === null ? '' : await running.stop();
  return { name, put, get, did, elections: (await elections(stage)) - before };
}

async function playCrowd(stage: Stage): Promise<Scene> {
  const { site, options, say } = stage;
  const name = `${count(options.crowd)} connections and ${largeUpload.name}`;
  say(`${name} ...`);
  const load = await startLoad(stage, options.crowd);
  try {
    const before = await elections(stage);
    load.run('put');
    const running = await largeUpload.start(site);
    await pause(SETTLE_MS);
    await load.begin();
    await pause(options.seconds * SECOND_MS);
    // The crowd stays until the upload has ended.
    const did = await running.stop();
    const put = await load.end();
    return { name, put, get: null, did, elections: (await elections(stage)) - before };
  } finally {
    load.stop();
  }
}

async function counted(
  load: LoadGenerator,
  method: 'put' | 'get',
  seconds: number,
): Promise<Tally> {
  load.run(method);
  await pause(SETTLE_MS);
  await load.begin();
  await pause(seconds * SECOND_MS);
  return load.end();
}

const elections = ({ asked }: Stage): Promise<number> =>
  totalOf(asked, 'minikv_raft_elections_total');

/** What makes the figures worthless; empty: nothing. */
export const faultsOf = ({ scenes }: InterferenceResult): readonly string[] =>
  scenes.flatMap(({ name, put, get, elections: elected, did }) => {
    const faults = [put, get].flatMap((tally) => Object.entries(tally?.errors ?? {}));
    return [
      ...faults.map(([why, times]) => `${name}: ${times} x ${why}`),
      ...(elected === 0 ? [] : [`${name}: ${elected} elections`]),
      ...(did === null ? [`${name}: nothing went on`] : []),
    ];
  });

export function interferenceReport(
  options: InterferenceOptions,
  result: InterferenceResult,
): string {
  const quiet = result.scenes[0];
  const cells = (tally: Tally | null, alone: Tally | null | undefined): readonly string[] => {
    if (tally === null) return ['-', '-', '-', '-'];
    const times = alone === null || alone === undefined ? null : tally.p99Ms / alone.p99Ms;
    const rate = count(tally.operations / tally.seconds);
    return [rate, tally.p50Ms.toFixed(1), tally.p99Ms.toFixed(1), times?.toFixed(1) ?? '-'];
  };
  const titles = (method: string): readonly string[] => [
    `${method} a second`,
    'p50 ms',
    'p99 ms',
    'x quiet',
  ];
  const rows = result.scenes.map(({ name, put, get, elections: elected, did }, at) => [
    name,
    ...cells(put, get === null ? null : quiet?.put),
    ...cells(get, quiet?.get),
    String(elected),
    at === 0 ? '' : (did ?? 'nothing'),
  ]);
  const faults = faultsOf(result);
  return [
    `${options.sizeBytes} B values, ${options.connections} connections over two of 3 coordinators, ` +
      `${options.seconds} s each after ${options.warmUpSeconds} s of warm-up`,
    machineLine(thisHost()),
    '',
    columns([['beside', ...titles('PUT'), ...titles('GET'), 'elections', ''], ...rows]),
    ...(faults.length === 0 ? [] : ['', ...faults]),
  ].join('\n');
}
