/**
 * Goal and method as in e2e/faults/crash-matrix.test.ts, and more of it: large values that are streamed, a
 * leader that dies under another gateway's write, and every single Finalize.
 */
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { Cluster, ON_VOLUMES } from '../harness/cluster.ts';
import {
  type Cell,
  CrashMatrix,
  SECOND_LOG,
  STEPS,
  VARIANTS,
  VICTIMS,
} from '../harness/crash-matrix.ts';
import { CrashPlanner } from '../harness/crash-plan.ts';
import { calm, nothingIsLeft } from '../harness/health.ts';

const SETTINGS = { MINIKV_REQUEST_TIMEOUT: '4s', MINIKV_FENCE: '4s', MINIKV_GRACE: '5s' };
const CELL_TIMEOUT_MS = 60_000;
const COPIES = 3;

/** Every step in every variant; the last ones once for each volume. */
const cellsOf = (victim: Cell['victim']): readonly Cell[] => {
  const steps = victim === 'leader' ? [...STEPS, SECOND_LOG] : STEPS;
  return steps.flatMap((step) => {
    const times = step.point.startsWith('gateway.final') ? COPIES : 1;
    return VARIANTS.flatMap((variant) =>
      Array.from({ length: times }, (_, i) => ({ victim, step, variant, nth: i + 1 })),
    );
  });
};

const planner = new CrashPlanner();
let cluster: Cluster;
let matrix: CrashMatrix;

beforeAll(async () => {
  cluster = await Cluster.start([], { ...SETTINGS, ...ON_VOLUMES, ...planner.variables });
  matrix = new CrashMatrix(cluster, planner);
  const overOld = VICTIMS.flatMap(cellsOf).filter(({ variant }) => variant !== 'creates');
  await matrix.prepare(overOld.length);
}, 90_000);

afterAll(async () => {
  await cluster.stop();
  planner.remove();
}, 90_000);

describe.each(VICTIMS)('the %s dies', (victim) => {
  test.each(cellsOf(victim).map((cell) => [cell.step.name, cell.variant, cell.nth, cell] as const))(
    '%s, while the write %s (%i)',
    async (_step, _variant, _nth, cell) => matrix.run(cell),
    CELL_TIMEOUT_MS,
  );
});

test('once the fence has passed no staged bytes are left, and every write is decided', async () => {
  await calm(cluster);
  await nothingIsLeft(cluster, 60_000);
  await matrix.everythingStands();
}, 180_000);
