/**
 * What the log, the volumes and the leader's jobs may do in a state. Together with the gateways these
 * are all steps that there are; each is one step of one of them.
 */
import { copyId, diskId, logIndex, session, blobId as toBlobId } from '../../common/ids.ts';
import type { Command, Move as MoveCommand } from '../../metadata/commands.ts';
import { UNKNOWN } from '../../storage/copy-state.ts';
import { copy, txn } from '../../testing/metadata-world.ts';
import { describe, describeMessage } from './describe.ts';
import { abortMoves, gatewayMoves, happened, type Move, voted } from './gateway.ts';
import { jobMoves, suspectOf } from './jobs.ts';
import type { LogNode } from './log.ts';
import { KEY, numberOf } from './names.ts';
import { drop, finalize, isThere, receiveChunks, settleDue, stage, stateOf } from './volume.ts';
import { volumeMoves } from './volume-moves.ts';
import {
  type Message,
  type Model,
  type Pull,
  spend,
  volumeOf,
  type World,
  withVolume,
} from './world.ts';

/** All next states, in an order that depends on the state alone. */
export function movesOf(model: Model, world: World): readonly Move[] {
  return [
    ...world.gateways.flatMap((_, i) => gatewayMoves(model, world, i + 1)),
    ...abortMoves(model, world),
    ...logMoves(model, world),
    ...deliveries(model, world),
    ...world.volumes.flatMap((_, i) => volumeMoves(model, world, i + 1)),
    ...jobMoves(model, world),
  ];
}

/** A leader commits what was proposed to it, or to a leader before it; time passes. */
function logMoves(model: Model, world: World): readonly Move[] {
  const commits = world.proposals.flatMap((number): Move[] => {
    const command = model.command(number);
    const isRepeat = world.log.holds(command);
    if (isRepeat && world.left.duplicates === 0) return [];
    const left = isRepeat ? spend(world.left, 'duplicates') : world.left;
    const next = { ...world, left, log: world.log.append(command) };
    const again = isRepeat ? ' again' : '';
    return [{ label: () => `the log takes ${describe(command)}${again}`, world: next }];
  });
  return [...commits, ...advances(model, world)];
}

/** The fence passes the birth of somebody, or only garbage becomes old enough. */
function advances(model: Model, world: World): readonly Move[] {
  if (world.left.advances === 0) return [];
  const { marks, garbage } = world.log.view;
  const { reclaim } = marks;
  const { fence } = world.log;
  const held = world.volumes.flatMap(({ copies }) => copies.map(({ birth }) => birth));
  const births = [...held, ...world.gateways.map(({ birth }) => birth)];
  const wanted = new Set(births.map((birth) => birth + 1).filter((mark) => mark > fence));
  const isReclaimable = garbage.some(({ queuedAt }) => queuedAt >= reclaim);
  if (wanted.size === 0 && isReclaimable) wanted.add(fence);
  const left = spend(world.left, 'advances');
  return [...wanted]
    .sort((a, b) => a - b)
    .map((mark) => {
      const log = world.log.append(model.theCommand(advanceTo(world.log, mark)));
      return { label: () => `the fence passes to ${mark}`, world: { ...world, left, log } };
    });
}

export const advanceTo = (log: LogNode, fence: number): Command => ({
  kind: 'advance',
  fence: logIndex(fence),
  reclaim: logIndex(log.index + 1),
  forget: logIndex(0),
  timeMs: 0,
});

function deliveries(model: Model, world: World): readonly Move[] {
  return world.messages.flatMap((number): Move[] => {
    const message = model.message(number);
    const next = deliver(model, world, message);
    if (next === world) return [];
    return [{ label: () => `${describeMessage(message)} arrives`, world: next }];
  });
}

