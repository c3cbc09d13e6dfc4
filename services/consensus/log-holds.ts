/**
 * From where on a leader keeps its log for followers that are behind: one that has just stopped, and one that
 * was sent a snapshot and has to install it and to catch up. Without them a follower that needs longer for its
 * snapshot than the slack of the log lasts under load would need the next one, for ever. Whoever comes no
 * nearer for a while, or falls too far behind, is left to a snapshot: what is kept stays in memory.
 */
import type { NodeId } from '../common/ids.ts';
import { MINUTE_MS } from '../common/units.ts';
import type { RaftStatus } from '../raft/types.ts';

/** How long a follower that comes no nearer is waited for. */
const HOLD_MS = MINUTE_MS;

interface Hold {
  /** Held by the follower; it needs what comes behind. */
  readonly index: number;
  /** Entries that may lie behind it. */
  readonly entriesMax: number;
  readonly untilMs: number;
}

type Followers = Pick<RaftStatus, 'peers' | 'lastIndex' | 'baseIndex'>;

export class LogHolds {
  readonly #entriesMax: number;
  readonly #holds = new Map<NodeId, Hold>();

  /** `entriesMax`: what is kept at most for a follower that was sent no snapshot. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** What is known of the followers now; of nobody where this node does not lead. */
  note({ peers, lastIndex, baseIndex }: Followers, nowMs: number): void {
    for (const node of this.#holds.keys()) {
      if (!peers.some((peer) => peer.node === node)) this.#holds.delete(node);
    }
    for (const { node, match } of peers) {
      const known = this.#holds.get(node);
      const isNearer = match > (known?.index ?? baseIndex - 1);
      if (isNearer) {
        const isClose = known === undefined || lastIndex - match <= this.#entriesMax;
        const entriesMax = isClose ? this.#entriesMax : known.entriesMax;
        this.#holds.set(node, { index: match, entriesMax, untilMs: nowMs + HOLD_MS });
      }
    }
  }

  /** `peer` has all of a snapshot of `index`: it may be as far behind as it is now, and a little more. */
  staged(peer: NodeId, index: number, lastIndex: number, nowMs: number): void {
    const entriesMax = lastIndex - index + this.#entriesMax;
    this.#holds.set(peer, { index, entriesMax, untilMs: nowMs + HOLD_MS });
  }

  /** The log must be kept behind this index; Infinity where nobody is waited for. */
  keepFrom({ lastIndex, baseIndex }: Followers, nowMs: number): number {
    let from = Number.POSITIVE_INFINITY;
    for (const [node, { index, entriesMax, untilMs }] of this.#holds) {
      const isInVain = index < baseIndex || lastIndex - index > entriesMax || nowMs > untilMs;
      if (isInVain) this.#holds.delete(node);
      else from = Math.min(from, index);
    }
    return from;
  }
}
