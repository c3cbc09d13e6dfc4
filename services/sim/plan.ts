/**
 * Everything that a seed decides before its run begins: the cluster, its settings, the clients' habits and
 * the faults. Plain data, so a run is the plan and nothing else.
 */
import { KIB, MIB } from '../common/units.ts';
import type { CoordinatorOptions, VolumeOptions } from '../config/options.ts';
import { Draw } from './draw.ts';
import { drawFaults } from './fault-plan.ts';
import type { Fault } from './fault-types.ts';

/** `within`: any loss is a bug. `beyond`: more breaks than was promised to be survived. */
export type Profile = 'within' | 'beyond';

/** Relative frequencies of what clients do. */
export interface Mix {
  readonly put: number;
  readonly get: number;
  readonly head: number;
  readonly delete: number;
  readonly conditionalPut: number;
  readonly conditionalDelete: number;
  readonly transaction: number;
  readonly list: number;
  readonly range: number;
}

export interface WorkloadPlan {
  readonly clients: number;
  /** Keys that everybody wants. */
  readonly hotKeys: number;
  /** Keys that are seldom met twice. */
  readonly coldKeys: number;
  /** Share of operations on hot keys. */
  readonly heat: number;
  readonly mix: Mix;
  readonly thinkMsMean: number;
  readonly timeoutMs: number;
  readonly valueBytesMax: number;
  /** Share of writes that carry an idempotency key and are repeated when they were not answered. */
  readonly idempotent: number;
  /** Share of uploads whose client is gone before the end. */
  readonly vanishing: number;
  readonly operationsMax: number;
}

export interface SimPlan {
  readonly seed: number;
  readonly profile: Profile;
  readonly coordinators: number;
  readonly volumes: number;
  readonly coordinatorOptions: Partial<CoordinatorOptions>;
  readonly volumeOptions: Partial<VolumeOptions>;
  /** Entries that stay in the log behind the flushed state. */
  readonly slackEntries: number;
  readonly workload: WorkloadPlan;
  /** Virtual time with faults; then everything is healed. */
  readonly durationMs: number;
  /** Dear invariants are looked at once in so many events. */
  readonly checkEvery: number;
  readonly faults: readonly Fault[];
}

/** What clients have to begin with: faults start after it. */
const QUIET_MS = 300;

export function planOf(seed: number, profile: Profile): SimPlan {
  const draw = Draw.of(seed, 'cluster');
  const coordinators = draw.pick([1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 7]);
  const volumes = draw.pick([1, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 9]);
  const durationMs = draw.pick([1500, 2500, 3000, 4000, 6000, 12_000]);
  return {
    seed,
    profile,
    coordinators,
    volumes,
    coordinatorOptions: {
      ...drawCoordinatorOptions(draw, volumes),
      inlineMaxBytes: Draw.of(seed, `inline-${profile}`).pick([0, 40, 16 * KIB]),
    },
    volumeOptions: drawVolumeOptions(draw, profile),
    slackEntries: draw.pick([0, 3, 20, 100, 10_000]),
    workload: drawWorkload(Draw.of(seed, 'workload-plan')),
    durationMs,
    checkEvery: draw.pick([20, 50, 100]),
    faults: drawFaults(Draw.of(seed, `faults-${profile}`), {
      coordinators: names('coord', coordinators),
      volumes: names('volume', volumes),
      fromMs: QUIET_MS,
      toMs: Math.max(QUIET_MS + 1, durationMs - 500),
    }),
  };
}

function drawCoordinatorOptions(draw: Draw, volumes: number): Partial<CoordinatorOptions> {
  const heartbeatMs = draw.pick([20, 50, 100]);
  return {
    replicas: Math.min(3, volumes),
    minReplicas: Math.min(2, volumes),
    blobCacheBytes: draw.pick([0, 0, 64 * KIB, 16 * MIB]),
    fenceMs: draw.pick([1000, 1500, 4000]),
    graceMs: draw.pick([500, 1500, 4000]),
    outcomesMax: draw.pick([20, 200, 100_000]),
    leaveWaitMs: draw.pick([0, 3000, 600_000]),
    heartbeatMs,
    electionMs: heartbeatMs * draw.pick([5, 10]),
  };
}

function drawVolumeOptions(draw: Draw, profile: Profile): Partial<VolumeOptions> {
  const always = { kind: 'always' } as const;
  const interval = { kind: 'interval', intervalMs: draw.pick([10, 100, 1000]) } as const;
  const never = { kind: 'never' } as const;
  const policies = profile === 'within' ? [always, always, interval, never] : [always, never];
  return {
    fsync: draw.pick(policies),
    segmentBytes: draw.pick([16 * KIB, 64 * KIB, 256 * KIB, 4 * MIB]),
    compactionBytesPerSecond: draw.pick([0, 0, 200 * KIB]),
    scrubBytesPerSecond: draw.pick([0, 100 * KIB]),
    heartbeatMs: draw.pick([100, 300, 1000]),
  };
}

function drawWorkload(draw: Draw): WorkloadPlan {
  const often = (): number => draw.between(1, 10);
  const seldom = (): number => draw.pick([0, 1, 2, 4]);
  return {
    clients: draw.between(2, 8),
    hotKeys: draw.between(1, 4),
    coldKeys: draw.pick([0, 5, 20, 60]),
    heat: draw.pick([0.3, 0.7, 0.95]),
    mix: {
      put: often(),
      get: often(),
      head: seldom(),
      delete: seldom(),
      conditionalPut: seldom(),
      conditionalDelete: seldom(),
      transaction: seldom(),
      list: draw.pick([0, 1]),
      range: seldom(),
    },
    thinkMsMean: draw.pick([5, 20, 60, 200]),
    timeoutMs: draw.pick([800, 2000, 5000]),
    valueBytesMax: draw.pick([300, 3000, 40_000, 400_000, 900_000]),
    idempotent: draw.pick([0, 0.2, 0.6]),
    vanishing: draw.pick([0, 0.02, 0.1]),
    operationsMax: draw.pick([60, 150, 400]),
  };
}

const names = (role: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `${role}-${n}`);