/** What a message does where it arrives, now or again; the same world where it does nothing. */
export function deliver(model: Model, world: World, message: Message): World {
  const { disk, copy: number } = message;
  const volume = volumeOf(world, disk);
  switch (message.kind) {
    case 'chunks': {
      if (volume.session === 0) return world;
      const next = withVolume(world, disk, receiveChunks(volume, number));
      return next === world ? world : model.send(next, { kind: 'sent', disk, copy: number });
    }
    case 'sent': {
      const event = { kind: 'sent' as const, staging: 0, disk: diskId(disk) };
      return happened(model, world, { number, event });
    }
    case 'end':
      return ended(model, world, message);
    case 'vote':
      return happened(model, world, { number, event: voted(disk, message.session) });
    case 'failed': {
      const event = { kind: 'failed' as const, staging: 0, disk: diskId(disk), held: false };
      return happened(model, world, { number, event });
    }
    case 'finalize':
      return finalizeTold(model, world, message);
    case 'discard':
      return withVolume(world, disk, drop(volume, number));
    case 'drop': {
      const row = {
        disk: diskId(disk),
        queuedAt: logIndex(message.queuedAt),
        copyId: copy(number),
      };
      const next = withVolume(world, disk, drop(volume, number));
      return model.propose(next, { kind: 'reclaimed', rows: [row] });
    }
    case 'KEEP': {
      if (message.start !== volume.start) return world;
      return withVolume(world, disk, settleDue(finalize(volume, number).volume, number));
    }
    case 'DROP':
      return withVolume(world, disk, drop(volume, number));
    case 'pull':
      return pulled(model, world, message);
  }
}

function ended(
  model: Model,
  world: World,
  { disk, copy: number, birth }: Extract<Message, { kind: 'end' }>,
): World {
  const volume = volumeOf(world, disk);
  if (volume.session === 0) return world;
  const { scenario, rules } = model;
  const isSynced = scenario.fsync === 'always';
  const end = { number, birth, isWhole: !scenario.chunked, isSynced };
  const { volume: next, answer } = stage(volume, end, rules);
  const after = withVolume(world, disk, next);
  if (answer !== 'vote') return model.send(after, { kind: 'failed', disk, copy: number });
  return model.send(after, { kind: 'vote', disk, copy: number, session: volume.session });
}

type Addressee = Pick<Message, 'disk' | 'copy'>;

/** A finalize that finds no copy means that a record names one which is not there. */
function finalizeTold(model: Model, world: World, to: Addressee): World {
  const { disk, copy: number } = to;
  const volume = volumeOf(world, disk);
  const { volume: next, answer } = finalize(volume, number);
  if (answer !== 'not-found') return withVolume(world, disk, next);
  return model.propose(world, suspectOf(disk, copy(number), copy(number)));
}

/** The copy is made, synced whatever the policy, and voted; the Move is proposed with that vote. */
function pulled(model: Model, world: World, pull: Pull): World {
  const { disk, copy: number, birth, blobId, from, sources } = pull;
  const volume = volumeOf(world, disk);
  if (volume.session === 0) return world;
  const isSourced = sources.some((at) => isThere(stateOf(volumeOf(world, at.disk), at.copy)));
  if (!isSourced && stateOf(volume, number) === UNKNOWN) return world;
  const id = model.rules.movesMintIds ? copy(number) : blobId;
  const slot = model.rules.movesMintIds ? number : numberOf(blobId);
  const end = { number: slot, birth, isWhole: true, isSynced: true };
  const { volume: next, answer } = stage(volume, end, model.rules);
  if (answer !== 'vote') return world;
  const command: MoveCommand = {
    kind: 'move',
    txnId: txn(birth, number),
    key: KEY,
    blobId: toBlobId(blobId),
    from: from === null ? null : { disk: diskId(from.disk), copyId: copyId(from.copyId) },
    to: { disk: diskId(disk), session: session(volume.session), copyId: copyId(id) },
    want: model.scenario.want,
  };
  return model.propose(withVolume(world, disk, next), command);
}
