/**
 * What processes spend, read from outside: CPU time and memory from the kernel, syncs from their own
 * metrics. Where there is no /proc nothing is guessed: the figures are absent.
 */
import { readFile } from 'node:fs/promises';

/** One process that is watched. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
}

/** CPU time so far, by the kernel's clock of 100 ticks a second. */
export interface CpuSample {
  readonly secondsByPid: ReadonlyMap<number, number>;
  /** Of the whole machine, interrupts included; null: unknown. */
  readonly machineSeconds: number | null;
}

const TICKS_PER_SECOND = 100;

export async function sampleCpu(pids: readonly number[]): Promise<CpuSample> {
  const secondsByPid = new Map<number, number>();
  for (const pid of pids) {
    const stat = await textOf(`/proc/${pid}/stat`);
    if (stat !== null) secondsByPid.set(pid, cpuSecondsOf(stat));
  }
  const machine = await textOf('/proc/stat');
  return { secondsByPid, machineSeconds: machine === null ? null : machineSecondsOf(machine) };
}

/** User and system time of a line of /proc/PID/stat; its name field may hold anything. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Busy time of all cores: user, nice, system, irq, softirq and steal; not idle and iowait. */
export function machineSecondsOf(stat: string): number {
  const fields = stat.split('\n', 1)[0]?.trim().split(/\s+/) ?? [];
  const busy = [1, 2, 3, 6, 7, 8].map((column) => Number(fields[column] ?? 0));
  return busy.reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND;
}

/** Resident memory; null: unknown. */
export async function residentBytes(pid: number): Promise<number | null> {
  const status = await textOf(`/proc/${pid}/status`);
  const kib = status === null ? undefined : /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

const METRICS_TIMEOUT_MS = 5000;

/** The metrics page of a process. */
export async function metricsOf(url: string): Promise<string> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(METRICS_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url}/metrics answered ${answer.status}`);
  return answer.text();
}

/** The sum of a metric over its labels, in Prometheus text; null where it is absent. */
export function valueOf(text: string, metric: string): number | null {
  let sum: number | null = null;
  for (const line of text.split('\n')) {
    const rest = line.startsWith(metric) ? line.slice(metric.length) : '';
    if (rest.startsWith(' ') || rest.startsWith('{')) {
      sum = (sum ?? 0) + Number(rest.slice(rest.lastIndexOf(' ')));
    }
  }
  return sum;
}

/** The sum of a metric over the pages of some processes. */
export async function totalOf(
  processes: readonly { readonly http: string }[],
  metric: string,
): Promise<number> {
  const pages = await Promise.all(processes.map(({ http }) => metricsOf(http)));
  return pages.reduce((sum, page) => sum + (valueOf(page, metric) ?? 0), 0);
}

const textOf = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);
