/** The door of consensus: what the rest of a coordinator may ask of its Raft node. */
import type { LogIndex, NodeId } from '../common/ids.ts';
import type { ProposalRefusal, RaftStatus } from '../raft/types.ts';

export interface Consensus {
  /**
   * Proposes one command, batched with all others of the same loop turn and forwarded to the leader
   * when that is another node. `refused` is called at most once, when it is sure that this proposal
   * was not appended. Success is never reported here: it is learned from apply.
   */
  propose(command: Uint8Array, refused: (reason: ProposalRefusal) => void): void;
  /**
   * Resolves with an index at which a read is linearizable, once the state machine has applied it.
   * All calls of one turn share a round. @throws KvError `NO_LEADER` after `timeoutMs`, `STOPPING`.
   */
  readBarrier(timeoutMs: number): Promise<LogIndex>;
  /** Resolves once `index` is applied here. @throws KvError `DEADLINE_EXCEEDED` after `timeoutMs`, `STOPPING`. */
  waitApplied(index: LogIndex, timeoutMs: number): Promise<void>;
  /** Resolves once a leader is known here, at once where one is. @throws KvError `NO_LEADER` after `timeoutMs`, `STOPPING`. */
  awaitLeader(timeoutMs: number): Promise<void>;
  /** The leader known here; NOBODY where none is. */
  readonly leader: NodeId;
  /** The commit index known here. */
  readonly commit: LogIndex;
  /** All of it, at the cost of an object for each peer. */
  status(): RaftStatus;
  /** Milliseconds since the leader was heard, 0 on the leader, Infinity where none was. */
  leaderContactMs(): number;
  /** True once this boot has applied a leader's commit index. */
  caughtUp(): boolean;
  /** Hands leadership to `target` (or the best follower when 0). @throws KvError `TRANSFER_FAILED`, `NOT_LEADER`. */
  transferLeadership(target: NodeId, timeoutMs: number): Promise<NodeId>;
  /** Called on every change of role, term or leader. */
  onLeadership(listener: (status: RaftStatus) => void): void;
  /** From now on: no new leadership is taken (TimeoutNow is refused, no campaign). */
  beginStop(): void;
}
