/** Results as tables for eyes; `--output json` prints the very same figures. */
import { availableParallelism, cpus, release } from 'node:os';
import { formatBytes } from '../common/units.ts';
import type { ClusterBenchOptions, ClusterBenchResult, PhaseResult } from './cluster-bench.ts';

/** Where a figure was taken. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
}

export const thisHost = (): Machine => ({
  cores: availableParallelism(),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  /** Two numbers of it say enough. */
  kernel: release().split('.').slice(0, 2).join('.'),
  node: process.versions.node,
});

export const machineLine = ({ cores, cpu, kernel, node }: Machine): string =>
  `${cores} cores (${cpu}), ${SYSTEM} ${kernel}, Node ${node}`;

const SYSTEM = process.platform === 'linux' ? 'Linux' : process.platform;

/** Columns padded to their widest cell: the first to the left, figures to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const pad = (cell: string, i: number): string =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** A count with a comma between thousands. */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** `-` where a figure is unknown. */
export const figure = (value: number | null, digits: number): string =>
  value === null ? '-' : value.toFixed(digits);

export function clusterReport(options: ClusterBenchOptions, result: ClusterBenchResult): string {
  const { phases, leader, fsync } = result;
  const size = formatBytes(options.sizeBytes);
  const head = [
    `${size} values, ${options.connections} connections over ${options.urls.length} coordinators, ` +
      `fsync ${fsync.join('/') || 'unknown'}, ` +
      `${options.seconds} s after ${options.warmUpSeconds} s of warm-up`,
    machineLine(thisHost()),
  ];
  return [...head, '', rates(phases, size), '', costs(phases, leader), ...errorLines(phases)].join(
    '\n',
  );
}

function rates(phases: readonly PhaseResult[], size: string): string {
  const rows = phases.map((phase) => [
    `${phase.method.toUpperCase()} ${size}`,
    count(phase.perSecond),
    phase.p50Ms.toFixed(1),
    phase.p99Ms.toFixed(1),
    phase.maxMs.toFixed(1),
    count(errorCount(phase)),
    figure(phase.volumeSyncs, 3),
    figure(phase.raftSyncs, 3),
    figure(phase.otherCores, 2),
  ]);
  const titles = ['', 'per second', 'p50 ms', 'p99 ms', 'max ms', 'errors'];
  const syncs = ['volume syncs each', 'raft syncs each', 'other work, cores'];
  return columns([[...titles, ...syncs], ...rows]);
}

function costs(phases: readonly PhaseResult[], leader: string | null): string {
  const names = phases[0]?.processes.map(({ name }) => name) ?? [];
  const perPhase = (cell: (phase: PhaseResult) => readonly string[]): readonly string[] =>
    phases.flatMap(cell);
  const titles = perPhase(({ method }) => [`CPU us/${method.toUpperCase()}`, 'RSS MiB']);
  const rows = names.map((name, i) => [
    name === leader ? `${name} (leader)` : name,
    ...perPhase(({ processes }) => {
      const { cpuUs = null, rssBytes = null } = processes[i] ?? {};
      return [figure(cpuUs, 1), figure(mib(rssBytes), 0)];
    }),
  ]);
  const total = perPhase(({ processes }) => [
    figure(sumOf(processes.map(({ cpuUs }) => cpuUs)), 1),
    figure(mib(sumOf(processes.map(({ rssBytes }) => rssBytes))), 0),
  ]);
  return columns([['process', ...titles], ...rows, ['all', ...total]]);
}

const mib = (bytes: number | null): number | null => (bytes === null ? null : bytes / 1024 ** 2);

const sumOf = (values: readonly (number | null)[]): number | null =>
  values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);

export const errorCount = ({ errors }: PhaseResult): number =>
  Object.values(errors).reduce((sum, times) => sum + times, 0);

function errorLines(phases: readonly PhaseResult[]): readonly string[] {
  const lines = phases.flatMap(({ method, errors }) =>
    Object.entries(errors).map(([why, times]) => `${method.toUpperCase()}: ${times} x ${why}`),
  );
  return lines.length === 0 ? [] : ['', ...lines];
}
