/**
 * One state of the small world: the committed log, what has been proposed, what has been sent, two
 * gateways and the disks. Proposals and messages are sets that only grow: a proposal may be committed at
 * any later time, again, or never, whoever leads; a message may arrive late, twice or not at all.
 */

import { diskId, session } from '../../common/ids.ts';
import type { Command, Commit, Op } from '../../metadata/commands.ts';
import { STAGED } from '../../storage/copy-state.ts';
import { blob, hash, registerOf, txn } from '../../testing/metadata-world.ts';
import type { CommitState } from '../../two-phase-commit/types.ts';
import { type LogNode, LogTree } from './log.ts';
import { BASE, KEY } from './names.ts';
import type { Rules } from './rules.ts';
import type { Budgets, Scenario } from './scenario.ts';
import { type Volume, volumeKey } from './volume.ts';

export type Message =
  | {
      readonly kind: 'chunks' | 'sent' | 'finalize' | 'discard' | 'failed';
      readonly disk: number;
      readonly copy: number;
    }
  | { readonly kind: 'end'; readonly disk: number; readonly copy: number; readonly birth: number }
  | {
      readonly kind: 'vote';
      readonly disk: number;
      readonly copy: number;
      readonly session: number;
    }
  | {
      readonly kind: 'drop';
      readonly disk: number;
      readonly copy: number;
      readonly queuedAt: number;
    }
  /** To the process of this start, on the stream on which it asked. */
  | {
      readonly kind: 'KEEP' | 'DROP';
      readonly disk: number;
      readonly copy: number;
      readonly start: number;
    }
  | Pull;

/** An order to make a copy of the value from one of these. */
export interface Pull {
  readonly kind: 'pull';
  readonly disk: number;
  readonly copy: number;
  readonly birth: number;
  readonly blobId: string;
  readonly from: { readonly disk: number; readonly copyId: string } | null;
  readonly sources: readonly { readonly disk: number; readonly copy: number }[];
}

export interface Gateway {
  /** null: nothing has come yet. */
  readonly state: CommitState | null;
  /** Commit index when its transaction was named; -1 before. */
  readonly birth: number;
  /** The outcome that it has learned. */
  readonly learned: string | null;
}

export interface World {
  readonly log: LogNode;
  /** Numbers of commands, ascending. */
  readonly proposals: readonly number[];
  /** Numbers of messages, ascending. */
  readonly messages: readonly number[];
  readonly gateways: readonly Gateway[];
  /** Disk n is at n - 1. */
  readonly volumes: readonly Volume[];
  /** What may still happen. */
  readonly left: Budgets;
  /** Moves that were begun. */
  readonly moves: number;
}

/** Equal values are one number, in the order in which they were met. */
class Numbers<T> {
  readonly #numbers = new Map<string, number>();
  readonly #values: T[] = [];

  of(value: T): number {
    const key = JSON.stringify(value);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#values.length);
    this.#values.push(value);
    return this.#values.length - 1;
  }

  value(number: number): T {
    const value = this.#values[number];
    if (value === undefined) throw new Error(`nothing has the number ${number}`);
    return value;
  }
}

/** What all states of one exploration share. */
export class Model {
  readonly scenario: Scenario;
  readonly rules: Rules;
  readonly tree: LogTree;
  readonly #commands = new Numbers<Command>();
  readonly #messages = new Numbers<Message>();
  readonly #gatewayKeys = new WeakMap<Gateway, string>();
  readonly #volumeKeys = new WeakMap<Volume, string>();

  constructor(scenario: Scenario, rules: Rules) {
    this.scenario = scenario;
    this.rules = rules;
    this.tree = new LogTree(rules);
  }

  command = (number: number): Command => this.#commands.value(number);
  message = (number: number): Message => this.#messages.value(number);

