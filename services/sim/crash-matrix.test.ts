/**
 * Goal: the crash matrix of docs/testing.md, all cells of it. Whoever is hit at whatever step of a write, no key is
 * changed halfway, the client was told nothing that is not so, the others serve on, and once the fence has
 * passed nothing staged is left and every copy that a record names is there.
 * Method: a simulated cluster for each cell; a failpoint strikes exactly at the step, over an old value,
 * on a new key and with a value in chunks, at the first, second and third Finalize where there are three.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import { hookFailpoints } from '../common/failpoint.ts';
import { KIB } from '../common/units.ts';
import { type Cell, CrashCells, FAULTS, STEPS, VICTIMS } from './crash-cell.ts';
import { Ledger } from './ledger.ts';
import { servingCluster } from './serving.ts';

const FENCE = { fenceMs: 4000, graceMs: 5000, requestTimeoutMs: 4000 };
const CHUNKED = 'c'.repeat(700 * KIB);

const cells = VICTIMS.flatMap((victim) =>
  STEPS.flatMap((step) => FAULTS.map((fault): Cell => ({ victim, step, fault }))),
);
const named = cells.map((cell, i) => ({
  ...cell,
  name: `${cell.fault} of the ${cell.victim} ${cell.step.name}`,
  seed: 1000 + i,
}));

afterEach(() => hookFailpoints(null));

async function run(cell: Cell & { readonly seed: number }): Promise<void> {
  const { seed } = cell;
  const cluster = await servingCluster({
    seed,
    coordinators: 3,
    volumes: 3,
    coordinatorOptions: FENCE,
    volumeOptions: { fsync: { kind: 'always' } },
  });
  const ledger = new Ledger(cluster);
  const matrix = new CrashCells(cluster, ledger);
  const nth = (i: number): number => (cell.step.isEach === true ? i : 1);
  await matrix.run(cell, { before: 'old', wanted: 'new', nth: 1 });
  await matrix.run(cell, { before: null, wanted: 'first', nth: nth(2) });
  await matrix.run(cell, { before: 'small', wanted: CHUNKED, nth: nth(3) });
  await ledger.isTidy();
  await ledger.stands();
  expect(cluster.hosts.map(({ fatal }) => fatal)).toEqual(cluster.hosts.map(() => null));
}

const MATRIX = ['leader', 'gateway', 'volume'];

test('the matrix has 84 cells', () => {
  expect(cells.filter(({ victim }) => MATRIX.includes(victim))).toHaveLength(84);
});

describe.each(VICTIMS)('%s:', (victim) => {
  test.each(named.filter((cell) => cell.victim === victim))('$name', run);
});
