/**
 * The rules of the protocol that the model does not take from the product's own code, and those that a
 * test breaks on purpose. `RULES` is the protocol; every other value is a mutant.
 */
import type { MetadataState, Question } from '../../metadata/apply.ts';
import type { Command } from '../../metadata/commands.ts';
import type { AskAnswer } from '../../metadata/machine.ts';

export interface Rules {
  /** What is applied where the log holds `command`. */
  readonly applied: (command: Command, before: MetadataState) => Command;
  readonly ask: (state: MetadataState, question: Question, fence: number) => AskAnswer;
  /** Only states that hold the session of the asking disk answer. */
  readonly answersHoldSession: boolean;
  /** After a start that was not clean staged copies are asked about for that, too. */
  readonly walksStaged: boolean;
  /** A gateway that gives up after its proposal tells the volumes to discard. */
  readonly discardsAfterProposal: boolean;
  /** A vote under `always`, and of a moved copy whatever the policy, waits for the sync. */
  readonly votesAreSynced: boolean;
  /** A start after a kill or a power cut registers as such. */
  readonly crashesAreTold: boolean;
  /** A process that never registered does not mark its stop as clean. */
  readonly unheardStopsStayUnclean: boolean;
  /** Moved copies have ids of their own. */
  readonly movesMintIds: boolean;
  /** Nothing leads out of DROPPED. */
  readonly droppedIsFinal: boolean;
}

export const RULES: Rules = {
  applied: (command) => command,
  ask: (state, question) => state.ask(question),
  answersHoldSession: true,
  walksStaged: true,
  discardsAfterProposal: false,
  votesAreSynced: true,
  crashesAreTold: true,
  unheardStopsStayUnclean: true,
  movesMintIds: true,
  droppedIsFinal: true,
};
