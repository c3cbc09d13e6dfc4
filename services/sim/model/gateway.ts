/**
 * A gateway of the model: the product's own machine of two-phase commit, whose effects become messages
 * and proposals. It may fall silent for ever at any moment, since nothing makes it take a step.
 */
import { unreachable } from '../../common/assert.ts';
import { diskId, type Session, session } from '../../common/ids.ts';
import { interpret } from '../../coordinator/outcomes.ts';
import type { Commit, Op } from '../../metadata/commands.ts';
import { blob, hash, txn } from '../../testing/metadata-world.ts';
import { begin, step, votesOf } from '../../two-phase-commit/coordinator.ts';
import type { CommitEffect, CommitEvent, CommitState, Step } from '../../two-phase-commit/types.ts';
import { copyAt, lists } from './log.ts';
import { KEY } from './names.ts';
import { conditionOf, type Operation } from './scenario.ts';
import { type Gateway, type Model, spend, type World } from './world.ts';

export interface Move {
  readonly label: () => string;
  readonly world: World;
}

/** Everything that gateway `number` (from 1) may do of itself now. */
export function gatewayMoves(model: Model, world: World, number: number): readonly Move[] {
  const { state, birth } = gatewayOf(world, number);
  if (state === null) {
    return [{ label: () => `gateway ${number} begins`, world: started(model, world, number) }];
  }
  const moves: Move[] = [];
  const isWaiting = state.phase !== 'DECIDED';
  if (isWaiting) {
    const next = happened(model, world, { number, event: { kind: 'deadline' } });
    moves.push({ label: () => `gateway ${number} gives up (${state.phase})`, world: next });
  }
  const canLearn = state.phase === 'PROPOSED' || state.verdict?.kind === 'unknown';
  const decision = canLearn ? world.log.settled(txn(birth, number)) : undefined;
  if (decision !== undefined) {
    const label = () => `gateway ${number} learns: ${decision.kind}`;
    moves.push({ label, world: learned(model, world, number) });
  }
  return [...moves, ...failures(model, world, number)];
}

/** The gateway loses its patience with a member that has not answered. */
function failures(model: Model, world: World, number: number): readonly Move[] {
  const { state } = gatewayOf(world, number);
  if (world.left.failures === 0 || state === null) return [];
  if (state.phase !== 'STREAM' && state.phase !== 'VOTE') return [];
  const left = spend(world.left, 'failures');
  return (state.stagings[0]?.members ?? []).flatMap(({ disk, state: at }) => {
    if (at !== 'open' && at !== 'sent') return [];
    const event: CommitEvent = { kind: 'failed', staging: 0, disk, held: false };
    const next = happened(model, { ...world, left }, { number, event });
    return [{ label: () => `gateway ${number} takes disk ${disk} for dead`, world: next }];
  });
}

export interface Happening {
  readonly number: number;
  readonly event: CommitEvent;
}

/** Feeds the machine. */
export function happened(model: Model, world: World, { number, event }: Happening): World {
  const { state } = gatewayOf(world, number);
  if (state === null) return world;
  const next = step(state, event);
  const isUntold = next.state === state && next.effects.length === 0;
  const after = isUntold ? world : take(model, world, { number, next });
  const isGivingUp = event.kind === 'deadline' && state.phase === 'PROPOSED';
  if (!isGivingUp || !model.rules.discardsAfterProposal) return after;
  return discarded(model, after, number);
}

/** A vote of a volume, as the gateway hears it. */
export const voted = (disk: number, at: number): CommitEvent => ({
  kind: 'voted',
  staging: 0,
  disk: diskId(disk),
  session: session(at),
});

function started(model: Model, world: World, number: number): World {
  const operation = operationOf(model, number);
  const replicas = world.volumes.map((_, i) => diskId(i + 1)).slice(0, model.scenario.want);
  const placements = operation.kind === 'put' ? [{ replicas, spares: [] }] : [];
  return take(model, world, { number, next: begin(model.scenario.need, placements) });
}

/** The own applied state says how it ended. */
function learned(model: Model, world: World, number: number): World {
  const gateway = gatewayOf(world, number);
  const decision = world.log.settled(txn(gateway.birth, number));
  if (decision === undefined) return world;
  const blobIds = operationOf(model, number).kind === 'put' ? [blob(number)] : [];
  const told = { ...gateway, learned: JSON.stringify(decision) };
  const event: CommitEvent = { kind: 'decided', decision: interpret(decision, blobIds) };
  return happened(model, withGateway(world, number, told), { number, event });
}