  /** Equal commands are one object, so that a log knows its children by them. */
  theCommand = (command: Command): Command => this.command(this.#commands.of(command));

  propose(world: World, command: Command): World {
    const proposals = added(world.proposals, this.#commands.of(command));
    return proposals === world.proposals ? world : { ...world, proposals };
  }

  send(world: World, message: Message): World {
    const messages = added(world.messages, this.#messages.of(message));
    return messages === world.messages ? world : { ...world, messages };
  }

  start(): World {
    const { disks, hasBase, operations, budgets, want } = this.scenario;
    const numbers = Array.from({ length: disks }, (_, i) => i + 1);
    const proposals = numbers.map((disk) =>
      this.#commands.of(this.register(disk, { boots: 1, start: 1, isClean: true })),
    );
    let log = this.tree.root;
    for (const number of proposals) log = log.append(this.command(number));
    const base = { number: BASE, birth: disks, live: STAGED, durable: STAGED, isDue: false };
    if (hasBase) log = log.append(this.theCommand(this.#base(disks)));
    return {
      log,
      // Without restarts a first Register that comes again changes nothing.
      proposals: budgets.restarts > 0 ? proposals : [],
      messages: [],
      gateways: operations.map(() => ({ state: null, birth: -1, learned: null })),
      volumes: numbers.map((disk) => ({
        boots: 1,
        start: 1,
        isClean: true,
        session: disk,
        copies: hasBase && disk <= want ? [base] : [],
        image: null,
      })),
      left: budgets,
      moves: 0,
    };
  }

  register(
    disk: number,
    { boots, start, isClean }: Pick<Volume, 'boots' | 'start' | 'isClean'>,
  ): Command {
    const command = registerOf({ volume: `volume-${disk}`, boots, nonce: `n${disk}.${start}` });
    // The first one of a disk gives it its number.
    if (command.kind !== 'register') throw new Error('a register is one');
    return { ...command, disk: diskId(start === 1 ? 0 : disk), clean: isClean };
  }

  key(world: World): string {
    const { log, proposals, messages, gateways, volumes, left, moves } = world;
    const gatewayText = gateways.map((gateway) => this.#gatewayKey(gateway)).join('/');
    const volumeText = volumes.map((volume) => this.#volumeKey(volume)).join('/');
    const leftText = `${left.restarts},${left.images},${left.advances},${left.duplicates},${left.aborts},${left.failures},${moves}`;
    return `${log.id}|${proposals.join(',')}|${messages.join(',')}|${gatewayText}|${volumeText}|${leftText}`;
  }

  /** Of a state whose messages are lost. */
  lostKey({ log, volumes }: World): string {
    return `${log.id}|lost|${volumes.map((volume) => this.#volumeKey(volume)).join('/')}`;
  }

  /** All that matters once the gateways are silent and nothing more goes wrong. */
  restKey({ log, messages, volumes }: World): string {
    return `${log.id}|${messages.join(',')}|${volumes.map((volume) => this.#volumeKey(volume)).join('/')}`;
  }

  /** The value that the key has from the start. */
  #base(disks: number): Commit {
    const op: Op = {
      key: KEY,
      condition: null,
      body: {
        kind: 'put',
        blobId: blob(BASE),
        size: 10,
        digest: hash(BASE),
        copies: Array.from({ length: Math.min(disks, this.scenario.want) }, (_, i) => ({
          disk: diskId(i + 1),
          session: session(i + 1),
        })),
        headers: [],
      },
    };
    const { need, want } = this.scenario;
    return { kind: 'commit', txnId: txn(disks, BASE), need, want, idempotency: null, ops: [op] };
  }

  #gatewayKey(gateway: Gateway): string {
    const known = this.#gatewayKeys.get(gateway);
    if (known !== undefined) return known;
    const { state, birth, learned } = gateway;
    const key = `${birth}${learned ?? ''}${state === null ? '-' : JSON.stringify(state)}`;
    this.#gatewayKeys.set(gateway, key);
    return key;
  }

  #volumeKey(volume: Volume): string {
    const known = this.#volumeKeys.get(volume);
    if (known !== undefined) return known;
    const key = volumeKey(volume);
    this.#volumeKeys.set(volume, key);
    return key;
  }
}

/** An ascending list with a number more; the same list where it is there. */
function added(numbers: readonly number[], number: number): readonly number[] {
  if (numbers.includes(number)) return numbers;
  return [...numbers, number].sort((a, b) => a - b);
}

export function withVolume(world: World, disk: number, volume: Volume): World {
  const before = world.volumes[disk - 1];
  return before === volume ? world : { ...world, volumes: world.volumes.with(disk - 1, volume) };
}

export function volumeOf(world: World, disk: number): Volume {
  const volume = world.volumes[disk - 1];
  if (volume === undefined) throw new Error(`there is no disk ${disk}`);
  return volume;
}

export const spend = (left: Budgets, what: keyof Budgets): Budgets => ({
  ...left,
  [what]: left[what] - 1,
});
