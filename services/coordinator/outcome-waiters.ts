/** Who waits for the outcome of which transaction at this coordinator. */
import type { TxnId } from '../common/ids.ts';
import { InFlight } from '../common/in-flight.ts';
import type { Decision } from './metadata-port.ts';

type Decided = (decision: Decision) => void;

export class OutcomeWaiters {
  readonly #waiting = new InFlight<TxnId, Set<Decided>>();

  /** Answers a function that stops waiting. */
  add(txnId: TxnId, decided: Decided): () => void {
    const waiting = this.#waiting.get(txnId) ?? new Set();
    waiting.add(decided);
    this.#waiting.set(txnId, waiting);
    return () => {
      waiting.delete(decided);
      if (waiting.size === 0 && this.#waiting.get(txnId) === waiting) this.#waiting.take(txnId);
    };
  }

  decide(txnId: TxnId, decision: Decision): void {
    const waiting = this.#waiting.take(txnId);
    for (const decided of waiting ?? []) decided(decision);
  }

  /** After an installed snapshot: what it decides is decided for those who wait. */
  decideAll(outcomeOf: (txnId: TxnId) => Decision | undefined): void {
    for (const [txnId] of this.#waiting.entries()) {
      const outcome = outcomeOf(txnId);
      if (outcome !== undefined) this.decide(txnId, outcome);
    }
  }
}
