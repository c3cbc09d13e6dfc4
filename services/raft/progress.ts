/**
 * What a leader knows of one follower, and the moves between its three states:
 *
 *   probe ──accepted──▶ replicate ──refused, unreachable──▶ probe
 *     └──next is compacted──▶ snapshot ──installed, failed──▶ probe
 *
 * Invariant: match < next. `match` only grows while the follower's boot is the same; a new boot may
 * have lost what the old one acknowledged, so it starts from 0.
 */
import { assert } from '../common/assert.ts';
import { Inflight } from './inflight.ts';
import type { LogPoint, RaftLimits } from './types.ts';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  readonly inflight: Inflight;
  /** Heard from since the last check of the quorum. */
  recentlyActive = false;
  /** Heard from in the period before that check. */
  wasActive = false;
  recovering = false;
  /** It is about to end, and refuses to lead. */
  stopping = false;
  /** Newest read round that this voter confirmed in this term. */
  readToken = 0;
  /** The commit index last told by an append. */
  sentCommit = 0;
  /** An append without entries is due, to find out whether the last ones were lost. */
  nudged = false;
  #state: ProgressState = 'probe';
  #match = 0;
  #next: number;
  #boot: number;
  #probeSent = false;
  #stagedPoint: LogPoint | null = null;

  constructor(next: number, boot: number, limits: RaftLimits) {
    assert(next >= 1, 'the log starts at 1');
    this.#next = next;
    this.#boot = boot;
    this.inflight = new Inflight(limits.inflightMessagesMax, limits.inflightBytesMax);
  }

  get state(): ProgressState {
    return this.#state;
  }

  get match(): number {
    return this.#match;
  }

  get next(): number {
    return this.#next;
  }

  /** The snapshot that the follower holds staged and has not yet reported installed. */
  get stagedPoint(): LogPoint | null {
    return this.#stagedPoint;
  }

  /** Heard from within the last one to two checks, also in the moment after one of them. */
  get isLive(): boolean {
    return this.recentlyActive || this.wasActive;
  }

  /** True when no entries may be sent now. */
  get isPaused(): boolean {
    if (this.#state === 'probe') return this.#probeSent;
    return this.#state === 'snapshot' || this.inflight.isFull;
  }

  /** Takes note of the follower's boot; a later one has forgotten what it acknowledged. */
  observeBoot(boot: number, lastIndex: number): void {
    assert(boot >= this.#boot, 'messages of an older boot are dropped before');
    if (boot === this.#boot) return;
    this.#boot = boot;
    this.#match = 0;
    this.readToken = 0;
    this.sentCommit = 0;
    this.#probe(lastIndex + 1);
  }

  /** The follower answered: a probe that got lost may be repeated. */
  resumeProbe(): void {
    this.#probeSent = false;
  }

  /** An append ending at `lastIndex` left. */
  sent(lastIndex: number, bytes: number): void {
    assert(this.#state !== 'snapshot', 'no append to a follower that waits for a snapshot');
    assert(lastIndex >= this.#next - 1, 'appends go out in order');
    this.nudged = false;
    if (this.#state === 'probe') {
      this.#probeSent = true;
      return;
    }
    if (lastIndex < this.#next) return;
    this.inflight.add(lastIndex, bytes);
    this.#next = lastIndex + 1;
  }

  /** The follower holds everything up to `index` durably. True when that is news. */
  accepted(index: number): boolean {
    const grew = index > this.#match;
    if (grew) this.#match = index;
    if (this.#next <= index) this.#next = index + 1;
    if (this.#state === 'replicate') this.inflight.freeTo(index);
    else if (this.#state === 'probe' || this.#match >= (this.#stagedPoint?.index ?? Infinity)) {
      this.#replicate();
    }
    assert(this.#match < this.#next, 'match stays below next');
    return grew;
  }

  /**
   * The follower refused an append that followed `index`; `probeFrom` is where the logs may meet.
   * A refusal that an acknowledgement or a newer probe has overtaken changes nothing.
   */
  refused(index: number, probeFrom: number): boolean {
    if (index <= this.#match) return false;
    if (this.#state === 'snapshot') return this.#refusedSnapshot(index);
    if (this.#state === 'replicate') {
      this.#probe(this.#match + 1);
      return true;
    }
    if (this.#next - 1 !== index) return false;
    this.#probe(Math.max(Math.min(index, probeFrom + 1), this.#match + 1));
    return true;
  }

  /** Appends may have been lost on the way: send again from what is known. */
  unreachable(): void {
    if (this.#state === 'replicate') this.#probe(this.#match + 1);
  }

  needSnapshot(): void {
    assert(this.#state !== 'snapshot', 'one snapshot at a time');
    this.#state = 'snapshot';
    this.#stagedPoint = null;
    this.inflight.reset();
  }

  /** The follower holds the snapshot of `point`; it must still install it. */
  snapshotStaged(point: LogPoint): void {
    if (this.#state !== 'snapshot') return;
    if (this.#match >= point.index) this.#replicate();
    else this.#stagedPoint = point;
  }

  /** Wait for the follower's next sign of life before trying again. */
  snapshotFailed(): void {
    if (this.#state !== 'snapshot') return;
    this.#probe(this.#match + 1);
    this.#probeSent = true;
  }

  #refusedSnapshot(index: number): boolean {
    if (this.#stagedPoint?.index !== index) return false;
    this.#probe(this.#match + 1);
    return true;
  }

  #probe(next: number): void {
    assert(next > this.#match, 'a probe starts beyond what matches');
    this.#state = 'probe';
    this.#next = next;
    this.#probeSent = false;
    this.#stagedPoint = null;
    this.nudged = false;
    this.inflight.reset();
  }

  #replicate(): void {
    this.#state = 'replicate';
    this.#next = this.#match + 1;
    this.#probeSent = false;
    this.#stagedPoint = null;
    this.inflight.reset();
  }
}
