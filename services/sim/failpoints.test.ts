/**
 * Goal: whoever dies at any failpoint of the store, by SIGKILL or with its machine's power, everything
 * that was acknowledged is there afterwards, and nothing that is not.
 * Method: a small load that is known to come to the point; whoever meets it first dies right there and is
 * started again a second later, while the load goes on. A point that is never met fails.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { hookFailpoints, STORE_FAILPOINTS, type StoreFailpoint } from '../common/failpoint.ts';
import { createCluster } from './cluster.ts';
import { Ledger } from './ledger.ts';
import { untilServing } from './serving.ts';
import { TOURS, type Tour } from './tours.ts';
import { Trap } from './trap.ts';

const DOWN_MS = 1000;
const NAMES = Object.keys(STORE_FAILPOINTS);

afterEach(() => hookFailpoints(null));

const rows = Object.entries(TOURS).flatMap(([name, tour]: [string, Tour]) =>
  tour.points.map((point) => ({ point, tour, name })),
);

test('each failpoint of the store has its load, and only one', () => {
  const points: string[] = rows.map(({ point }) => point);
  expect(points.sort()).toEqual([...NAMES].sort());
});

async function dieAt(
  point: StoreFailpoint,
  tour: Tour,
  how: 'SIGKILL' | 'power loss',
): Promise<void> {
  const cluster = await createCluster({ ...tour.options, seed: 3000 + NAMES.indexOf(point) });
  const ledger = new Ledger(cluster);
  const trap = new Trap(cluster, { point, isMeant: () => true }, (host) => {
    if (how === 'SIGKILL') host.kill();
    else host.cutPower();
    cluster.after(DOWN_MS, () => host.start());
  });
  for (const host of cluster.hosts) host.start();
  await tour.load(cluster, ledger);
  expect(trap.hasSprung).toBe(true);
  await cluster.run(DOWN_MS);
  await untilServing(cluster);
  await ledger.stands();
  await ledger.isTidy();
  expect(cluster.hosts.map(({ fatal }) => fatal)).toEqual(cluster.hosts.map(() => null));
}

describe.each(['SIGKILL', 'power loss'] as const)('%s at', (how) => {
  test.each(rows)('$point while $name', async ({ point, tour }) => {
    await dieAt(point, tour, how);
  });
});
