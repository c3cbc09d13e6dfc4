/**
 * Commands on their way to the log: those of one loop turn leave together, in as few proposals as the
 * wire can carry one by one, since a follower forwards each as one message. A proposal is remembered
 * only while a refusal may still come; success is never reported here.
 */
import { KIB, MIB } from '../common/units.ts';
import type { ProposalRefusal } from '../raft/types.ts';

/** Commands of one turn; more than this is refused as overload before it reaches the core. */
const TURN_COMMANDS_MAX = 10_000;
/** Likewise their bytes: less than a link queues before it drops what comes. */
const TURN_BYTES_MAX = 6 * MIB;
/** Bytes of one proposal, but for a command that is larger alone: far below the limit of a message. */
const PROPOSAL_BYTES_MAX = 512 * KIB;
/** A larger command would be in the log of the leader and on no wire to its followers: it must not get that far. */
const COMMAND_BYTES_MAX = 3 * MIB;
/** Proposals whose refusal can still be told apart; older ones are re-proposed by their owners anyway. */
const REMEMBERED_MAX = 1024;

type Refused = (reason: ProposalRefusal) => void;

export interface TurnProposal {
  readonly proposalId: number;
  readonly commands: readonly Uint8Array[];
}

interface Remembered {
  readonly proposalId: number;
  readonly callbacks: readonly Refused[];
}

/** What becomes one proposal. */
interface Parcel {
  readonly commands: Uint8Array[];
  readonly callbacks: Refused[];
  bytes: number;
}

export class Proposals {
  #parcels: Parcel[] = [];
  #turnCommands = 0;
  #turnBytes = 0;
  /** By the id, in turn. */
  readonly #remembered: (Remembered | undefined)[] = [];
  #nextId = 1;

  add(command: Uint8Array, refused: Refused): void {
    const bytes = command.length;
    const isTooMuch = bytes > COMMAND_BYTES_MAX || this.#turnBytes + bytes > TURN_BYTES_MAX;
    if (isTooMuch || this.#turnCommands >= TURN_COMMANDS_MAX) {
      refused('overloaded');
      return;
    }
    const parcel = this.#parcelFor(bytes);
    parcel.commands.push(command);
    parcel.callbacks.push(refused);
    parcel.bytes += bytes;
    this.#turnCommands += 1;
    this.#turnBytes += bytes;
  }

  /** All commands of this turn, in order. */
  depart(): readonly TurnProposal[] {
    return this.#take().map(({ commands, callbacks }) => {
      const proposalId = this.#nextId;
      this.#nextId += 1;
      this.#remembered[proposalId % REMEMBERED_MAX] = { proposalId, callbacks };
      return { proposalId, commands };
    });
  }

  /** Surely none of that proposal was appended. */
  refused(proposalId: number, reason: ProposalRefusal): void {
    const remembered = this.#remembered[proposalId % REMEMBERED_MAX];
    if (remembered?.proposalId !== proposalId) return;
    this.#remembered[proposalId % REMEMBERED_MAX] = undefined;
    for (const refused of remembered.callbacks) refused(reason);
  }

  /** Commands that have not left are refused: the node stops. */
  stop(): void {
    for (const { callbacks } of this.#take()) {
      for (const refused of callbacks) refused('stopping');
    }
  }

  #parcelFor(bytes: number): Parcel {
    const last = this.#parcels.at(-1);
    if (last !== undefined && last.bytes + bytes <= PROPOSAL_BYTES_MAX) return last;
    const fresh: Parcel = { commands: [], callbacks: [], bytes: 0 };
    this.#parcels.push(fresh);
    return fresh;
  }

  #take(): readonly Parcel[] {
    const parcels = this.#parcels;
    this.#parcels = [];
    this.#turnCommands = 0;
    this.#turnBytes = 0;
    return parcels;
  }
}
