/** Where a log may be cut: behind what the own state holds durably, less a slack, and behind what followers need. */
import type { Clock } from '../common/clock.ts';
import type { NodeId } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { LogPoint, RaftStatus } from '../raft/types.ts';
import { CutPoints } from './cut-points.ts';
import { LogHolds } from './log-holds.ts';
import type { SnapshotTransfer } from './snapshot-transfer.ts';
import type { StateMachine } from './state-machine.ts';

/** What is kept for a follower that has just stopped, in slacks. */
const HELD_SLACKS = 10;
/** The log is in memory, too: of large entries the slack has fewer. */
const SLACK_BYTES_MAX = 64 * MIB;

export interface LogCutsParts {
  readonly clock: Clock;
  readonly machine: Pick<StateMachine, 'flushed'>;
  readonly snapshots: Pick<SnapshotTransfer, 'keepFrom'>;
}

export class LogCuts {
  readonly #parts: LogCutsParts;
  readonly #slackEntries: number;
  readonly #points = new CutPoints();
  readonly #holds: LogHolds;

  constructor(parts: LogCutsParts, slackEntries: number) {
    this.#parts = parts;
    this.#slackEntries = slackEntries;
    this.#holds = new LogHolds(HELD_SLACKS * slackEntries);
  }

  /** `peer` has all of the snapshot of `point`, and has to install it. */
  staged(peer: NodeId, point: LogPoint, { lastIndex }: RaftStatus): void {
    this.#holds.staged(peer, point.index, lastIndex, this.#parts.clock.monotonicMs());
  }

  /** The point to cut at now, null where nothing may go. To be asked now and then: it takes note of what passes. */
  next(status: RaftStatus): LogPoint | null {
    const { clock, machine, snapshots } = this.#parts;
    const { flushed } = machine;
    const nowMs = clock.monotonicMs();
    this.#points.note(flushed);
    this.#holds.note(status, nowMs);
    const held = this.#holds.keepFrom(status, nowMs);
    const limit = Math.min(flushed.index - this.#slackOf(status), snapshots.keepFrom, held);
    return this.#points.take(status.baseIndex, limit);
  }

  #slackOf({ logBytes, lastIndex, baseIndex }: RaftStatus): number {
    const entryBytes = logBytes / Math.max(1, lastIndex - baseIndex);
    return Math.min(this.#slackEntries, Math.ceil(SLACK_BYTES_MAX / Math.max(1, entryBytes)));
  }
}
