/**
 * How coordinators tell each other what their states are. Best effort: what is lost is told again.
 * Implemented by grpc/peer-links.ts.
 */
import type { LogIndex, NodeId } from '../common/ids.ts';

/** What a state was at an index: 16 hex digits over all rows. */
export interface StateDigest {
  readonly index: LogIndex;
  readonly digest: string;
}

export interface StateListener {
  /** A peer of the same row format says this of its state. */
  onDigest(from: NodeId, digest: StateDigest): void;
  /** A stream with this peer closed: it may come back with another state. */
  onPeerClosed(peer: NodeId): void;
}

export interface StateExchange {
  /** To every peer that is connected. */
  tellDigest(digest: StateDigest): void;
  /** Called once, before the first `tellDigest`. */
  listenForDigests(listener: StateListener): void;
}

/** What peers have said of the commands and rows that they know. */
export interface PeerFormats {
  /** Every one knows those of `format`, by its newest hello; false where one has said none yet. */
  everyPeerKnows(format: number): boolean;
}
