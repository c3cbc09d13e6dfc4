/** What must hold in every state. Each answers why it does not, in words; null: it holds. */
import { diskId } from '../../common/ids.ts';
import { DROPPED } from '../../storage/copy-state.ts';
import { txn } from '../../testing/metadata-world.ts';
import { copyAt, lists } from './log.ts';
import { copyName, numberOf } from './names.ts';
import { isThere, stateOf } from './volume.ts';
import { type Model, volumeOf, type World } from './world.ts';

export function brokenIn(model: Model, world: World): string | null {
  return (
    world.log.wrong ??
    promiseBroken(world) ??
    permissionWrong(model, world) ??
    copyMissing(model, world) ??
    answerWrong(world)
  );
}

/** DROP once answered stays the answer. */
function promiseBroken(world: World): string | null {
  for (const [i, { copies }] of world.volumes.entries()) {
    for (const { number, birth } of copies) {
      if (birth === 0) continue;
      world.log.ask(copyAt(diskId(i + 1), number), number, birth);
      const broken = world.log.firstBrokenPromise();
      if (broken !== null) return broken;
    }
  }
  return null;
}

/** Nobody may be on the way to drop a copy that a committed record lists. */
function permissionWrong(model: Model, world: World): string | null {
  const { copies } = world.log.view;
  for (const number of world.messages) {
    const { kind, disk, copy } = model.message(number);
    if (kind !== 'discard' && kind !== 'drop' && kind !== 'DROP') continue;
    if (!lists(copies, copyAt(diskId(disk), copy))) continue;
    return `${kind} is on its way to ${copyName(copy)} on disk ${disk}, which the record lists`;
  }
  return null;
}

/**
 * A copy that a committed record lists is never dropped; and it is there, or known to be missing, or
 * its disk is still to be looked through. With every vote synced and no older image it is always there.
 */
function copyMissing({ scenario }: Model, world: World): string | null {
  const { copies, suspects, disks } = world.log.view;
  const neverLoses = scenario.fsync === 'always' && scenario.budgets.images === 0;
  for (const listed of copies) {
    const { disk, copyId } = listed;
    const volume = volumeOf(world, disk);
    const state = stateOf(volume, numberOf(copyId));
    if (isThere(state)) continue;
    const name = `${copyName(numberOf(copyId))} on disk ${disk}`;
    if (state === DROPPED) return `${name} is dropped, and the record lists it`;
    if (neverLoses) return `${name} is gone, and the record lists it`;
    const known = disks.find((at) => at.disk === disk);
    const isHeard = known?.nonce === `n${disk}.${volume.start}`;
    if (isHeard && known.reconciled && !lists(suspects, listed)) {
      return `${name} is gone, the record lists it and nothing will look for it`;
    }
  }
  return null;
}

/** A client that was told how its write ended was told the truth. */
function answerWrong({ gateways, log }: World): string | null {
  for (const [i, { state, birth, learned }] of gateways.entries()) {
    if (birth < 0 || state === null) continue;
    const decided = log.decided.get(txn(birth, i + 1)) ?? null;
    if (state.verdict?.kind === 'abandoned' && decided?.includes('"kind":"applied"') === true) {
      return `gateway ${i + 1} has answered "not applied" and its transaction was applied`;
    }
    if (learned !== null && decided !== null && learned !== decided) {
      return `gateway ${i + 1} has answered ${learned}, decided was ${decided}`;
    }
  }
  return null;
}
