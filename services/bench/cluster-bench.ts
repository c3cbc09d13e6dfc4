/**
 * PUTs and then GETs from many connections over all coordinators, and what they cost: each phase warms
 * up uncounted, then rates, latencies, syncs and CPU are taken over the same seconds.
 */
import { randomBytes } from 'node:crypto';
import type { LocalProcess } from '../cli/local-plan.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Target } from './load/connection.ts';
import type { Dialect } from './load/dialect.ts';
import { LoadGenerator } from './load/generator.ts';
import type { Tally } from './load/workload.ts';
import {
  type CpuSample,
  metricsOf,
  residentBytes,
  sampleCpu,
  totalOf,
  type Watched,
} from './probe.ts';

export interface ClusterBenchOptions {
  readonly urls: readonly string[];
  /** Empty where nothing is known of them: then no CPU, memory and syncs. */
  readonly processes: readonly LocalProcess[];
  readonly connections: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly keys: number;
  readonly methods: readonly Method[];
}

export type Method = 'put' | 'get';

export interface PhaseResult extends Tally {
  readonly method: Method;
  readonly perSecond: number;
  /** Syncs of segments, over all volumes, by operation; null: unknown. */
  readonly volumeSyncs: number | null;
  /** Syncs of the Raft log, over all coordinators, by operation. */
  readonly raftSyncs: number | null;
  readonly processes: readonly ProcessCost[];
  /** Cores that other work on the machine took meanwhile. */
  readonly otherCores: number | null;
}

export interface ProcessCost {
  readonly name: string;
  readonly cpuUs: number | null;
  readonly rssBytes: number | null;
}

export interface ClusterBenchResult {
  /** As the volumes say it themselves; empty: unknown. */
  readonly fsync: readonly string[];
  readonly leader: string | null;
  readonly phases: readonly PhaseResult[];
}

export async function runClusterBench(
  options: ClusterBenchOptions,
  say: (line: string) => void,
): Promise<ClusterBenchResult> {
  const { connections, sizeBytes, keys } = options;
  const plan = { connections, sizeBytes, keys, targets: options.urls.map(targetOfUrl) };
  const prefix = `/kv/bench/${randomBytes(4).toString('hex')}/`;
  const dialect: Dialect = { kind: 'paths', prefixes: [prefix], suffix: '' };
  const phases: PhaseResult[] = [];
  const generator = await LoadGenerator.start({ ...plan, dialect, firstSpace: 0 });
  try {
    for (const method of options.methods) {
      if (method === 'get') {
        say(`storing ${keys} keys to read ...`);
        await generator.fill(keys);
      }
      say(`${method.toUpperCase()} for ${options.warmUpSeconds} + ${options.seconds} s ...`);
      phases.push(await measure(options, generator, method));
    }
  } finally {
    generator.stop();
  }
  return { fsync: await fsyncPolicies(options), leader: await leaderOf(options.urls), phases };
}

async function measure(
  options: ClusterBenchOptions,
  generator: LoadGenerator,
  method: Method,
): Promise<PhaseResult> {
  const watched: readonly Watched[] = [
    ...options.processes,
    { name: 'load generator', pid: generator.pid },
  ];
  const pids = watched.map(({ pid }) => pid);
  generator.run(method);
  await pause(options.warmUpSeconds * SECOND_MS);
  const syncsBefore = await syncsOf(options.processes);
  const cpuBefore = await sampleCpu([...pids, process.pid]);
  await generator.begin();
  await pause(options.seconds * SECOND_MS);
  const cpuAfter = await sampleCpu([...pids, process.pid]);
  const tallied = generator.end();
  const syncsAfter = await syncsOf(options.processes);
  const tally = await tallied;
  const { operations } = tally;
  const perOperation = (total: number | null): number | null =>
    total === null || operations === 0 ? null : total / operations;
  return {
    ...tally,
    method,
    perSecond: operations / tally.seconds,
    volumeSyncs: perOperation(difference(syncsBefore.volume, syncsAfter.volume)),
    raftSyncs: perOperation(difference(syncsBefore.raft, syncsAfter.raft)),
    otherCores: otherCores(cpuBefore, cpuAfter, tally.seconds),
    processes: await Promise.all(
      watched.map(async ({ name, pid }) => ({
        name,
        cpuUs: perOperation(microseconds(spentBy(pid, cpuBefore, cpuAfter))),
        rssBytes: await residentBytes(pid),
      })),
    ),
  };
}

interface Syncs {
  readonly volume: number | null;
  readonly raft: number | null;
}

const isVolume = ({ role }: LocalProcess): boolean => role === 'volume';

const VOLUME_SYNCS = 'minikv_volume_syncs_total';
const RAFT_SYNCS = 'minikv_raft_log_syncs_total';

async function syncsOf(processes: readonly LocalProcess[]): Promise<Syncs> {
  if (processes.length === 0) return { volume: null, raft: null };
  return {
    volume: await totalOf(processes.filter(isVolume), VOLUME_SYNCS),
    raft: await totalOf(
      processes.filter((each) => !isVolume(each)),
      RAFT_SYNCS,
    ),
  };
}

const POLICY = /^minikv_volume_fsync_policy\{policy="(\w+)"\} 1$/m;

async function fsyncPolicies({ processes }: ClusterBenchOptions): Promise<readonly string[]> {
  const volumes = processes.filter(isVolume);
  const pages = await Promise.all(volumes.map(({ http }) => metricsOf(http)));
  return [...new Set(pages.map((page) => POLICY.exec(page)?.[1] ?? 'unknown'))];
}

/** Its name; null where none of them leads. */
export async function leaderOf(urls: readonly string[]): Promise<string | null> {
  for (const url of urls) {
    const status: unknown = await fetch(`${url}/admin/status`)
      .then((answer) => answer.json())
      .catch(() => null);
    if (typeof status !== 'object' || status === null) continue;
    const { is_leader: leads, name } = status as Record<string, unknown>;
    if (leads === true && typeof name === 'string') return name;
  }
  return null;
}

export function targetOfUrl(url: string): Target {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port || 80) };
}

const difference = (before: number | null, after: number | null): number | null =>
  before === null || after === null ? null : after - before;

const spentBy = (pid: number, before: CpuSample, after: CpuSample): number | null =>
  difference(before.secondsByPid.get(pid) ?? null, after.secondsByPid.get(pid) ?? null);

const microseconds = (seconds: number | null): number | null =>
  seconds === null ? null : seconds * 1e6;

/** Busy time that none of the sampled processes took; interrupts on their behalf are in it. */
function otherCores(before: CpuSample, after: CpuSample, seconds: number): number | null {
  const all = difference(before.machineSeconds, after.machineSeconds);
  if (all === null) return null;
  const ours = [...after.secondsByPid.keys()].reduce(
    (sum, pid) => sum + (spentBy(pid, before, after) ?? 0),
    0,
  );
  return Math.max(0, all - ours) / seconds;
}

const pause = (ms: number): Promise<void> => new Promise((settle) => setTimeout(settle, ms));
