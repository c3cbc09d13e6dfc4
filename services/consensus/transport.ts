/** The network as the consensus driver sees it. */
import type { ClusterId, NodeId } from '../common/ids.ts';
import type { Message } from '../raft/messages.ts';
import type { LogPoint } from '../raft/types.ts';

/** A piece of a snapshot on its way to a follower. */
export interface SnapshotChunk {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly point: LogPoint;
  readonly totalBytes: number;
  /** CRC-32 of the whole snapshot file. */
  readonly fileCrc: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** How many bytes of that snapshot the follower holds durably: where the sender goes on. */
export interface SnapshotProgress {
  readonly heldBytes: number;
  readonly staged: boolean;
}

export interface TransportHandlers {
  onMessages(messages: readonly Message[]): void;
  /** A link to a peer opened. */
  onOpened(): void;
  /** The link from `peer` closed: a hint that it may have died. */
  onClosed(peer: NodeId): void;
  onSnapshotChunk(chunk: SnapshotChunk): Promise<SnapshotProgress>;
}

export interface Transport {
  /** Begins delivering; called once, before the first `send`. */
  listen(handlers: TransportHandlers): void;
  /**
   * Sends what it can, never waits and never throws: messages to a peer that is away, or whose queue
   * is full, are dropped. Order to one peer is kept. Messages of one call to one peer leave together.
   */
  send(messages: readonly Message[]): void;
  /** @throws KvError `UNAVAILABLE` when the peer is away or the deadline passes. */
  sendSnapshotChunk(chunk: SnapshotChunk): Promise<SnapshotProgress>;
}

/** Who this node is, as stored in its folder. */
export interface Identity {
  readonly clusterId: ClusterId;
  readonly node: NodeId;
  readonly name: string;
  readonly members: readonly Member[];
}

export interface Member {
  readonly node: NodeId;
  readonly name: string;
  /** host:port of its gRPC listener; a hint, resolved anew at each connection. */
  readonly address: string;
}
