/**
 * What of the log is on its way to the own disk. Invariant: durable <= handed, and an entry at or
 * below `durable` is on disk in its present form.
 *
 *   ... durable | handed to the caller, sync not yet reported | not yet handed ...
 *
 * Writes are reported in the order in which they were handed out. A report names index and term, and
 * what it makes durable is capped by every truncation still to come: an acknowledgement for an entry
 * that was overwritten, even by its own twin (append ABA race), counts for nothing.
 *
 * A sync may hang while a leader goes on committing through its followers, so writes must not pile up
 * one by one. One that only appends, in the term of the one before, joins it. What joined has all its
 * ends in one term and in one ascending run of indexes, so a report names its write by lying in that
 * run. That it is matched within the run, though it says less than all of it, is what keeps a twin safe:
 * were the end forgotten, its report would be taken for that of a later write that truncates and ends
 * at the same point, and skip the cap of that truncation.
 */
import { assert } from '../common/assert.ts';
import { type LogIndex, logIndex } from '../common/ids.ts';
import type { LogPoint } from './types.ts';

/** One write, or several that only append, which share a term. */
interface Write {
  /** Where the first of them that is not reported ended. */
  readonly firstIndex: number;
  readonly last: LogPoint;
  /** Everything above is void once this write begins. */
  readonly keptIndex: number;
}

/**
 * Truncations and terms handed out and not yet reported. Each costs an election, so none but a caller
 * that has forgotten to report comes near.
 */
const WRITES_MAX = 1024;

export class Unstable {
  #durable: number;
  #handed: number;
  #truncateFrom: number | null = null;
  #writes: Write[] = [];

  constructor(lastIndex: number) {
    this.#durable = lastIndex;
    this.#handed = lastIndex;
  }

  get durable(): number {
    return this.#durable;
  }

  /** Entries above are to be handed out with the next write. */
  get handed(): number {
    return this.#handed;
  }

  get truncateFrom(): LogIndex | null {
    return this.#truncateFrom === null ? null : logIndex(this.#truncateFrom);
  }

  /** Entries at `index` and above were replaced. */
  truncated(index: number): void {
    assert(index >= 1, 'the log starts at 1');
    if (index > this.#handed) return;
    this.#handed = index - 1;
    this.#durable = Math.min(this.#durable, index - 1);
    this.#truncateFrom = Math.min(this.#truncateFrom ?? index, index);
    assert(this.#durable <= this.#handed, 'durable entries were handed out');
  }

  /** Everything up to `last` is with the caller now. */
  handOut(last: LogPoint): void {
    assert(last.index > this.#handed, 'a write has entries');
    const before = this.#writes.at(-1);
    if (before?.last.term === last.term && this.#truncateFrom === null) {
      this.#writes[this.#writes.length - 1] = { ...before, last };
    } else {
      assert(this.#writes.length < WRITES_MAX, 'syncs are reported');
      const keptIndex = (this.#truncateFrom ?? Infinity) - 1;
      this.#writes.push({ firstIndex: last.index, last, keptIndex });
    }
    this.#truncateFrom = null;
    this.#handed = last.index;
  }

  /** The write that ended at `point`, and all before it, are durable. True when that is news. */
  acknowledge(point: LogPoint): boolean {
    const at = this.#writes.findIndex((write) => endsAt(write, point) || goesOnFrom(write, point));
    const reported = this.#writes[at];
    if (reported === undefined) return false;
    this.#writes.splice(0, at + 1);
    if (goesOnFrom(reported, point)) {
      // Its truncation is behind it.
      const firstIndex = point.index + 1;
      this.#writes.unshift({ firstIndex, last: reported.last, keptIndex: Infinity });
    }
    let durable: number = point.index;
    for (const write of this.#writes) durable = Math.min(durable, write.keptIndex);
    if (this.#truncateFrom !== null) durable = Math.min(durable, this.#truncateFrom - 1);
    const grew = durable > this.#durable;
    if (grew) this.#durable = durable;
    assert(this.#durable <= this.#handed, 'durable entries were handed out');
    return grew;
  }

  /** The whole log was replaced by a durable snapshot that ends at `index`. */
  reset(index: number): void {
    this.#durable = index;
    this.#handed = index;
    this.#truncateFrom = null;
    this.#writes = [];
  }
}

const endsAt = ({ last }: Write, point: LogPoint): boolean =>
  last.index === point.index && last.term === point.term;

/** One of those that joined ended at `point`, and another came behind it. */
const goesOnFrom = ({ firstIndex, last }: Write, { index, term }: LogPoint): boolean =>
  firstIndex <= index && index < last.index && last.term === term;
