/**
 * What is known of each segment file: how many of its bytes are needed. Live means that an index
 * entry points there; commit records are live only where compaction counted them.
 */
export interface SegmentInfo {
  readonly segment: number;
  readonly salt: number;
  /** Bytes written, the header included. */
  bytes: number;
  sealed: boolean;
  liveBytes: number;
  liveRecords: number;
  /** Bytes that no index entry names and that must stay all the same: commits that were moved. */
  keptBytes: number;
}

export class SegmentTable {
  readonly #segments = new Map<number, SegmentInfo>();
  /** Files whose head cannot be read: kept, and any record may be in them. */
  readonly #unreadable = new Set<number>();
  #highest = 0;
  #changes = 0;

  /** Files that came or went so far. */
  get changes(): number {
    return this.#changes;
  }

  add(segment: number, salt: number): SegmentInfo {
    const info = { segment, salt, bytes: 0, sealed: false, ...NOTHING_LIVE };
    this.restore(info);
    return info;
  }

  restore(info: SegmentInfo): void {
    this.#segments.set(info.segment, info);
    this.#changes += 1;
    this.#highest = Math.max(this.#highest, info.segment);
  }

  remove(segment: number): void {
    if (this.#segments.delete(segment)) this.#changes += 1;
  }

  get(segment: number): SegmentInfo | undefined {
    return this.#segments.get(segment);
  }

  all(): readonly SegmentInfo[] {
    return [...this.#segments.values()];
  }

  get count(): number {
    return this.#segments.size;
  }

  /** A number that no segment of this volume has had while this process runs. */
  next(): number {
    this.#highest += 1;
    return this.#highest;
  }

  addUnreadable(segment: number): void {
    this.#unreadable.add(segment);
    this.#highest = Math.max(this.#highest, segment);
  }

  /**
   * True where a file that may hold records of these segments exists besides `except`: one between the two
   * numbers, both included, or an unreadable one from `lowest` on, into which they may have been moved.
   */
  hasWithin(lowest: number, highest: number, except: ReadonlySet<number>): boolean {
    for (const segment of this.#unreadable) if (segment >= lowest) return true;
    const isThere = (segment: number): boolean =>
      segment >= lowest &&
      segment <= highest &&
      this.#segments.has(segment) &&
      !except.has(segment);
    if (highest - lowest >= this.#segments.size) return [...this.#segments.keys()].some(isThere);
    for (let segment = lowest; segment <= highest; segment += 1) if (isThere(segment)) return true;
    return false;
  }

  hold(segment: number, bytes: number): void {
    const info = this.#segments.get(segment);
    if (info === undefined) return;
    info.liveBytes += bytes;
    info.liveRecords += 1;
  }

  release(segment: number, bytes: number): void {
    const info = this.#segments.get(segment);
    if (info === undefined) return;
    info.liveBytes -= bytes;
    info.liveRecords -= 1;
  }

  forgetLive(): void {
    for (const info of this.#segments.values())
      Object.assign(info, { liveBytes: 0, liveRecords: 0 });
  }
}

const NOTHING_LIVE = { liveBytes: 0, liveRecords: 0, keptBytes: 0 };
