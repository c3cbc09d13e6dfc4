/**
 * Commands on their way to the log: all of one loop turn are one proposal to the core. A proposal is
 * remembered only while a refusal may still come; success is never reported here.
 */
import type { ProposalRefusal } from '../raft/types.ts';

/** Commands of one turn; more than this is refused as overload before it reaches the core. */
const TURN_COMMANDS_MAX = 10_000;
/** Proposals whose refusal can still be told apart; older ones are re-proposed by their owners anyway. */
const REMEMBERED_MAX = 4096;

type Refused = (reason: ProposalRefusal) => void;

export interface TurnProposal {
  readonly proposalId: number;
  readonly commands: readonly Uint8Array[];
}

export class Proposals {
  #commands: Uint8Array[] = [];
  #callbacks: Refused[] = [];
  readonly #remembered = new Map<number, readonly Refused[]>();
  #nextId = 1;

  get waiting(): boolean {
    return this.#commands.length > 0;
  }

  add(command: Uint8Array, refused: Refused): void {
    if (this.#commands.length >= TURN_COMMANDS_MAX) {
      refused('overloaded');
      return;
    }
    this.#commands.push(command);
    this.#callbacks.push(refused);
  }

  /** All commands of this turn as one proposal. */
  depart(): TurnProposal {
    const proposalId = this.#nextId;
    this.#nextId += 1;
    const commands = this.#commands;
    this.#remembered.set(proposalId, this.#callbacks);
    this.#commands = [];
    this.#callbacks = [];
    if (this.#remembered.size > REMEMBERED_MAX) {
      const oldest = this.#remembered.keys().next().value;
      if (oldest !== undefined) this.#remembered.delete(oldest);
    }
    return { proposalId, commands };
  }

  /** Surely none of that proposal was appended. */
  refused(proposalId: number, reason: ProposalRefusal): void {
    const callbacks = this.#remembered.get(proposalId) ?? [];
    this.#remembered.delete(proposalId);
    for (const refused of callbacks) refused(reason);
  }

  /** Commands that have not left are refused: the node stops. */
  stop(): void {
    const callbacks = this.#callbacks;
    this.#commands = [];
    this.#callbacks = [];
    for (const refused of callbacks) refused('stopping');
  }
}
