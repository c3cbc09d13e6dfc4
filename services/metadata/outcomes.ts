/**
 * How transactions ended. The first two checks of every command with a txnId are here: what is decided
 * stays decided, and behind the fence nothing undecided is ever decided. Rows whose birth lies below
 * the forget mark count as absent at once; their removal, in log order, is part of `apply`.
 */
import { birthOf, type LogIndex, type TxnId } from '../common/ids.ts';
import { outcomeKey } from './keys.ts';
import { SWEEP_PER_OUTCOME } from './limits.ts';
import { OutcomeRing } from './outcome-ring.ts';
import { decodeOutcome, encodeOutcome } from './record-codec.ts';
import type { Marks, TxnOutcome, Undecided } from './records.ts';
import type { RowStore } from './row-store.ts';

const EXPIRED: Undecided = { kind: 'expired' };
const FORGOTTEN: Undecided = { kind: 'forgotten' };

export class Outcomes {
  readonly #rows: RowStore;
  readonly #ring = new OutcomeRing();

  constructor(rows: RowStore) {
    this.#rows = rows;
  }

  /** Takes up stored rows in any order. */
  restore(stored: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): void {
    const known = stored.map(([key, value]) => ({
      key,
      value,
      at: decodeOutcome(value).loggedAt,
    }));
    known.sort((a, b) => a.at - b.at);
    for (const { key, value, at } of known) this.#ring.pushRow(at, key, this.#hashOf(key, value));
  }

  /**
   * What is certain of `txnId` at these marks: its outcome, or that it can have none any more;
   * undefined while it may still be decided.
   */
  settled(txnId: TxnId, marks: Marks): TxnOutcome | Undecided | undefined {
    const birth = birthOf(txnId);
    if (birth < marks.forget) return FORGOTTEN;
    // Nothing is decided before it is born.
    const found = this.#rows.getSince(birth, outcomeKey(txnId));
    if (found !== undefined) return decodeOutcome(found).outcome;
    return birth < marks.fence ? EXPIRED : undefined;
  }

  /** Records how `txnId` ended, by the command at `loggedAt`. It must not have ended before. */
  write(txnId: TxnId, loggedAt: LogIndex, outcome: TxnOutcome, marks: Marks): void {
    const key = outcomeKey(txnId);
    const row = encodeOutcome(this.#rows.writer, { loggedAt, outcome });
    this.#rows.put(key, row, undefined);
    const { digest } = this.#rows;
    this.#ring.pushRow(loggedAt, key, { laneA: digest.laneA, laneB: digest.laneB });
    this.sweep(marks, SWEEP_PER_OUTCOME);
  }

  /** Removes up to `limit` rows, oldest first, that were logged, hence born, below the forget mark. */
  sweep(marks: Marks, limit: number): void {
    for (let i = 0; i < limit && this.#ring.oldestIndex() < marks.forget; i += 1) {
      const oldest = this.#ring.shift();
      this.#rows.deleteHashed(oldest.key, oldest);
    }
  }

  /** The forget mark that keeps the newest `keep` outcomes. */
  forgetMark(keep: number): LogIndex {
    return this.#ring.birthFloor(keep);
  }

  #hashOf(key: Uint8Array, value: Uint8Array): { laneA: number; laneB: number } {
    const { digest } = this.#rows;
    digest.hash(key, value);
    return { laneA: digest.laneA, laneB: digest.laneB };
  }
}
