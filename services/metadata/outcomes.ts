/**
 * How transactions ended. All rows stand in memory; the store has them for the next start, which takes them
 * up bit by bit, as nothing asks for them before the first command: whoever does has all of them first. Two
 * checks of every command with a txnId are here: what is decided stays decided, and behind the fence
 * nothing undecided is ever decided. Rows whose birth lies below the forget mark count as absent at once;
 * their removal, in log order, is part of `apply`.
 */
import { birthOf, type LogIndex, type TxnId } from '../common/ids.ts';
import { outcomeKey } from './keys.ts';
import { SWEEP_PER_OUTCOME } from './limits.ts';
import { OutcomeRing } from './outcome-ring.ts';
import { decodeOutcome, encodeOutcome, loggedAtOf } from './record-codec.ts';
import type { Marks, TxnOutcome, Undecided } from './records.ts';
import type { RowStore } from './row-store.ts';

const EXPIRED: Undecided = { kind: 'expired' };
const FORGOTTEN: Undecided = { kind: 'forgotten' };

export class Outcomes {
  readonly #rows: RowStore;
  readonly #taken = new OutcomeRing();
  /** Rows of the store that are still to be taken up; null: none is. */
  #stored: Iterator<OutcomeRow> | null;

  /** `stored` come in the order in which they were logged. */
  constructor(rows: RowStore, stored: Iterable<OutcomeRow>) {
    this.#rows = rows;
    this.#stored = stored[Symbol.iterator]();
  }

  /** Takes up as many stored rows; true once none is left. */
  takeStored(limit: number): boolean {
    for (let i = 0; i < limit && this.#stored !== null; i += 1) {
      const next = this.#stored.next();
      if (next.done === true) this.#stored = null;
      else this.#takeUp(next.value);
    }
    return this.#stored === null;
  }

  #takeUp([key, value]: OutcomeRow): void {
    this.#rows.digest.hash(key, value);
    this.#taken.pushRow(loggedAtOf(value), key, value, this.#rows.digest);
  }

  get #ring(): OutcomeRing {
    if (this.#stored !== null) this.takeStored(Number.POSITIVE_INFINITY);
    return this.#taken;
  }

  /**
   * What is certain of `txnId` at these marks: its outcome, or that it can have none any more;
   * undefined while it may still be decided.
   */
  settled(txnId: TxnId, marks: Marks): TxnOutcome | Undecided | undefined {
    const birth = birthOf(txnId);
    if (birth < marks.forget) return FORGOTTEN;
    const found = this.#ring.find(txnId);
    if (found !== undefined) return decodeOutcome(found).outcome;
    return birth < marks.fence ? EXPIRED : undefined;
  }

  /** Records how `txnId` ended, by the command at `loggedAt`. It must not have ended before. */
  write(txnId: TxnId, loggedAt: LogIndex, outcome: TxnOutcome, marks: Marks): void {
    // Before the digest holds the hash of this row, which taking up others would replace.
    const ring = this.#ring;
    const key = outcomeKey(txnId);
    const row = encodeOutcome(this.#rows.writer, { loggedAt, outcome });
    this.#rows.pushOutcome(key, row);
    ring.pushRow(loggedAt, key, row, this.#rows.digest);
    this.sweep(marks, SWEEP_PER_OUTCOME);
  }

  /** Removes up to `limit` rows, oldest first, that were logged, hence born, below the forget mark. */
  sweep(marks: Marks, limit: number): void {
    for (let i = 0; i < limit && this.#ring.oldestIndex() < marks.forget; i += 1) {
      this.#rows.shiftOutcome(this.#ring.shift());
    }
  }

  /** The forget mark that keeps the newest `keep` outcomes. */
  forgetMark(keep: number): LogIndex {
    return this.#ring.birthFloor(keep);
  }
}

export type OutcomeRow = readonly [key: Uint8Array, value: Uint8Array];

/** As they were logged: the order in which they are kept, and go. */
export function inLogOrder(rows: readonly OutcomeRow[]): readonly OutcomeRow[] {
  const isSorted = rows.every(([, value], i) => {
    const before = rows[i - 1];
    return before === undefined || loggedAtOf(before[1]) < loggedAtOf(value);
  });
  return isSorted ? rows : rows.toSorted(([, a], [, b]) => loggedAtOf(a) - loggedAtOf(b));
}
