/**
 * The nouns of the Raft core. The core is sans-IO: the same state and the same input give the same
 * output. Clock, disk and network are the caller's; `Ready` says what it must do with them and in
 * which order.
 */
import { type LogIndex, logIndex, type NodeId, type Term, term } from '../common/ids.ts';
import type { Message } from './messages.ts';

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  /** `noop` is the first entry of every leader; only `command` reaches the state machine's apply. */
  readonly kind: 'noop' | 'command';
  readonly data: Uint8Array;
}

/** What a node must never forget: term and vote of that term (0: none). */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
}

/** A point of the log that a snapshot stands for. */
export interface LogPoint {
  readonly index: LogIndex;
  readonly term: Term;
}

/** For machines and logs that hold nothing yet. */
export const NO_POINT: LogPoint = { index: logIndex(0), term: term(0) };

export interface RaftOptions {
  readonly self: NodeId;
  /** All voters, `self` among them. */
  readonly voters: readonly NodeId[];
  /** Rises at each start of the process; rides in every message and is echoed. */
  readonly bootId: number;
  readonly heartbeatTicks: number;
  /** An election timeout is drawn from [min, 2 x min) ticks each time. */
  readonly electionTicksMin: number;
  /** A whole number in [0, bound): the only randomness of the core. */
  readonly randomBelow: (bound: number) => number;
  readonly limits: RaftLimits;
}

/** Named maxima. Beyond them proposals are refused or sending pauses; nothing grows without bound. */
export interface RaftLimits {
  /**
   * Bytes of entries not yet committed, or not yet on the leader's own disk: followers may commit without
   * it while a sync hangs. More are refused as `overloaded`.
   */
  readonly uncommittedBytesMax: number;
  /** Entry bytes of one append message. */
  readonly appendBytesMax: number;
  /** Append messages on the way to one follower. */
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
}

/** What a node finds on its disk at start. */
export interface InitialState {
  readonly hardState: HardState;
  /** The point before the first entry: last compacted or installed, 0/0 on a fresh log. */
  readonly base: LogPoint;
  /** Contiguous entries from `base.index + 1`. */
  readonly entries: readonly Entry[];
  /** Known committed at least, that is: applied and flushed by the state machine. */
  readonly applied: LogIndex;
  /** Log loss was detected: stores and acknowledges, never votes nor campaigns (raft recovering). */
  readonly recovering: boolean;
}

/** Why a proposal was surely not appended; anything else is learned from apply. */
export type ProposalRefusal =
  | 'no-leader'
  | 'not-leader'
  | 'overloaded'
  | 'transferring'
  | 'stopping';

/** A read that may be answered once the state machine has applied `index`. */
export interface ReadState {
  readonly readId: number;
  readonly index: LogIndex;
}

/** A follower lacks entries that the log no longer holds: send it a snapshot, report the end of it. */
export interface SnapshotRequest {
  readonly to: NodeId;
}

/**
 * Work for the caller, in this order: send `messages` at once (also the leader's appends, which may
 * leave before its own sync); make `hardState`, `truncateFrom`, `entries` durable with one sync; only
 * then send `messagesAfterPersist` and call `persisted`. `committed` may be applied at once, ahead of
 * the own disk; a state machine's flush must not run ahead of it.
 */
export interface Ready {
  readonly hardState: HardState | null;
  /** Entries of this index and above on disk are void; cut them before appending `entries`. */
  readonly truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
  readonly messages: readonly Message[];
  readonly messagesAfterPersist: readonly Message[];
  readonly committed: readonly Entry[];
  readonly reads: readonly ReadState[];
  /** Reads whose round was lost; ask again or fail them. */
  readonly lostReads: readonly number[];
  readonly refusedProposals: readonly {
    readonly proposalId: number;
    readonly reason: ProposalRefusal;
  }[];
  readonly snapshotRequests: readonly SnapshotRequest[];
  /** A complete, staged snapshot to install now; call `snapshotInstalled` after it is durable. */
  readonly installSnapshot: LogPoint | null;
  /** Recovering has ended by its exit rule: persist that. */
  readonly recovered: boolean;
}

export interface RaftStatus {
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId;
  /** 0: unknown. */
  readonly leader: NodeId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly lastIndex: LogIndex;
  readonly baseIndex: LogIndex;
  /** Data of all entries that the log has, in memory too. */
  readonly logBytes: number;
  readonly recovering: boolean;
  readonly transferTarget: NodeId;
  /** Ticks since the leader was last heard (0 on the leader itself). */
  readonly leaderContactTicks: number;
  /** Leader only: what it knows of each other voter. */
  readonly peers: readonly PeerStatus[];
}

export interface PeerStatus {
  readonly node: NodeId;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly recentlyActive: boolean;
  readonly recovering: boolean;
  /** It has said that it is about to end: it will not lead. */
  readonly stopping: boolean;
}
