/**
 * What the records of a log add up to, read in order. `floor` is the highest index that this reading
 * cannot know: entries begin right above it. Invariant: `base.index <= floor`, and they are equal in
 * a log whose front is whole. What was voided since need not be known: so a truncation lowers the floor.
 */
import { type LogIndex, logIndex, nodeId, term } from '../common/ids.ts';
import type { Entry, HardState, LogPoint } from '../raft/types.ts';
import type { LogHead, LogRecord } from './log-codec.ts';

/** Where a segment begins, and the last index of the log before it. */
export interface SegmentStart {
  readonly position: number;
  readonly last: LogIndex;
}

/** What makes sense only behind all that came before it. */
type FollowingRecord = Exclude<LogRecord, { kind: 'hard-state' | 'restart' }>;

export class LogImage {
  hardState: HardState = { term: term(0), vote: nodeId(0) };
  base: LogPoint = { index: logIndex(0), term: term(0) };
  last: LogIndex = logIndex(0);
  readonly starts: SegmentStart[] = [];
  #floor = logIndex(0);
  /** From `#floor + 1` on; null once released. */
  #entries: Entry[] | null = [];
  /** A record came that cannot follow those before it. */
  #hasGap = false;

  /** Every entry from `base` to `last` was read. */
  get isWhole(): boolean {
    return !this.#hasGap && this.#floor === this.base.index;
  }

  /** The entries read so far. */
  get entries(): readonly Entry[] {
    return this.#entries ?? [];
  }

  /** The core has the entries now: from here on only their number is kept. */
  releaseEntries(): void {
    this.#entries = null;
  }

  /** The term at an index that was read, null for any other. */
  termAt(index: LogIndex): number | null {
    if (index === this.base.index) return this.base.term;
    return this.entries[index - this.#floor - 1]?.term ?? null;
  }

  /**
   * Behind a gap no entry counts until a restart voids them all; term and vote hang on no entry, and
   * always count. `position`: where the record stands in the log.
   */
  take(record: LogRecord, position: number): void {
    if (record.kind === 'hard-state') this.hardState = record.hardState;
    else if (record.kind === 'restart') this.#restart(record.point);
    else if (!this.#hasGap) this.#takeNext(record, position);
  }

  /** The record that a segment beginning now starts with. */
  beginSegment(position: number): LogRecord {
    const { hardState, base, last } = this;
    this.starts.push({ position, last });
    return { kind: 'head', head: { hardState, base, last } };
  }

  #takeNext(record: FollowingRecord, position: number): void {
    switch (record.kind) {
      case 'head':
        this.#takeHead(record.head, position);
        break;
      case 'entry':
        this.#takeEntry(record.entry);
        break;
      case 'truncate':
        this.#truncate(record.from);
        break;
      case 'base':
        this.#takeBase(record.point);
        break;
    }
  }

  #restart(point: LogPoint): void {
    this.#hasGap = false;
    this.base = point;
    this.last = point.index;
    this.#floor = point.index;
    if (this.#entries !== null) this.#entries = [];
  }

  #takeHead(head: LogHead, position: number): void {
    if (this.starts.length === 0) {
      this.base = head.base;
      this.last = head.last;
      this.#floor = head.last;
    } else if (head.last !== this.last) this.#hasGap = true;
    this.hardState = head.hardState;
    this.starts.push({ position, last: head.last });
  }

  #takeEntry(entry: Entry): void {
    if (entry.index !== this.last + 1) {
      this.#hasGap = true;
      return;
    }
    this.last = entry.index;
    this.#entries?.push(entry);
  }

  /**
   * Where the segment begins behind what is voided, as when a deposed leader's entries filled the one
   * before, all that was read is void and the entries go on right here. Committed ones are never voided.
   */
  #truncate(from: LogIndex): void {
    if (from <= this.base.index) {
      this.#hasGap = true;
      return;
    }
    this.last = logIndex(Math.min(this.last, from - 1));
    this.#floor = logIndex(Math.min(this.#floor, this.last));
    if (this.#entries !== null) this.#entries.length = this.last - this.#floor;
  }

  #takeBase(point: LogPoint): void {
    if (point.index > this.last) {
      this.#hasGap = true;
      return;
    }
    this.base = point;
    if (point.index <= this.#floor) return;
    this.#entries?.splice(0, point.index - this.#floor);
    this.#floor = point.index;
  }
}
