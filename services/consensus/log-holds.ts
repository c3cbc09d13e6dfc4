/**
 * From where on a leader keeps its log for followers that are behind: one that has just stopped, and one that
 * was sent a snapshot and has to install it and to catch up. Without them a follower that needs longer for its
 * snapshot than the slack of the log lasts under load would need the next one, for ever. Whoever is not heard
 * for a while, or falls too far behind, is left to a snapshot: what is kept stays in memory.
 */
import type { NodeId, Term } from '../common/ids.ts';
import { MIB, MINUTE_MS } from '../common/units.ts';
import type { RaftStatus } from '../raft/types.ts';

/** The log is in memory, too: a larger one is not kept for followers that have stopped. */
const HELD_BYTES_MAX = 256 * MIB;
/** One that was sent a snapshot has caught up once it is this share of what is kept behind. */
const CAUGHT_UP_SHARE = 100;

/** How long a follower of which nothing is heard is waited for. */
const HOLD_MS = MINUTE_MS;

interface Hold {
  /** Held by the follower; it needs what comes behind. */
  readonly index: number;
  /** Entries that may lie behind it. */
  readonly entriesMax: number;
  readonly untilMs: number;
  /** It was sent a snapshot, and has not caught up since. */
  readonly isInstalling: boolean;
}

type Followers = Pick<RaftStatus, 'term' | 'peers' | 'lastIndex' | 'baseIndex' | 'logBytes'>;

export class LogHolds {
  readonly #entriesMax: number;
  readonly #holds = new Map<NodeId, Hold>();
  /** In which this node leads; null: it does not. */
  #term: Term | null = null;

  /** `entriesMax`: what is kept at most for a follower that was sent no snapshot. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** What is known of the followers now; of nobody where this node does not lead. */
  note(followers: Followers, nowMs: number): void {
    const term = followers.peers.length > 0 ? followers.term : null;
    if (term !== this.#term) this.#begin(followers, nowMs);
    this.#term = term;
    for (const { node, match, recentlyActive } of followers.peers) {
      const known = this.#holds.get(node);
      if (match > (known?.index ?? followers.baseIndex - 1)) {
        this.#hold(node, match, followers, nowMs);
      } else if (known !== undefined && recentlyActive) {
        this.#holds.set(node, { ...known, untilMs: nowMs + HOLD_MS });
      }
    }
  }

  /** How far they are a new leader has yet to hear: any of them may need what its log still has. */
  #begin(followers: Followers, nowMs: number): void {
    this.#holds.clear();
    for (const { node } of followers.peers) {
      this.#hold(node, followers.baseIndex, followers, nowMs);
    }
  }

  /** `peer` has all of a snapshot of `index`: it may fall behind as much again while it installs it. */
  staged(peer: NodeId, index: number, lastIndex: number, nowMs: number): void {
    const entriesMax = 2 * (lastIndex - index) + this.#entriesMax;
    this.#holds.set(peer, { index, entriesMax, untilMs: nowMs + HOLD_MS, isInstalling: true });
  }

  /** One that was allowed more keeps it until it is close. */
  #hold(node: NodeId, index: number, { lastIndex }: Followers, nowMs: number): void {
    const known = this.#holds.get(node);
    const isClose = lastIndex - index <= this.#entriesMax;
    const entriesMax = isClose ? this.#entriesMax : (known?.entriesMax ?? this.#entriesMax);
    const isCaughtUp = lastIndex - index <= this.#entriesMax / CAUGHT_UP_SHARE;
    const isInstalling = !isCaughtUp && known?.isInstalling === true;
    this.#holds.set(node, { index, entriesMax, untilMs: nowMs + HOLD_MS, isInstalling });
  }

  /**
   * The log must be kept behind this index; Infinity where nobody is waited for. A large log is kept only for
   * those that install a snapshot: without it that was in vain.
   */
  keepFrom({ lastIndex, baseIndex, logBytes }: Followers, nowMs: number): number {
    const isLarge = logBytes > HELD_BYTES_MAX;
    let from = Number.POSITIVE_INFINITY;
    for (const [node, { index, entriesMax, untilMs, isInstalling }] of this.#holds) {
      const isTooFar = lastIndex - index > entriesMax || (isLarge && !isInstalling);
      const isInVain = index < baseIndex || isTooFar || nowMs > untilMs;
      if (isInVain) this.#holds.delete(node);
      else from = Math.min(from, index);
    }
    return from;
  }
}
