/**
 * Single ways through the model, step by step: the stories that a design review would ask for, and the
 * shortest ways to the bugs that the exploration has found. Every state on the way is checked, and comes
 * to rest.
 */
import { expect, test } from '@jest/globals';
import { txn } from '../../testing/metadata-world.ts';
import { play } from './explore.ts';
import { brokenIn } from './invariants.ts';
import { numberOf } from './names.ts';
import { leftOver } from './rest.ts';
import { RULES, type Rules } from './rules.ts';
import { DELETE, PUT, type Scenario, scenario } from './scenario.ts';
import { Model, type World } from './world.ts';

interface Told {
  readonly world: World;
  /** Copies that the record lists, as disk and number. */
  readonly copies: readonly (readonly [disk: number, copy: number])[];
}

/** Takes the steps; whatever breaks on the way is the story's failure. */
function tell(told: Scenario, steps: readonly string[], rules: Rules = RULES): Told {
  const model = new Model(told, rules);
  let world = model.start();
  for (const step of steps) {
    world = play(model, world, [step]);
    expect([step, brokenIn(model, world), leftOver(model, world)]).toEqual([step, null, null]);
  }
  const copies = world.log.view.copies.map(({ disk, copyId }) => [disk, numberOf(copyId)] as const);
  return { world, copies };
}

const ONE = { disks: 1, want: 1 } as const;
const staged = (number: number, disk: number, session = disk): string[] => [
  `end of c${number} at disk ${disk} arrives`,
  `the vote for c${number} from disk ${disk} in session ${session} arrives`,
];
const commit = (number: number, born: number, votes: string): string =>
  `the log takes Commit of put ${number}, born ${born}, voted by ${votes}`;
const outcomeOf = ({ log }: World, number: number, birth: number): string | undefined =>
  log.settled(txn(birth, number))?.kind;

test('a duplicate proposal over an intervening write changes nothing', () => {
  const first = commit(1, 1, 'disk 1 in session 1');
  const { copies, world } = tell(
    scenario('', { ...ONE, operations: [PUT, PUT], budgets: { duplicates: 1 } }),
    [
      'gateway 1 begins',
      'gateway 2 begins',
      ...staged(1, 1),
      ...staged(2, 1),
      first,
      commit(2, 1, 'disk 1 in session 1'),
      `${first} again`,
      'gateway 1 learns: applied',
    ],
  );
  expect(copies).toEqual([[1, 2]]);
  expect(world.log.view.garbage.map(({ copyId }) => numberOf(copyId))).toEqual([1]);
});

test('a duplicate proposal over an intervening delete brings nothing back', () => {
  const first = commit(1, 1, 'disk 1 in session 1');
  const { world } = tell(
    scenario('', { ...ONE, operations: [PUT, DELETE], budgets: { duplicates: 1 } }),
    [
      'gateway 1 begins',
      ...staged(1, 1),
      first,
      'gateway 2 begins',
      'the log takes Commit of delete 2, born 2',
      'gateway 2 learns: applied',
      `${first} again`,
    ],
  );
  expect(world.log.view.blobId).toBeNull();
});

test('a volume that restarts between its vote and apply is struck', () => {
  const steps = [
    'gateway 1 begins',
    ...staged(1, 1),
    ...staged(1, 2),
    'disk 1 restarts: power cut',
    'the log takes Register of volume-1, start n1.2, boots 2, unclean',
    commit(1, 2, 'disk 1 in session 1 and disk 2 in session 2'),
  ];
  const told = (need: number) =>
    scenario('', { need, fsync: 'interval', budgets: { restarts: 1 } });
  expect(tell(told(1), steps).copies).toEqual([[2, 1]]);
  const { world } = tell(told(2), [...steps, 'gateway 1 learns: no-replicas']);
  expect(world.log.view.blobId).toBeNull();
});

test('a drop that is delayed over a move away and back meets another copy', () => {
  const { copies, world } = tell(
    scenario('', { hasBase: true, want: 1, operations: [], budgets: { moves: 2, advances: 1 } }),
    [
      'repair wants c0 of disk 1 as m1 on disk 2',
      'the order to pull m1 at disk 2 arrives',
      'the log takes Move from c0 of disk 1 to m1 of disk 2',
      'the fence passes to 4',
      'the reaper drops c0 on disk 1',
      'repair wants m1 of disk 2 as m2 on disk 1',
      'the order to pull m2 at disk 1 arrives',
      'the log takes Move from m1 of disk 2 to m2 of disk 1',
      'drop of c0 at disk 1 arrives',
    ],
  );
  expect(copies).toEqual([[1, 33]]);
  expect(world.volumes[0]?.copies.map(({ number, live }) => [number, live])).toEqual([
    [9, 3],
    [33, 1],
  ]);
});

