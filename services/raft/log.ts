/**
 * The log from its base on, all in memory. Positions:
 *
 *   base (compacted or snapshot) | base.index + 1 ... commit ... last
 *
 * Invariants: base.index <= commit <= last; entries at or below commit never change; entries[i] has
 * index base.index + 1 + i.
 */
import { assert } from '../common/assert.ts';
import { type LogIndex, logIndex, type Term, term as toTerm } from '../common/ids.ts';
import type { Entry, InitialState, LogPoint } from './types.ts';
import { Unstable } from './unstable.ts';

export class RaftLog {
  readonly unstable: Unstable;
  #base: LogPoint;
  #entries: Entry[];
  #dataBytes = 0;
  /** Of entries above `unstable.durable`. */
  #undurableBytes = 0;
  #commit: number;
  /** Committed entries up to here went out to be applied. */
  #applying: number;
  #applied: number;

  constructor(initial: Pick<InitialState, 'base' | 'entries' | 'applied'>) {
    const { base, entries, applied } = initial;
    assert(applied >= base.index, 'the log is cut only behind what is applied');
    this.#base = base;
    this.#entries = [];
    this.#pushAll(entries);
    // After a loss of the log's tail the state machine may stand beyond it.
    this.#commit = Math.min(applied, base.index + entries.length);
    this.#applying = applied;
    this.#applied = applied;
    this.unstable = new Unstable(base.index + entries.length);
    // What it begins with is on the disk.
    this.#undurableBytes = 0;
  }

