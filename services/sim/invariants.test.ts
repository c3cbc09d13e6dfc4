/** That the invariants see what is there: neither more than a cluster has done, nor less. */
import { describe, expect, it } from '@jest/globals';
import { present } from '../common/assert.ts';
import { SECOND_MS } from '../common/units.ts';
import { BrokenInvariant, Invariants } from './invariants.ts';
import { leaderOf, SimClient, servingCluster } from './serving.ts';
import type { SimCluster, SimHost } from './types.ts';

/** Looks only when it is told to, so that a test knows what was seen. */
function invariantsOf(cluster: SimCluster): Invariants {
  const ignore = (): void => undefined;
  const invariants = new Invariants(cluster, {
    memberOpened: ignore,
    leadership: ignore,
    firstApplied: ignore,
    recovering: ignore,
  });
  invariants.check();
  invariants.look();
  return invariants;
}

const durableOn = (host: SimHost): number => host.coordinator?.member?.consensus.durableIndex ?? 0;

/** Ends the process of `host` once its log holds more than now and it has said so. */
function killOnceDurable(cluster: SimCluster, host: SimHost): void {
  const before = durableOn(host);
  let isDue = true;
  cluster.onEvent(() => {
    if (!isDue || durableOn(host) === before) return;
    isDue = false;
    cluster.after(0, () => host.kill());
  });
}

describe('an acknowledged entry', () => {
  it('is durable on a coordinator that died right after it said so', async () => {
    const cluster = await servingCluster({ seed: 1, coordinators: 3, volumes: 1 });
    const leader = present(leaderOf(cluster), 'somebody leads');
    const client = new SimClient(cluster, leader);
    await client.put('key', 'value');
    await cluster.run(SECOND_MS);
    const follower = present(
      cluster.coordinators.find((host) => host !== leader),
      'others follow',
    );
    const invariants = invariantsOf(cluster);
    killOnceDurable(cluster, follower);
    // The own sync does not end: the two followers are the majority.
    leader.disk.latency = { ...leader.disk.latency, syncMs: 1000 * SECOND_MS };

    const { index } = await client.delete('key');
    expect([follower.isUp, durableOn(leader) < index]).toEqual([false, true]);
    invariants.acknowledged(index);
    expect(() => invariants.check()).not.toThrow();
  });

  it('breaks an invariant while only a minority has it durable', async () => {
    const cluster = await servingCluster({ seed: 1, coordinators: 3, volumes: 1 });
    const leader = present(leaderOf(cluster), 'somebody leads');
    await cluster.run(SECOND_MS);
    const invariants = invariantsOf(cluster);
    const before = durableOn(leader);
    invariants.acknowledged(before);
    expect(() => invariants.check()).not.toThrow();
    for (const { disk } of cluster.coordinators.filter((host) => host !== leader)) {
      disk.latency = { ...disk.latency, syncMs: 1000 * SECOND_MS };
    }

    new SimClient(cluster, leader).beginPut('key', 'value').catch(() => undefined);
    const isHeld = await cluster.runUntil(() => durableOn(leader) > before, SECOND_MS);
    expect(isHeld).toBe(true);
    invariants.acknowledged(before + 1);
    expect(() => invariants.check()).toThrow(BrokenInvariant);
  });
});