test('the fence passes while the proposal is on its way', () => {
  const { world } = tell(scenario('', { ...ONE, budgets: { advances: 1 } }), [
    'gateway 1 begins',
    ...staged(1, 1),
    'the fence passes to 2',
    'disk 1 asks about c1, a state at 2 answers DROP',
    commit(1, 1, 'disk 1 in session 1'),
    'gateway 1 learns: expired',
    'the answer DROP for c1 at disk 1 arrives',
  ]);
  expect(outcomeOf(world, 1, 1)).toBe('expired');
  expect(world.log.view.blobId).toBeNull();
});

const THREE = scenario('', {
  disks: 3,
  need: 2,
  want: 3,
  fsync: 'interval',
  budgets: { restarts: 3 },
});
const VOTED_BY_THREE = [
  'gateway 1 begins',
  ...[1, 2, 3].flatMap((disk) => staged(1, disk)),
  ...[1, 2, 3].map((disk) => `disk ${disk} restarts: power cut`),
];
const COMMITTED = commit(
  1,
  3,
  'disk 1 in session 1 and disk 2 in session 2 and disk 3 in session 3',
);
const registered = (disk: number): string =>
  `the log takes Register of volume-${disk}, start n${disk}.2, boots 2, unclean`;

test('three volumes lose their power between vote and apply, and are back first: not applied', () => {
  const { world } = tell(THREE, [
    ...VOTED_BY_THREE,
    registered(1),
    registered(2),
    COMMITTED,
    'gateway 1 learns: no-replicas',
  ]);
  expect(world.log.view.blobId).toBeNull();
});

test('three volumes lose their power between vote and apply, and are back later: the loss is found', () => {
  const { world } = tell(THREE, [
    ...VOTED_BY_THREE,
    COMMITTED,
    ...[1, 2, 3].flatMap((disk) => [
      registered(disk),
      `disk ${disk} learns that it is registered`,
      `disk ${disk} is reconciled by a state at ${3 + 2 * disk}`,
      `the log takes Suspect of c1 on disk ${disk}`,
    ]),
  ]);
  expect(world.log.view.suspects.map(({ disk }) => disk)).toEqual([1, 2, 3]);
});

test('an older image of a disk is looked through, and what it lacks is found', () => {
  const { world } = tell(scenario('', { ...ONE, budgets: { images: 1 } }), [
    'gateway 1 begins',
    'disk 1 is copied',
    ...staged(1, 1),
    commit(1, 1, 'disk 1 in session 1'),
    'disk 1 is replaced by its image',
    'the log takes Register of volume-1, start n1.2, boots 2, unclean',
    'disk 1 learns that it is registered',
    'disk 1 is reconciled by a state at 3',
    'the log takes Suspect of c1 on disk 1',
    'disk 1 is reconciled by a state at 3',
    'the log takes Reconciled of disk 1 in session 3',
  ]);
  expect(world.log.view.suspects).toHaveLength(1);
  expect(world.log.view.disks[0]?.reconciled).toBe(true);
});

test('an older image that was stopped before the cluster heard of it is still looked through', () => {
  const { world } = tell(scenario('', { ...ONE, budgets: { images: 1, restarts: 2 } }), [
    'gateway 1 begins',
    'disk 1 restarts: clean, copied meanwhile',
    'the log takes Register of volume-1, start n1.2, boots 2, clean',
    'disk 1 learns that it is registered',
    ...staged(1, 1, 2),
    commit(1, 1, 'disk 1 in session 2'),
    'disk 1 is replaced by its image',
    'disk 1 restarts: clean',
    'the log takes Register of volume-1, start n1.4, boots 3, unclean',
  ]);
  expect(world.log.view.disks[0]?.reconciled).toBe(false);
});

test('a late finalize does not keep what was dropped before the disk was put back', () => {
  tell(scenario('', { ...ONE, operations: [PUT, DELETE], budgets: { images: 1, advances: 1 } }), [
    'gateway 1 begins',
    'gateway 2 begins',
    ...staged(1, 1),
    'disk 1 is copied',
    commit(1, 1, 'disk 1 in session 1'),
    'the log takes Commit of delete 2, born 1',
    'the fence passes to 2',
    'the reaper drops c1 on disk 1',
    'drop of c1 at disk 1 arrives',
    'the log takes Reclaimed of c1 on disk 1',
    'disk 1 is replaced by its image',
    'the log takes Register of volume-1, start n1.2, boots 2, unclean',
    'disk 1 learns that it is registered',
    'gateway 1 learns: applied',
    'finalize of c1 at disk 1 arrives',
  ]);
});
