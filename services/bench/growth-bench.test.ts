/** Which points are measured as the work grows, and what is told of them. */
import { describe, expect, test } from '@jest/globals';
import { KIB, MIB } from '../common/units.ts';
import type { Method, PhaseResult } from './cluster-bench.ts';
import {
  AXES,
  type GrownPoint,
  type GrowthPoint,
  grownOf,
  growthFaults,
  growthPlan,
  growthReport,
} from './growth-bench.ts';

const KEYS_MAX = 1_000_000;
const standard = {
  ...{ coordinators: 3, volumes: 3, connections: 64, sizeBytes: KIB, keys: 10_000 },
  methods: ['put', 'get'],
};
const planOf = (only: GrowthPoint['axis'] | null, keysMax = KEYS_MAX): readonly GrowthPoint[] =>
  growthPlan({ only, keysMax });

describe('the plan', () => {
  test('takes the axes one after the other', () => {
    const axes = planOf(null).map(({ axis }) => axis);
    expect([...new Set(axes)]).toEqual(AXES);
    expect(axes).toHaveLength(7 + 8 + 4 + 3 + 3);
    expect(planOf(null)).toEqual(AXES.flatMap((axis) => planOf(axis)));
  });

  test.each([
    ['connections', [1, 4, 16, 64, 256, 1024, 4096]],
    ['volumes', [3, 5, 7, 9]],
    ['coordinators', [1, 3, 5]],
  ] as const)('lets %s grow alone', (axis, values) => {
    const points = planOf(axis);
    expect(points).toEqual(
      values.map((value) => ({
        ...{ ...standard, [axis]: value },
        ...{ axis, name: value.toLocaleString('en-US') },
      })),
    );
  });

  test('gives large values fewer connections, and fewer keys to read', () => {
    const points = planOf('size').map((each) => {
      const { name, sizeBytes, connections, keys } = each;
      return [name, sizeBytes, connections, keys];
    });
    expect(points).toEqual([
      ['100 B', 100, 64, 10_000],
      ['1.0 KiB', KIB, 64, 10_000],
      ['4.0 KiB', 4 * KIB, 64, 10_000],
      ['16.0 KiB', 16 * KIB, 64, 10_000],
      ['64.0 KiB, 16 connections', 64 * KIB, 16, 4096],
      ['256 KiB, 16 connections', 256 * KIB, 16, 1024],
      ['1.0 MiB, 16 connections', MIB, 16, 256],
      ['4.0 MiB, 16 connections', 4 * MIB, 16, 64],
    ]);
  });

  test('stores all keys before it measures either method', () => {
    const [first, ...others] = planOf('keys');
    expect(first).toEqual({
      ...{ ...standard, sizeBytes: 100, methods: ['get', 'put'] },
      ...{ axis: 'keys', name: '10,000' },
    });
    expect(others.map(({ keys }) => keys)).toEqual([100_000, 1_000_000]);
  });

  test.each([
    [10_000, [10_000]],
    [999_999, [10_000, 100_000]],
    [10_000_000, [10_000, 100_000, 1_000_000, 10_000_000]],
  ])('keys grow by powers of ten to at most %d', (keysMax, expected) => {
    expect(planOf('keys', keysMax).map(({ keys }) => keys)).toEqual(expected);
  });
});

const processes = [
  { name: 'c1', role: 'coordinator' },
  { name: 'c2', role: 'coordinator' },
  { name: 'v1', role: 'volume' },
] as const;

const phase = (method: Method, more: Partial<PhaseResult> = {}): PhaseResult => ({
  method,
  ...{ operations: 20_000, seconds: 5, perSecond: method === 'put' ? 4000 : 40_000 },
  ...{ p50Ms: 2, p99Ms: 30, maxMs: 99, errors: {} },
  ...{ volumeSyncs: 0.2, raftSyncs: 0.1, otherCores: 0 },
  processes: [
    { name: 'c1', cpuUs: 100, rssBytes: 500 * MIB },
    { name: 'c2', cpuUs: 80.5, rssBytes: (method === 'put' ? 510 : 520) * MIB },
    { name: 'v1', cpuUs: 40, rssBytes: 170 * MIB },
    { name: 'load generator', cpuUs: 16, rssBytes: 900 * MIB },
  ],
  ...more,
});