/** Effects may cause events at once; those see the new state, as in the product's driver. */
function take(
  model: Model,
  world: World,
  { number, next }: { readonly number: number; readonly next: Step },
): World {
  let after = withGateway(world, number, { ...gatewayOf(world, number), state: next.state });
  for (const effect of next.effects) after = carriedOut(model, after, { number, effect });
  return after;
}

function carriedOut(
  model: Model,
  world: World,
  { number, effect }: { readonly number: number; readonly effect: CommitEffect },
): World {
  switch (effect.kind) {
    case 'stage': {
      const { disk } = effect;
      if (model.scenario.chunked) return model.send(world, { kind: 'chunks', disk, copy: number });
      return happened(model, world, { number, event: { kind: 'sent', staging: 0, disk } });
    }
    case 'mint':
      return withGateway(world, number, { ...gatewayOf(world, number), birth: world.log.index });
    case 'end': {
      const { birth } = gatewayOf(world, number);
      return model.send(world, { kind: 'end', disk: effect.disk, copy: number, birth });
    }
    case 'propose':
      return model.propose(world, commandOf(model, gatewayOf(world, number), number));
    case 'finalize':
      return finalized(model, world, { number, disks: effect.disks });
    case 'discard':
      return effect.disks.reduce(
        (after, disk) => model.send(after, { kind: 'discard', disk, copy: number }),
        world,
      );
    case 'release':
    case 'answer':
      return world;
    default:
      return unreachable(effect);
  }
}

/** Copies that the record named when the decision was applied. */
function finalized(
  model: Model,
  world: World,
  { number, disks }: { readonly number: number; readonly disks: readonly number[] },
): World {
  const decision = world.log.settled(txn(gatewayOf(world, number).birth, number));
  const decidedAt = decision !== undefined && 'index' in decision ? decision.index : 0;
  const { copies } = world.log.at(decidedAt).view;
  return disks.reduce((after, disk) => {
    if (!lists(copies, copyAt(diskId(disk), number))) return after;
    return model.send(after, { kind: 'finalize', disk, copy: number });
  }, world);
}

function discarded(model: Model, world: World, number: number): World {
  const members = gatewayOf(world, number).state?.stagings[0]?.members ?? [];
  return members.reduce(
    (after, { disk }) => model.send(after, { kind: 'discard', disk, copy: number }),
    world,
  );
}

function commandOf(model: Model, { birth, state }: Gateway, number: number): Commit {
  const operation = operationOf(model, number);
  const { need, want } = model.scenario;
  const isRetry = operation.kind === 'put' && operation.idempotent;
  return {
    kind: 'commit',
    txnId: txn(birth, number),
    need,
    want,
    idempotency: isRetry ? { principal: 'p', key: 'i', requestHash: hash(1) } : null,
    ops: [opOf(operation, number, state)],
  };
}

function opOf(operation: Operation, number: number, state: CommitState | null): Op {
  const condition = conditionOf(operation);
  if (operation.kind === 'delete') return { key: KEY, condition, body: { kind: 'delete' } };
  const votes = (state?.stagings ?? []).flatMap(votesOf);
  const copies = votes.map(({ disk, session: at }) => ({ disk, session: at ?? NO_SESSION }));
  return {
    key: KEY,
    condition,
    body: {
      kind: 'put',
      blobId: blob(number),
      size: 10,
      digest: hash(number),
      copies,
      headers: [],
    },
  };
}

const NO_SESSION: Session = session(0);

export function operationOf(model: Model, number: number): Operation {
  const operation = model.scenario.operations[number - 1];
  if (operation === undefined) throw new Error(`there is no gateway ${number}`);
  return operation;
}

export function gatewayOf(world: World, number: number): Gateway {
  const gateway = world.gateways[number - 1];
  if (gateway === undefined) throw new Error(`there is no gateway ${number}`);
  return gateway;
}

const withGateway = (world: World, number: number, gateway: Gateway): World => ({
  ...world,
  gateways: world.gateways.with(number - 1, gateway),
});

/** The client takes its transaction back for good. */
export function abortMoves(model: Model, world: World): readonly Move[] {
  if (world.left.aborts === 0) return [];
  const left = spend(world.left, 'aborts');
  return world.gateways.flatMap(({ birth }, i) => {
    if (birth < 0) return [];
    const command = { kind: 'abort' as const, txnId: txn(birth, i + 1) };
    const next = model.propose({ ...world, left }, command);
    return [{ label: () => `somebody aborts transaction ${i + 1}`, world: next }];
  });
}
