/** What a volume may do of itself: learn its session, ask, sync, forget what is open, and restart. */
import { diskId } from '../../common/ids.ts';
import { OPEN } from '../../storage/copy-state.ts';
import type { Move } from './gateway.ts';
import { copyAt } from './log.ts';
import { copyName } from './names.ts';
import type { Budgets } from './scenario.ts';
import {
  dropOpen,
  type HeldCopy,
  hasUnsynced,
  imageOf,
  imageOfStopped,
  isThere,
  type RestartKind,
  raiseBoots,
  restart,
  syncAll,
  walkAll,
} from './volume.ts';
import { type Model, spend, volumeOf, type World, withVolume } from './world.ts';

export function volumeMoves(model: Model, world: World, disk: number): readonly Move[] {
  const volume = volumeOf(world, disk);
  const moves: Move[] = [];
  const add = (label: string, next: World): void => {
    if (next !== world) moves.push({ label: () => `disk ${disk} ${label}`, world: next });
  };
  add('learns that it is registered', registered(model, world, disk));
  add('learns that it is an older image', raised(model, world, disk));
  for (const held of volume.copies) {
    if (held.live === OPEN) {
      add(
        `drops ${copyName(held.number)}, still open`,
        withVolume(world, disk, dropOpen(volume, held.number)),
      );
    } else if (isThere(held.live)) {
      moves.push(...asks(model, world, { disk, held }));
    }
  }
  if (model.scenario.fsync === 'interval' && hasUnsynced(volume)) {
    add('syncs', withVolume(world, disk, syncAll(volume)));
  }
  if (world.left.restarts > 0) {
    for (const kind of model.scenario.restartKinds)
      add(`restarts: ${kind}`, restarted(model, world, { disk, kind }));
  }
  if (world.left.images > 0 && volume.image === null && world.left.restarts > 0) {
    const copied = { ...volume, image: imageOfStopped(volume, model.rules) };
    const stopped = withVolume(world, disk, copied);
    add('restarts: clean, copied meanwhile', restarted(model, stopped, { disk, kind: 'clean' }));
  }
  if (world.left.images > 0) {
    if (volume.image === null) {
      add('is copied', withVolume(world, disk, { ...volume, image: imageOf(volume) }));
    } else {
      add('is replaced by its image', restarted(model, world, { disk, kind: 'older image' }));
    }
  }
  return moves;
}

/** A coordinator answers the Register from its applied state. */
export function registered(model: Model, world: World, disk: number): World {
  const volume = volumeOf(world, disk);
  if (volume.session !== 0) return world;
  const known = world.log.view.disks.find((at) => at.disk === disk);
  if (known?.nonce !== `n${disk}.${volume.start}`) return world;
  const next = { ...volume, session: known.session };
  return withVolume(world, disk, known.reconciled ? next : walkAll(next, model.rules));
}

/** Its Register was refused: the cluster knows of a later start. */
export function raised(model: Model, world: World, disk: number): World {
  const volume = volumeOf(world, disk);
  const known = world.log.view.disks.find((at) => at.disk === disk);
  const isRefused =
    volume.session === 0 &&
    known !== undefined &&
    known.nonce !== `n${disk}.${volume.start}` &&
    known.boots >= volume.boots;
  if (!isRefused) return world;
  const next = raiseBoots(volume, known.boots);
  return model.propose(withVolume(world, disk, next), model.register(disk, next));
}

interface Restarting {
  readonly disk: number;
  readonly kind: RestartKind;
}

export function restarted(model: Model, world: World, { disk, kind }: Restarting): World {
  const next = restart(volumeOf(world, disk), kind, model.rules);
  const what: keyof Budgets = kind === 'older image' ? 'images' : 'restarts';
  const left = spend(world.left, what);
  return model.propose(withVolume({ ...world, left }, disk, next), model.register(disk, next));
}

interface Asking {
  readonly disk: number;
  readonly held: HeldCopy;
}

/** Any coordinator may answer, however far behind it is. */
function asks(model: Model, world: World, asking: Asking): readonly Move[] {
  const answers = answersTo(model, world, asking);
  const { disk, held } = asking;
  const { start } = volumeOf(world, disk);
  return [...answers].flatMap(([kind, index]): Move[] => {
    const next = model.send(world, { kind, disk, copy: held.number, start });
    const name = copyName(held.number);
    const label = () => `disk ${disk} asks about ${name}, a state at ${index} answers ${kind}`;
    return next === world ? [] : [{ label, world: next }];
  });
}

/** The answers that matter, each with the index of the oldest state that gives it. */
export function answersTo(
  model: Model,
  world: World,
  { disk, held }: Asking,
): ReadonlyMap<'KEEP' | 'DROP', number> {
  const { session } = volumeOf(world, disk);
  const answers = new Map<'KEEP' | 'DROP', number>();
  if (session === 0) return answers;
  const from = model.rules.answersHoldSession ? session : 1;
  for (let index = from; index <= world.log.index; index += 1) {
    const { number, birth } = held;
    const answer = world.log.at(index).ask(copyAt(diskId(disk), number), number, birth);
    if (answer !== 'LATER' && !answers.has(answer)) answers.set(answer, index);
  }
  return answers;
}
