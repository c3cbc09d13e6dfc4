/**
 * Goal: whoever dies by SIGKILL between any two steps of a write, no key is changed halfway, the client
 * was told nothing that is not so, and once the fence has passed nothing staged is left.
 * Method: one cluster with a short fence; in each cell a failpoint kills the victim exactly at its step,
 * in turn over an old value and on a new key (e2e/soak has every cell with both, and with streamed
 * values); at the end the volumes hold what records name.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, ON_VOLUMES } from '../harness/cluster.ts';
import { CrashMatrix, SECOND_LOG, STEPS } from '../harness/crash-matrix.ts';
import { CrashPlanner } from '../harness/crash-plan.ts';
import { calm, holdings, nothingIsLeft, rebuilt } from '../harness/health.ts';

/** Short, so that the test can see the fence pass; a user's is a minute. */
const SETTINGS = { MINIKV_REQUEST_TIMEOUT: '4s', MINIKV_FENCE: '4s', MINIKV_GRACE: '5s' };
const FENCE_TIMEOUT_MS = 40_000;
const CELL_TIMEOUT_MS = 60_000;
const COLUMNS = ['leader', 'gateway', 'volume'] as const;

const planner = new CrashPlanner();
let cluster: Cluster;
let matrix: CrashMatrix;

beforeAll(async () => {
  cluster = await Cluster.start([], { ...SETTINGS, ...ON_VOLUMES, ...planner.variables });
  matrix = new CrashMatrix(cluster, planner);
  await matrix.prepare(COLUMNS.length * STEPS.length + 1);
}, 90_000);

afterAll(async () => {
  await cluster.stop();
  planner.remove();
}, 90_000);

describe.each(COLUMNS)('the %s dies', (victim) => {
  test.each(STEPS)(
    '$name',
    async (step) => {
      const isOdd = (STEPS.indexOf(step) + COLUMNS.indexOf(victim)) % 2 === 1;
      await matrix.run({ victim, step, variant: isOdd ? 'creates' : 'replaces', nth: 1 });
    },
    CELL_TIMEOUT_MS,
  );
});

test(
  'the leader dies after propose, when the entry is in a second log',
  async () => {
    await matrix.run({ victim: 'leader', step: SECOND_LOG, variant: 'replaces', nth: 1 });
  },
  CELL_TIMEOUT_MS,
);

test('once the fence has passed no staged bytes are left, and every write is decided', async () => {
  await calm(cluster);
  await nothingIsLeft(cluster, FENCE_TIMEOUT_MS);
  await matrix.everythingStands();
  expect(await rebuilt(cluster)).toEqual([]);
}, 120_000);

test('in a cluster without any other work the fence passes just because volumes ask', async () => {
  const [, , voted] = STEPS;
  if (voted === undefined) throw new Error('no such step');
  await nothingIsLeft(cluster, FENCE_TIMEOUT_MS);
  await matrix.runAlone({ victim: 'gateway', step: voted, variant: 'creates', nth: 1 });
  const staged = (await holdings(cluster)).map((held) => held.staged > 0);
  expect(staged).toEqual([true, true, true]);
  await nothingIsLeft(cluster, FENCE_TIMEOUT_MS);
  await matrix.everythingStands();
}, 120_000);
