/**
 * Messages between Raft cores. All carry sender, receiver, term and the boot ids of both ends as the
 * sender knows them, so that an acknowledgement from before a restart is seen for what it is.
 */
import type { LogIndex, NodeId, Term } from '../common/ids.ts';
import type { Entry, LogPoint, ProposalRefusal } from './types.ts';

export interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; of the next term in pre-votes; 0 in proposals. */
  readonly term: Term;
  /** The sender's boot id. */
  readonly fromBoot: number;
  /** The receiver's boot id as last heard by the sender, 0 where unknown. */
  readonly toBoot: number;
}

/** Asks for a vote (or, with `pre`, whether one would be given). Raft paper, 5.2 and 5.4; thesis 9.6. */
export interface VoteRequest extends Envelope {
  readonly kind: 'vote-request';
  readonly pre: boolean;
  readonly last: LogPoint;
  /** Leadership transfer: voters do not wait for their election timeout. */
  readonly transfer: boolean;
  /** The connection to the leader of the candidate's term closed: voters that saw it too agree at once. */
  readonly leaderSuspected: boolean;
}

export interface VoteReply extends Envelope {
  readonly kind: 'vote-reply';
  readonly pre: boolean;
  readonly granted: boolean;
}

/** Entries after `previous`. Raft paper, 5.3. */
export interface AppendRequest extends Envelope {
  readonly kind: 'append-request';
  readonly previous: LogPoint;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  /** The leader's last index when this left: the exit mark of a recovering receiver. */
  readonly lastIndex: LogIndex;
}

/** Sent only when the entries it speaks of are durable. */
export interface AppendReply extends Envelope {
  readonly kind: 'append-reply';
  readonly success: boolean;
  /** Success: last index known to match and durable. Refusal: the `previous.index` refused. */
  readonly index: LogIndex;
  /** Refusal: where the leader should look next (the follower's hint). */
  readonly hint: LogPoint;
  readonly recovering: boolean;
  /** It is about to end, and will never lead. */
  readonly stopping: boolean;
}

export interface HeartbeatRequest extends Envelope {
  readonly kind: 'heartbeat-request';
  /** At most what the receiver is known to match. */
  readonly commit: LogIndex;
  /** Newest read round that this confirms, 0: none. Unique within the term. */
  readonly readToken: number;
  readonly lastIndex: LogIndex;
}

export interface HeartbeatReply extends Envelope {
  readonly kind: 'heartbeat-reply';
  readonly readToken: number;
  readonly recovering: boolean;
  readonly stopping: boolean;
}

/** A whole snapshot of `point` has been staged at the receiver by the driver. */
export interface SnapshotStaged extends Envelope {
  readonly kind: 'snapshot-staged';
  readonly point: LogPoint;
}

/** Leadership transfer: campaign now. Thesis 3.10. */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now';
}

/** Commands from a follower's gateway. Answered only when surely not appended. */
export interface ProposeForward extends Envelope {
  readonly kind: 'propose';
  readonly proposalId: number;
  readonly commands: readonly Uint8Array[];
}

export interface ProposeRefused extends Envelope {
  readonly kind: 'propose-refused';
  readonly proposalId: number;
  readonly reason: ProposalRefusal;
}

/**
 * One request for all the reads that wait at a follower when it leaves. Thesis 6.4. Its term says which leader the
 * sender knew then; 0: that counts for nothing, as its votes do not count.
 */
export interface ReadRequest extends Envelope {
  readonly kind: 'read-request';
  readonly requestId: number;
}

/** `index` 0: refused, ask again. */
export interface ReadReply extends Envelope {
  readonly kind: 'read-reply';
  readonly requestId: number;
  readonly index: LogIndex;
}

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | HeartbeatRequest
  | HeartbeatReply
  | SnapshotStaged
  | TimeoutNow
  | ProposeForward
  | ProposeRefused
  | ReadRequest
  | ReadReply;
