/**
 * Whether a state comes to rest: the gateways fall silent, every message arrives, disks register, the
 * fence passes, volumes ask and are answered, garbage is dropped. Then no disk holds what no record
 * lists. Only what must happen in the end happens here; what was merely proposed is lost.
 */

import { OPEN, STAGED } from '../../storage/copy-state.ts';
import { advanceTo, deliver } from './cluster.ts';
import { garbageDrops, isListed } from './jobs.ts';
import { copyName, numberOf } from './names.ts';
import { dropOpen, isThere, stateOf } from './volume.ts';
import { answersTo, raised, registered } from './volume-moves.ts';
import { type Model, volumeOf, type World, withVolume } from './world.ts';

const ROUNDS_MAX = 4;

/** What is left over in the end; null: nothing. */
export function leftOver(model: Model, world: World): string | null {
  let at: World = world;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    at = oneRound(model, at);
    if (remainder(at) === null) return null;
  }
  return remainder(at);
}

function oneRound(model: Model, world: World): World {
  let at = allRegistered(model, world);
  at = allDelivered(model, at);
  for (let disk = 1; disk <= at.volumes.length; disk += 1) {
    for (const { number } of volumeOf(at, disk).copies) {
      at = withVolume(at, disk, dropOpen(volumeOf(at, disk), number));
    }
  }
  at = { ...at, log: at.log.append(model.theCommand(advanceTo(at.log, at.log.index + 1))) };
  at = allAnswered(model, at);
  for (const drop of garbageDrops(at)) at = deliver(model, at, drop);
  return garbageReclaimed(model, at);
}

function allRegistered(model: Model, world: World): World {
  let at = world;
  for (let disk = 1; disk <= at.volumes.length; disk += 1) {
    at = raised(model, at, disk);
    const volume = volumeOf(at, disk);
    if (volume.session !== 0) continue;
    at = { ...at, log: at.log.append(model.theCommand(model.register(disk, volume))) };
    at = registered(model, at, disk);
  }
  return at;
}

/** To volumes; gateways hear nothing any more. */
function allDelivered(model: Model, world: World): World {
  let at = world;
  for (const number of world.messages) {
    const message = model.message(number);
    const isForGateway =
      message.kind === 'sent' || message.kind === 'vote' || message.kind === 'failed';
    if (!isForGateway) at = deliver(model, at, message);
  }
  return { ...at, messages: [] };
}

function allAnswered(model: Model, world: World): World {
  let at = world;
  for (let disk = 1; disk <= at.volumes.length; disk += 1) {
    const { start, copies } = volumeOf(at, disk);
    for (const held of copies) {
      if (held.live !== STAGED && !held.isDue) continue;
      const [answer] = [...answersTo(model, at, { disk, held })].at(-1) ?? [null];
      if (answer === null) continue;
      at = deliver(model, at, { kind: answer, disk, copy: held.number, start });
    }
  }
  return at;
}

function garbageReclaimed(model: Model, world: World): World {
  const rows = world.log.view.garbage.filter(
    ({ disk, copyId }) => !isThere(stateOf(volumeOf(world, disk), numberOf(copyId))),
  );
  if (rows.length === 0) return world;
  return { ...world, log: world.log.append(model.theCommand({ kind: 'reclaimed', rows })) };
}

function remainder(world: World): string | null {
  for (const [i, volume] of world.volumes.entries()) {
    const disk = i + 1;
    for (const { number, live } of volume.copies) {
      const name = `${copyName(number)} on disk ${disk}`;
      if (live === OPEN) return `${name} stays open for ever`;
      if (live === STAGED) return `${name} stays staged for ever`;
      if (isThere(live) && !isListed(world.log.view, disk, number)) {
        return `${name} stays for ever, though no record lists it`;
      }
    }
  }
  const [row] = world.log.view.garbage;
  return row === undefined
    ? null
    : `${copyName(numberOf(row.copyId))} on disk ${row.disk} stays garbage`;
}
