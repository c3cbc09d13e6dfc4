/** The leader's jobs, which any coordinator may do: drop garbage, move copies, reconcile disks. */
import { blobId, copyId, diskId, session } from '../../common/ids.ts';
import type { Command } from '../../metadata/commands.ts';
import type { Move } from './gateway.ts';
import { copyAt, lists, type View } from './log.ts';
import { copyName, KEY, MOVE, numberOf } from './names.ts';
import { isThere, stateOf } from './volume.ts';
import { type Model, type Pull, volumeOf, type World } from './world.ts';

export const jobMoves = (model: Model, world: World): readonly Move[] => [
  ...reaps(model, world),
  ...pulls(model, world),
  ...world.volumes.flatMap((_, i) => reconciles(model, world, i + 1)),
];

function reaps(model: Model, world: World): readonly Move[] {
  return garbageDrops(world).flatMap((message): Move[] => {
    const next = model.send(world, message);
    const label = () => `the reaper drops ${copyName(message.copy)} on disk ${message.disk}`;
    return next === world ? [] : [{ label, world: next }];
  });
}

export function garbageDrops({ log }: World) {
  const { garbage, marks } = log.view;
  return garbage
    .filter(({ queuedAt }) => queuedAt < marks.reclaim)
    .map(({ disk, queuedAt, copyId: id }) => ({
      kind: 'drop' as const,
      disk,
      copy: numberOf(id),
      queuedAt,
    }));
}

/** A repair, drain or rebalance begins: a disk is told to make a copy under a fresh id. */
function pulls(model: Model, world: World): readonly Move[] {
  const { view } = world.log;
  if (world.moves >= model.scenario.budgets.moves || view.blobId === null) return [];
  const { blobId: value } = view;
  const wanted = world.volumes.flatMap((_, i) => {
    const froms = view.copies.filter(
      (from) => from.disk === i + 1 || !view.copies.some(({ disk }) => disk === i + 1),
    );
    const isThin = view.copies.length < model.scenario.want;
    const isTaken = view.copies.some(({ disk }) => disk === i + 1);
    return [...(isThin && !isTaken ? [null] : []), ...froms].map((from) => ({ disk: i + 1, from }));
  });
  return wanted.map(({ disk, from }) => {
    const pull: Pull = {
      kind: 'pull',
      disk,
      copy: MOVE + world.moves,
      birth: world.log.index,
      blobId: value,
      from,
      sources: view.copies.map((at) => ({ disk: at.disk, copy: numberOf(at.copyId) })),
    };
    const name =
      from === null ? 'a missing copy' : `${copyName(numberOf(from.copyId))} of disk ${from.disk}`;
    const label = () => `repair wants ${name} as ${copyName(pull.copy)} on disk ${disk}`;
    return { label, world: model.send({ ...world, moves: world.moves + 1 }, pull) };
  });
}

/** A leader, in any state that holds the session, asks a disk for all that records name on it. */
function reconciles(model: Model, world: World, disk: number): readonly Move[] {
  const { session: current } = volumeOf(world, disk);
  if (current === 0) return [];
  const moves: Move[] = [];
  const seen = new Set<World>([world]);
  for (let index = current; index <= world.log.index; index += 1) {
    const { view } = world.log.at(index);
    const next = reconciled(model, world, { disk, view });
    const isNews = !moves.some((move) => model.key(move.world) === model.key(next));
    if (seen.has(next) || !isNews) continue;
    moves.push({ label: () => `disk ${disk} is reconciled by a state at ${index}`, world: next });
  }
  return moves;
}

interface Walk {
  readonly disk: number;
  readonly view: View;
}

/** What is missing becomes suspect; where that has been seen of all of it, the disk is done. */
export function reconciled(model: Model, world: World, { disk, view }: Walk): World {
  const volume = volumeOf(world, disk);
  const known = view.disks.find((at) => at.disk === disk);
  if (known?.session !== volume.session || known.reconciled || view.blobId === null) {
    const isDue = known?.session === volume.session && !known.reconciled;
    return isDue ? model.propose(world, reconciledOf(disk, volume.session)) : world;
  }
  const missing = view.copies.filter(
    (copy) => copy.disk === disk && !isThere(stateOf(volume, numberOf(copy.copyId))),
  );
  const { view: now } = world.log;
  const unseen = missing.filter((copy) => lists(now.copies, copy) && !lists(now.suspects, copy));
  if (unseen.length === 0) return model.propose(world, reconciledOf(disk, volume.session));
  return unseen.reduce(
    (after, copy) => model.propose(after, suspectOf(disk, view.blobId ?? '', copy.copyId)),
    world,
  );
}

const reconciledOf = (disk: number, current: number): Command => ({
  kind: 'reconciled',
  disk: diskId(disk),
  session: session(current),
});

export const suspectOf = (disk: number, blob: string, copy: string): Command => ({
  kind: 'suspect',
  key: KEY,
  blobId: blobId(blob),
  disk: diskId(disk),
  copyId: copyId(copy),
});

export const isListed = (view: View, disk: number, number: number): boolean =>
  lists(view.copies, copyAt(diskId(disk), number));
