/**
 * What a PUT and a GET cost as the work grows: one thing grows at a time, all else stays as it is in
 * `npm run bench`. Each point has a fresh cluster, so none pays for what an earlier one left behind.
 */
import type { LocalProcess } from '../cli/local-plan.ts';
import { formatBytes, KIB, MIB } from '../common/units.ts';
import {
  type ClusterBenchOptions,
  type ClusterBenchResult,
  type Method,
  type PhaseResult,
  runClusterBench,
} from './cluster-bench.ts';
import { withFreshCluster } from './fresh-cluster.ts';
import { columns, count, errorCount, figure, machineLine, thisHost } from './report.ts';

/** What grows, in the order of the tables. */
export const AXES = ['connections', 'size', 'volumes', 'coordinators', 'keys'] as const;
export type Axis = (typeof AXES)[number];

export interface GrowthOptions {
  /** null: all of them. */
  readonly only: Axis | null;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** The keys grow to the largest power of ten that is not above it. */
  readonly keysMax: number;
}

/** Where the clusters stand, and who hears of them. */
export interface GrowthSite {
  readonly basePort: number;
  /** Where the temporary folders are made; null: where the system makes them. */
  readonly parent: string | null;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

type Load = Pick<ClusterBenchOptions, 'connections' | 'sizeBytes' | 'keys' | 'methods'>;

export interface GrowthPoint extends Load {
  readonly axis: Axis;
  /** How far along its axis it is, for eyes. */
  readonly name: string;
  readonly coordinators: number;
  readonly volumes: number;
}

export interface GrownPhase extends PhaseResult {
  /** By operation, of all processes of the cluster; null: unknown. */
  readonly storeCpuUs: number | null;
}

export interface GrownPoint {
  readonly point: GrowthPoint;
  readonly put: GrownPhase;
  readonly get: GrownPhase;
  /** Resident memory of the largest one at the end of a phase; null: unknown. */
  readonly coordinatorBytes: number | null;
  readonly volumeBytes: number | null;
}

export interface GrowthResult {
  readonly points: readonly GrownPoint[];
}

/** @throws when a point's cluster does not start or ends early, and once the signal has come. */
export async function runGrowthBench(
  options: GrowthOptions,
  site: GrowthSite,
): Promise<GrowthResult> {
  const points: GrownPoint[] = [];
  for (const point of growthPlan(options)) {
    site.say(`${titleOf(point)}: starting a cluster ...`);
    const grown = await measure(point, options, site);
    const [put, get] = [grown.put, grown.get].map(({ perSecond }) => count(perSecond));
    site.say(`${titleOf(point)}: ${put} PUTs and ${get} GETs a second`);
    points.push(grown);
  }
  return { points };
}

const STANDARD = {
  coordinators: 3,
  volumes: 3,
  connections: 64,
  sizeBytes: KIB,
  keys: 10_000,
  methods: ['put', 'get'] as const,
};
const CONNECTIONS = [1, 4, 16, 64, 256, 1024, 4096];
const SIZES = [100, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
/** Values that are moved rather than handled: few connections fill the machine with them. */
const LARGE = { sizeBytes: 64 * KIB, connections: 16 };
/** Of all values that GETs read, so that storing them takes seconds. */
const STORED_BYTES_MAX = 256 * MIB;
const VOLUMES = [3, 5, 7, 9];
const COORDINATORS = [1, 3, 5];
/** Small, so that many keys are many records rather than many bytes; GET stores them, so it comes first. */
const MANY = { sizeBytes: 100, methods: ['get', 'put'] as const };

/** All points, axis by axis. */
export const growthPlan = ({
  only,
  keysMax,
}: Pick<GrowthOptions, 'only' | 'keysMax'>): readonly GrowthPoint[] =>
  (only === null ? AXES : [only]).flatMap((axis) => pointsOf(axis, keysMax));

function pointsOf(axis: Axis, keysMax: number): readonly GrowthPoint[] {
  const point = (name: string, grown: Partial<GrowthPoint>): GrowthPoint => ({
    ...STANDARD,
    ...grown,
    axis,
    name,
  });
  switch (axis) {
    case 'connections':
      return CONNECTIONS.map((connections) => point(count(connections), { connections }));
    case 'size':
      return SIZES.map((sizeBytes) => point(nameOfSize(sizeBytes), loadOfSize(sizeBytes)));
    case 'volumes':
      return VOLUMES.map((volumes) => point(count(volumes), { volumes }));
    case 'coordinators':
      return COORDINATORS.map((coordinators) => point(count(coordinators), { coordinators }));
    case 'keys':
      return tensTo(keysMax).map((keys) => point(count(keys), { ...MANY, keys }));
  }
}

const loadOfSize = (sizeBytes: number): Partial<Load> => ({
  sizeBytes,
  connections: sizeBytes < LARGE.sizeBytes ? STANDARD.connections : LARGE.connections,
  keys: Math.min(STANDARD.keys, Math.floor(STORED_BYTES_MAX / sizeBytes)),
});

const nameOfSize = (sizeBytes: number): string =>
  formatBytes(sizeBytes) +
  (sizeBytes < LARGE.sizeBytes ? '' : `, ${LARGE.connections} connections`);

/** Powers of ten from the standard point's keys on. */
function tensTo(keysMax: number): readonly number[] {
  const tens: number[] = [];
  for (let keys = STANDARD.keys; keys <= keysMax; keys *= 10) tens.push(keys);
  return tens;
}

const titleOf = ({ axis, name }: GrowthPoint): string => `${axis} ${name}`;

function measure(
  point: GrowthPoint,
  { seconds, warmUpSeconds }: GrowthOptions,
  { basePort, parent, signal, say }: GrowthSite,
): Promise<GrownPoint> {
  const { coordinators, volumes, connections, sizeBytes, keys, methods } = point;
  const sizes = { coordinators, volumes, basePort, parent };
  return withFreshCluster(sizes, signal, async (processes) => {
    const urls = processes.filter(isCoordinator).map(({ http }) => http);
    const load = { connections, sizeBytes, keys, methods, seconds, warmUpSeconds };
    return grownOf(point, processes, await runClusterBench({ ...load, urls, processes }, say));
  });
}

const isCoordinator = ({ role }: Pick<LocalProcess, 'role'>): boolean => role === 'coordinator';

/** The figures of a point; the load generator is in none of them. */
export function grownOf(
  point: GrowthPoint,
  processes: readonly Pick<LocalProcess, 'name' | 'role'>[],
  { phases }: Pick<ClusterBenchResult, 'phases'>,
): GrownPoint {
  const volumes = processes.filter((each) => !isCoordinator(each));
  return {
    point,
    put: grownPhase('put', processes, phases),
    get: grownPhase('get', processes, phases),
    coordinatorBytes: largestBytes(processes.filter(isCoordinator), phases),
    volumeBytes: largestBytes(volumes, phases),
  };
}

type Named = readonly Pick<LocalProcess, 'name'>[];

function grownPhase(method: Method, processes: Named, phases: readonly PhaseResult[]): GrownPhase {
  const phase = phases.find((each) => each.method === method);
  if (phase === undefined) throw new Error(`no ${method} was measured`);
  const spentUs = costsOf(processes, phase).map(({ cpuUs }) => cpuUs);
  return { ...phase, storeCpuUs: known(spentUs)?.reduce((sum, us) => sum + us, 0) ?? null };
}

function largestBytes(processes: Named, phases: readonly PhaseResult[]): number | null {
  const bytes = known(
    phases.flatMap((phase) => costsOf(processes, phase).map(({ rssBytes }) => rssBytes)),
  );
  return bytes === null ? null : Math.max(...bytes);
}

const costsOf = (processes: Named, phase: PhaseResult): PhaseResult['processes'] =>
  phase.processes.filter((cost) => processes.some(({ name }) => name === cost.name));

/** null where there are none, and where one is unknown: the rest of them is no figure. */
function known(values: readonly (number | null)[]): readonly number[] | null {
  const there = values.filter((value) => value !== null);
  return there.length === 0 || there.length < values.length ? null : there;
}

/** What makes figures worthless; empty: nothing. */
export const growthFaults = ({ points }: GrowthResult): readonly string[] =>
  points.flatMap(({ point, put, get }) =>
    [put, get].flatMap(({ method, errors }) =>
      Object.entries(errors).map(
        ([why, times]) => `${titleOf(point)}, ${method.toUpperCase()}: ${times} x ${why}`,
      ),
    ),
  );

export function growthReport(options: GrowthOptions, result: GrowthResult): string {
  const { coordinators, volumes, connections, sizeBytes, keys } = STANDARD;
  const faults = growthFaults(result);
  const tables = AXES.map((axis) => result.points.filter(({ point }) => point.axis === axis));
  return [
    `${formatBytes(sizeBytes)} values, ${connections} connections over ${coordinators} coordinators, ` +
      `${volumes} volumes, GETs of ${count(keys)} keys, but for what grows; ` +
      `${options.seconds} s each after ${options.warmUpSeconds} s of warm-up`,
    machineLine(thisHost()),
    ...tables.flatMap((points) => (points.length === 0 ? [] : ['', tableOf(points)])),
    ...(faults.length === 0 ? [] : ['', ...faults]),
  ].join('\n');
}

const TITLES: Readonly<Record<Axis, string>> = {
  connections: 'connections',
  size: 'size',
  volumes: 'volumes',
  coordinators: 'coordinators',
  keys: `keys of ${formatBytes(MANY.sizeBytes)}`,
};

function tableOf(points: readonly GrownPoint[]): string {
  const axis = points.map(({ point }) => TITLES[point.axis])[0] ?? '';
  const titles = (method: string): readonly string[] => [
    `${method} a second`,
    'p50 ms',
    'p99 ms',
    `CPU us/${method}`,
  ];
  const sizes = ['MiB a coordinator', 'MiB a volume'];
  const rows = points.map(({ point, put, get, coordinatorBytes, volumeBytes }) => [
    point.name,
    ...cellsOf(put),
    ...cellsOf(get),
    figure(mib(coordinatorBytes), 0),
    figure(mib(volumeBytes), 0),
    count(errorCount(put) + errorCount(get)),
  ]);
  return columns([[axis, ...titles('PUT'), ...titles('GET'), ...sizes, 'errors'], ...rows]);
}

const cellsOf = ({ perSecond, p50Ms, p99Ms, storeCpuUs }: GrownPhase): readonly string[] => [
  count(perSecond),
  p50Ms.toFixed(1),
  p99Ms.toFixed(1),
  figure(storeCpuUs, 1),
];

const mib = (bytes: number | null): number | null => (bytes === null ? null : bytes / MIB);