  get base(): LogPoint {
    return this.#base;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  /** Of all entries at hand. */
  get dataBytes(): number {
    return this.#dataBytes;
  }

  /** Of the entries that the own disk is not known to hold. */
  get undurableBytes(): number {
    return this.#undurableBytes;
  }

  get last(): LogPoint {
    const entry = this.#entries.at(-1);
    return entry === undefined ? this.#base : { index: entry.index, term: entry.term };
  }

  get commit(): LogIndex {
    return logIndex(this.#commit);
  }

  get applied(): LogIndex {
    return logIndex(this.#applied);
  }

  /** Term of the entry at `index`; null where the log does not reach or was compacted. */
  termAt(index: number): Term | null {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term ?? null;
  }

  /** Whether the own log holds exactly this point. A compacted point matches nothing. */
  matches(point: LogPoint): boolean {
    return this.termAt(point.index) === point.term;
  }

  /** Raft paper, 5.4.1: a log that ends so is at least as complete as the own. */
  isUpToDate(last: LogPoint): boolean {
    const own = this.last;
    return last.term > own.term || (last.term === own.term && last.index >= own.index);
  }

  /**
   * The highest point at or below `index` whose term is at most `term`: the logs cannot agree on
   * anything between. Lets a probe skip a whole term in one round trip.
   */
  lastNotAfter(index: number, term: Term): LogPoint {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#base.index && (this.termAt(at) ?? 0) > term) at -= 1;
    at = Math.max(at, this.#base.index);
    return { index: logIndex(at), term: this.termAt(at) ?? toTerm(0) };
  }

  /** Appends an entry of the own leadership. */
  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'the log has no gap');
    assert(entry.term >= this.last.term, 'terms never fall along the log');
    this.#entries.push(entry);
    this.#dataBytes += entry.data.length;
    this.#undurableBytes += entry.data.length;
  }

  /**
   * Takes the leader's entries after a point that matches. Only a conflict truncates: a late or
   * doubled message that holds a prefix of the log changes nothing (Raft paper, 5.3).
   */
  merge(previous: LogPoint, entries: readonly Entry[]): void {
    assert(this.matches(previous), 'entries are merged where the logs match');
    let fresh = 0;
    for (const entry of entries) {
      if (this.termAt(entry.index) !== entry.term) break;
      fresh += 1;
    }
    const first = entries[fresh];
    if (first === undefined) return;
    if (first.index <= this.lastIndex) this.#truncate(first.index);
    this.#pushAll(fresh === 0 ? entries : entries.slice(fresh));
  }

  /** Raises the commit index; never lowers it. True when that is news. */
  commitTo(index: number): boolean {
    assert(index <= this.lastIndex, 'only entries at hand are committed');
    if (index <= this.#commit) return false;
    this.#commit = index;
    return true;
  }

  /** Entries from `from` on, at most `bytesMax` of data but at least one. */
  slice(from: number, bytesMax: number): readonly Entry[] {
    assert(from > this.#base.index, 'compacted entries are not at hand');
    const start = from - this.#base.index - 1;
    let end = start;
    let bytes = 0;
    for (let entry = this.#entries[end]; entry !== undefined; entry = this.#entries[end]) {
      bytes += entry.data.length;
      if (end > start && bytes > bytesMax) break;
      end += 1;
    }
    return this.#entries.slice(start, end);
  }

  /** Data bytes of the entries in (after, upTo]. */
  bytesBetween(after: number, upTo: number): number {
    let bytes = 0;
    for (let index = after + 1; index <= upTo; index += 1) {
      bytes += this.#entries[index - this.#base.index - 1]?.data.length ?? 0;
    }
    return bytes;
  }

  /** Entries not yet handed to the disk. */
  takeUnstable(): readonly Entry[] {
    if (this.unstable.handed === this.lastIndex) return [];
    const entries = this.#entries.slice(this.unstable.handed - this.#base.index);
    this.unstable.handOut(this.last);
    return entries;
  }

  /** The write that ended at `point`, and all before it, are durable. True when that is news. */
  acknowledge(point: LogPoint): boolean {
    const before = this.unstable.durable;
    if (!this.unstable.acknowledge(point)) return false;
    this.#undurableBytes -= this.bytesBetween(before, this.unstable.durable);
    assert(this.#undurableBytes >= 0, 'undurable bytes are never negative');
    return true;
  }

  /** Committed entries not yet handed to the state machine, at most `countMax`. */
  takeCommitted(countMax: number): readonly Entry[] {
    if (this.#applying >= this.#commit) return [];
    const from = this.#applying;
    this.#applying = Math.min(this.#commit, from + countMax);
    return this.#entries.slice(from - this.#base.index, this.#applying - this.#base.index);
  }

  appliedTo(index: number): void {
    assert(index <= this.#applying, 'only what was handed out is applied');
    this.#applied = Math.max(this.#applied, index);
  }

  /** Drops the entries up to `base`, which the state machine holds durably. */
  compact(base: LogPoint): void {
    if (base.index <= this.#base.index) return;
    assert(base.index <= this.#applied, 'the log is cut only behind what is applied');
    assert(this.matches(base), 'the log is cut at a point that it holds');
    assert(base.index <= this.unstable.durable, 'the log is cut only where it is durable');
    this.#dataBytes -= this.bytesBetween(this.#base.index, base.index);
    this.#entries = this.#entries.slice(base.index - this.#base.index);
    this.#base = base;
    // After a loss of the tail the state machine may know of more commits than the log did.
    this.commitTo(base.index);
  }

  /** Replaces the whole log by an installed, durable snapshot. */
  restore(point: LogPoint): void {
    assert(point.index > this.#commit, 'a snapshot never takes committed entries back');
    this.#base = point;
    this.#entries = [];
    this.#dataBytes = 0;
    this.#undurableBytes = 0;
    this.#commit = point.index;
    this.#applying = point.index;
    this.#applied = point.index;
    this.unstable.reset(point.index);
  }

  #truncate(index: number): void {
    assert(index > this.#commit, 'committed entries never change');
    assert(index > this.#base.index, 'compacted entries never change');
    this.#dataBytes -= this.bytesBetween(index - 1, this.lastIndex);
    const kept = Math.max(index - 1, this.unstable.durable);
    this.#undurableBytes -= this.bytesBetween(kept, this.lastIndex);
    this.#entries.length = index - this.#base.index - 1;
    this.unstable.truncated(index);
  }

  #pushAll(entries: readonly Entry[]): void {
    for (const entry of entries) this.append(entry);
  }
}
