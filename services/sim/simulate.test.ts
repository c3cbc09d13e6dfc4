/**
 * A few runs of the simulator in every test run: seeds that cross many faults, the stories of bugs that it has
 * found, and the promise that a seed always goes the same way. `npm run sim` runs thousands.
 */
import { describe, expect, it } from '@jest/globals';
import { createCluster } from './cluster.ts';
import type { FaultAction } from './fault-types.ts';
import { planOf, type SimPlan } from './plan.ts';
import { type SimResult, simulate } from './simulate.ts';

const run = (plan: SimPlan): Promise<SimResult> =>
  simulate({ plan, only: null, say: null }, createCluster);

/** A small cluster at work, and these faults and no others. */
function story(
  more: Partial<SimPlan>,
  faults: readonly (FaultAction & { readonly atMs: number })[],
): SimPlan {
  const base = planOf(1, 'within');
  return {
    ...base,
    coordinators: 3,
    volumes: 3,
    coordinatorOptions: {
      ...base.coordinatorOptions,
      replicas: 3,
      minReplicas: 2,
      fenceMs: 1000,
      graceMs: 500,
    },
    volumeOptions: { ...base.volumeOptions, fsync: { kind: 'always' }, heartbeatMs: 300 },
    workload: { ...base.workload, clients: 3, operationsMax: 120, thinkMsMean: 20 },
    durationMs: 4000,
    ...more,
    faults: faults.map((fault, id) => ({ ...fault, id })),
  };
}

describe('a simulated cluster', () => {
  it('keeps its promises without a fault', async () => {
    const { troubles, acknowledged } = await run(story({}, []));
    expect(troubles).toEqual([]);
    expect(acknowledged).toBeGreaterThan(50);
  });

  it.each([3, 9])('keeps its promises through the faults of seed %i', async (seed) => {
    const { troubles, faults } = await run(planOf(seed, 'within'));
    expect(troubles).toEqual([]);
    expect(Object.keys(faults).length).toBeGreaterThan(2);
  });

  it('lets no other volume lose its bytes while keys still name the gone disk of the first', async () => {
    const { troubles, faults } = await run(planOf(1027, 'within'));
    expect(troubles).toEqual([]);
    expect(faults).toMatchObject({ wipe: expect.any(Number) });
  });

  it('leaves a volume its disk though the registration of the folder before it comes later', async () => {
    const plan = planOf(5511, 'within');
    const kept = [5, 6, 7, 15, 16, 17, 18, 19, 25, 26, 27, 28, 29, 38];
    const faults = plan.faults.filter(({ id }) => kept.includes(id));
    const { troubles, sometimes } = await run({ ...plan, faults });
    expect(troubles).toEqual([]);
    expect(sometimes['disk replaced']).toBeGreaterThan(2);
  });

  it('goes the same way twice, event by event', async () => {
    const plan = planOf(17, 'within');
    const [first, second] = [await run(plan), await run(plan)];
    expect(second.traceHash).toBe(first.traceHash);
    expect(second).toEqual(first);
  });

  it('takes writes again once the only disk, full for a while, has room', async () => {
    const one = {
      volumes: 1,
      coordinatorOptions: {
        ...planOf(1, 'within').coordinatorOptions,
        replicas: 1,
        minReplicas: 1,
        fenceMs: 1000,
        graceMs: 500,
      },
    };
    const full = {
      kind: 'full-disk',
      host: 'volume-0',
      freeBytes: 50_000_000,
      forMs: 2500,
    } as const;
    const { troubles } = await run(story(one, [{ ...full, atMs: 500 }]));
    expect(troubles).toEqual([]);
  });

  it('does not call a value lost whose only disk has once refused to read it', async () => {
    const one = {
      volumes: 1,
      coordinatorOptions: {
        ...planOf(1, 'within').coordinatorOptions,
        replicas: 1,
        minReplicas: 1,
        blobCacheBytes: 0,
        fenceMs: 1000,
        graceMs: 500,
      },
    };
    const faults = [800, 1400, 2000, 2600].map((atMs) => {
      return { kind: 'disk-error', host: 'volume-0', call: 'read', atMs } as const;
    });
    const { troubles } = await run(story(one, faults));
    expect(troubles).toEqual([]);
  });

  it('says so when the only copy of a value was lost, and never that there is no such key', async () => {
    const beyond = { ...planOf(1, 'beyond'), ...story({}, []), profile: 'beyond' as const };
    const hosts = ['volume-0', 'volume-1', 'volume-2'];
    const faults = hosts.map((host, id) => {
      return { kind: 'wipe' as const, host, downMs: 500, id, atMs: 2000 };
    });
    const { troubles, sometimes } = await run({ ...beyond, faults });
    expect(troubles).toEqual([]);
    expect(sometimes['disk replaced']).toBeGreaterThan(0);
  });
});