const grown = (point: GrowthPoint | undefined, put: Partial<PhaseResult> = {}): GrownPoint => {
  if (point === undefined) throw new Error('the plan is empty');
  return grownOf(point, processes, { phases: [phase('get'), phase('put', put)] });
};

describe('the figures of a point', () => {
  const [point] = planOf('volumes');

  test('hold the cluster without the load generator, whichever method came first', () => {
    const { put, get, coordinatorBytes, volumeBytes } = grown(point);
    expect([put.method, get.method]).toEqual(['put', 'get']);
    expect([put.storeCpuUs, get.storeCpuUs]).toEqual([220.5, 220.5]);
    expect([coordinatorBytes, volumeBytes]).toEqual([520 * MIB, 170 * MIB]);
  });

  test('are unknown where one process has none', () => {
    const costs = phase('put').processes.map((cost) =>
      cost.name === 'c1' ? { ...cost, cpuUs: null, rssBytes: null } : cost,
    );
    const { put, coordinatorBytes, volumeBytes } = grown(point, { processes: costs });
    expect([put.storeCpuUs, coordinatorBytes, volumeBytes]).toEqual([null, null, 170 * MIB]);
  });

  test('are none where a method is missing', () => {
    expect(() => grownOf(planOf('keys')[0]!, processes, { phases: [phase('get')] })).toThrow(
      'no put was measured',
    );
  });
});

describe('the report', () => {
  const settings = { only: null, seconds: 5, warmUpSeconds: 10, keysMax: KEYS_MAX };
  const cellsOf = (line: string | undefined): readonly string[] => line?.split(/\s{2,}/) ?? [];

  test('has one table an axis and one row a point', () => {
    const points = [...planOf('volumes'), ...planOf('keys')].map((point) => grown(point));
    const [head, _machine, ...tables] = growthReport(settings, { points }).split('\n');
    expect(head).toBe(
      '1.0 KiB values, 64 connections over 3 coordinators, 3 volumes, GETs of 10,000 keys, ' +
        'but for what grows; 5 s each after 10 s of warm-up',
    );
    expect(tables.map((line) => cellsOf(line)[0])).toEqual([
      ...['', 'volumes', '3', '5', '7', '9'],
      ...['', 'keys of 100 B', '10,000', '100,000', '1,000,000'],
    ]);
    expect(cellsOf(tables[1])).toEqual([
      'volumes',
      ...['PUT a second', 'p50 ms', 'p99 ms', 'CPU us/PUT'],
      ...['GET a second', 'p50 ms', 'p99 ms', 'CPU us/GET'],
      ...['MiB a coordinator', 'MiB a volume', 'errors'],
    ]);
    expect(cellsOf(tables[2])).toEqual([
      '3',
      ...['4,000', '2.0', '30.0', '220.5'],
      ...['40,000', '2.0', '30.0', '220.5'],
      ...['520', '170', '0'],
    ]);
  });

  test('counts the errors of a point and says what they were', () => {
    const sound = planOf('connections').map((point) => grown(point));
    expect(growthFaults({ points: sound })).toEqual([]);
    const errors = { '503 NO_LEADER': 2, 'the connection was closed': 1 };
    const crowded = grown(planOf('connections').at(-1), { errors, processes: [] });
    const faults = [
      'connections 4,096, PUT: 2 x 503 NO_LEADER',
      'connections 4,096, PUT: 1 x the connection was closed',
    ];
    expect(growthFaults({ points: [...sound, crowded] })).toEqual(faults);
    const lines = growthReport(settings, { points: [crowded] }).split('\n');
    expect(lines.slice(-3)).toEqual(['', ...faults]);
    const row = cellsOf(lines.find((line) => line.startsWith('4,096')));
    expect([row[4], row.at(-1)]).toEqual(['-', '3']);
  });
});
