/** Named maxima of the data path: sizes in bytes, times in milliseconds. */
import { KIB, MIB, MINUTE_MS, SECOND_MS } from '../common/units.ts';

export const LIMITS = {
  /** Values up to here are gathered whole and travel with their stage-end in one message. */
  smallBytesMax: 256 * KIB,
  /** Inline values of one transaction, together; what does not fit goes to volumes. */
  inlineEntryBytesMax: 64 * KIB,
  /** One command, of which all must fit into a message to a follower: a transaction of more is refused. */
  commandBytesMax: 2 * MIB,
  /** Data of one staged chunk. */
  chunkBytes: 256 * KIB,
  /** Chunks on the way to one volume that it has not acknowledged. */
  unacknowledgedChunksMax: 8,
  /** Chunks kept from the first one on, so that a spare can still step in. */
  heldChunksMax: 16,
  /** A body without a piece for so long is given up; the surface that it comes through may be stricter. */
  pieceTimeoutMs: MINUTE_MS,
  /** A volume without progress for so long is left out of a staging or a read. */
  stallMs: SECOND_MS,
  /** How often a running commit looks at its deadlines. */
  commitTickMs: 100,
  /** How long news of a decision wait for other messages to the same volume. */
  settleLingerMs: 100,
  /** A write waits so long for a leader to be known; several elections fit in. */
  leaderPatienceMs: SECOND_MS,
  /** A proposal without outcome is handed over again. */
  reproposeMs: 500,
  /** How long an outcome is still awaited after the client was told that it is unknown. */
  lateOutcomeMs: 2 * MINUTE_MS,
  /** Data of one fetch: as a chunk is stored, so that it is one record of the volume and has its CRC. */
  pieceBytes: 256 * KIB,
  /** Fetches of one read that run at once. */
  piecesAheadMax: 8,
  /** Body and fetched bytes held for requests of each kind; more requests are refused. */
  writeBytesMax: 256 * MIB,
  readBytesMax: 256 * MIB,
  /** Largest value that the blob cache keeps. */
  cachedBlobBytesMax: 256 * KIB,
} as const;
