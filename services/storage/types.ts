/**
 * The nouns of the storage engine. A volume knows copies, never keys: `owner` is opaque bytes that it
 * echoes when it asks what became of a staged copy.
 */
import type { Clock } from '../common/clock.ts';
import type { KvError } from '../common/errors.ts';
import type { CopyId, Digest, TxnId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import type { Disk } from '../disk/disk.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The state of a copy is the maximum of its records, in whatever order they are read. */
export type CopyState = 'open' | 'staged' | 'committed' | 'dropped';

/** When bytes reach the disk: before the vote, every so many milliseconds, or when the system likes. */
export type FsyncPolicy =
  | { readonly kind: 'always' }
  | { readonly kind: 'interval'; readonly intervalMs: number }
  | { readonly kind: 'never' };

export interface StageEnd {
  readonly copyId: CopyId;
  readonly txnId: TxnId;
  readonly owner: Uint8Array;
  readonly sizeBytes: number;
  readonly digest: Digest;
}

export interface StageChunk {
  readonly copyId: CopyId;
  /** 0, 1, 2 … without gaps. */
  readonly chunkNo: number;
  /** Bytes before this chunk. */
  readonly offset: number;
  /** 1 byte to 1 MiB. */
  readonly data: Uint8Array;
  /** CRC-32 of `data`. */
  readonly crc: number;
  /** Bytes to reserve, from the first chunk; 0 where unknown. */
  readonly declaredBytes: number;
}

export interface CopyInfo {
  readonly copyId: CopyId;
  readonly state: CopyState;
  /** All zeros, and the owner empty, where no record says it: open, dropped, unsound and refused copies. */
  readonly txnId: TxnId;
  readonly owner: Uint8Array;
  readonly sizeBytes: number;
  /** False where its bytes are known to be bad, or its record was read and does not verify. */
  readonly sound: boolean;
  /** The disk did not let its record be read just now: its owner is missing here, and nothing else is known. */
  readonly refused: boolean;
  /** Milliseconds since it was staged in this life of the process; Infinity from before. */
  readonly stagedForMs: number;
}

/**
 * What reading answered; never null. `torn` and `corrupt` copies are bad, and told apart from absent.
 * `refused`: the disk did not let its bytes be seen, so nothing is known of them.
 */
export type ReadResult =
  | {
      readonly kind: 'found';
      readonly data: Uint8Array;
      readonly sizeBytes: number;
      /** CRC-32 of `data` as it stands on the disk; null where `data` is not that of one record. */
      readonly crc: number | null;
    }
  | { readonly kind: 'absent' }
  | { readonly kind: 'torn' }
  | { readonly kind: 'corrupt'; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string };

export type SettleResult = 'ok' | 'not-found';

export interface OpenReport {
  readonly copies: number;
  readonly fromSnapshot: boolean;
  readonly replayedRecords: number;
  readonly openMs: number;
  /** The last stop sealed everything, and nothing of it is damaged or gone. */
  readonly clean: boolean;
  /** Bytes cut from a torn, unsynced tail. */
  readonly tornBytes: number;
  /** Records found damaged below the durable mark: quarantined, never truncated. */
  readonly corruptRecords: readonly {
    readonly segment: number;
    readonly offset: number;
    readonly why: string;
  }[];
}

export interface EngineUsage {
  readonly copies: number;
  /** Bytes of committed and staged values. */
  readonly liveBytes: number;
  /** Bytes on disk in segments, dead ones included. */
  readonly diskBytes: number;
  readonly freeBytes: number;
  readonly capacityBytes: number;
  readonly unsyncedBytes: number;
  readonly segments: number;
  readonly indexBytes: number;
  readonly syncs: number;
  readonly corruptRecords: number;
}

/** A value that comes in one piece. */
export interface WholeCopy {
  readonly end: StageEnd;
  readonly data: Uint8Array;
}

/**
 * One volume's segment store. All calls may run at the same time; records of one loop turn share one
 * write and one sync. Any write or sync error fails the engine for good: it refuses everything with
 * `DISK_FAILED` and calls `onFailure`, and the process must exit.
 */
export interface StorageEngine {
  readonly report: OpenReport;
  /**
   * Appends one chunk of an open copy; resolves once written (not synced), which is the sender's
   * window. @throws KvError `NO_SPACE`, `OUT_OF_RANGE` (gap or overlap), `CHECKSUM_MISMATCH`,
   * `ALREADY_EXISTS` (already staged).
   */
  stageChunk(chunk: StageChunk): Promise<void>;
  /**
   * Ends an open copy: checks size and BLAKE3 and appends the end record; resolves once durable as
   * the fsync policy says (`forceSync`: synced whatever the policy). A repeat with the same digest
   * resolves again. @throws KvError `CHECKSUM_MISMATCH`, `ALREADY_EXISTS` (another digest),
   * `NOT_FOUND` (no such open copy, or already dropped), `NO_SPACE`.
   */
  stageEnd(end: StageEnd, forceSync?: boolean): Promise<void>;
  /** A small value (at most 1 MiB, may be empty) in one record: chunk and end at once. */
  stageWhole(end: StageEnd, data: Uint8Array, forceSync?: boolean): Promise<void>;
  /** Many of them at once; answers of each why it was refused, or null once it is staged. */
  stageWholes(values: readonly WholeCopy[]): Promise<readonly (Error | null)[]>;
  /** STAGED -> COMMITTED; only ends the asking. Not waited for by any acknowledgement. */
  finalize(copyId: CopyId): Promise<SettleResult>;
  /** Many of them at once. */
  finalizeAll(copyIds: readonly CopyId[]): Promise<readonly SettleResult[]>;
  /** Any state -> DROPPED; resolves once durable. Unknown is `ok`. Running reads keep their bytes. */
  drop(copyId: CopyId): Promise<SettleResult>;
  /** Drops an OPEN copy whose stream broke; staged and later ones are left alone. */
  dropIfOpen(copyId: CopyId): Promise<void>;
  /** At most 1 MiB of a staged or committed copy from `offset`, every touched record's CRC checked. */
  read(copyId: CopyId, offset: number, length: number): Promise<ReadResult>;
  /** Bytes of a staged or committed copy, from memory alone; null where it is absent or known to be damaged. */
  sizeOf(copyId: CopyId): number | null;
  /** undefined: never heard of it (bloom filter and index agree). Reads owner and txn from disk. */
  info(copyId: CopyId): Promise<CopyInfo | undefined>;
  /**
   * Staged, committed and dropped copies in the order of their ids, after `after`; for reconcile,
   * verify and the asking. Open copies are never listed.
   */
  list(
    after: CopyId | null,
    limit: number,
    states: readonly CopyState[],
  ): Promise<readonly CopyInfo[]>;
  /** Staged copies whose owner can be read, at least `olderThanMs` old, oldest first, at most `limit`. */
  staged(olderThanMs: number, limit: number): Promise<readonly CopyInfo[]>;
  usage(): EngineUsage;
  /** One step of compaction where it is worth it; true when something was done. */
  compactOnce(signal?: AbortSignal): Promise<boolean>;
  /** Bytes that compaction may read in a second from now on; 0: as fast as it goes. */
  setCompactionRate(bytesPerSecond: number): void;
  /** Reads every durable record once at the given rate and quarantines bad ones. */
  scrub(
    bytesPerSecond: number,
    signal: AbortSignal,
  ): Promise<{ readonly checked: number; readonly bad: number }>;
  /** Seals, syncs, writes the index snapshot and the clean mark, releases the lock. */
  close(): Promise<void>;
}

export interface EngineComponents {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface FolderReport {
  /** The life before this one ended by `close`: all that its index snapshot names must be there. */
  readonly endedCleanly: boolean;
  /** Slots of the identity that did not verify; the other one served. */
  readonly damagedSlots: number;
}

export interface EngineOptions {
  readonly dataPath: string;
  /** Folder of the active segment; may be below the data path. */
  readonly walPath: string;
  readonly fsync: FsyncPolicy;
  /** 4 KiB to almost 2 GiB; default 64 MiB. */
  readonly segmentBytes?: number;
  /** Fewest records between two index snapshots of a running engine; default 65,536. */
  readonly snapshotRecordsMin?: number;
  /** Free bytes below which staging is refused. */
  readonly reserveBytes: number;
  /** 0: as fast as it goes. */
  readonly compactionBytesPerSecond: number;
  /** Value bytes that the volume may hold; 0: what the disk has. */
  readonly capacityBytes: number;
  /** What the volume folder said when it was opened; default: nothing. */
  readonly folder?: FolderReport;
  /** Called once, with the cause, when a write or sync has failed: the process must exit. */
  readonly onFailure: (error: KvError) => void;
}
