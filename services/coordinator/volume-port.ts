/**
 * Volumes as the coordinator sees them: `VolumeDirectory` knows who is where and well,
 * `VolumeClient` moves bytes. Implemented in volume-registry.ts and volume-client.ts.
 */
import type { CopyId, Digest, DiskId, Session, TxnId } from '../common/ids.ts';

/** A live volume: heard within five seconds, its stream open. */
export interface LiveVolume {
  readonly disk: DiskId;
  readonly session: Session;
  readonly name: string;
  /** host:port by name; what is behind a name may lag behind a move. */
  readonly grpcAddress: string;
  /** host:port where this very process said that it is; may be empty. */
  readonly directAddress: string;
  /** Rises at each start of the volume. */
  readonly bootId: number;
  readonly httpAddress: string;
  readonly zone: string;
  readonly capacityBytes: number;
  readonly freeBytes: number;
  readonly usedBytes: number;
  readonly copies: number;
  readonly acceptsWrites: boolean;
  readonly leaving: boolean;
  readonly version: string;
  readonly fsyncPolicy: string;
  /** Bad places that it has found in its files in this boot; only rises. */
  readonly damage: number;
  /** When it was heard, by the monotonic clock. */
  readonly heardAtMs: number;
  /** Failed or stalled on the data path since it was last heard: the last choice for new work. */
  readonly suspected?: boolean;
}

export interface VolumeDirectory {
  live(): readonly LiveVolume[];
  find(disk: DiskId): LiveVolume | undefined;
  /** The data path failed or stalled: avoid this disk for new work until it is heard again. */
  suspect(disk: DiskId): void;
  /** Called when a volume comes, goes or changes. */
  onChange(listener: () => void): void;
}

export interface VoteResult {
  readonly disk: DiskId;
  readonly session: Session;
}

/** Whoever waits for a vote; one of the two is called, once and never before `stageWhole` returns. */
export interface VoteListener {
  voted(vote: VoteResult): void;
  failed(error: Error): void;
}

export interface FetchResult {
  readonly data: Uint8Array;
  readonly sizeBytes: number;
}

/** What a disk says of one copy. `bad`: there, and known unsound. */
export type CopyCondition = 'sound' | 'absent' | 'bad';

/** Conditions in the order asked, as the disk sees them in `session`. */
export interface CheckResult {
  readonly session: Session;
  readonly conditions: readonly CopyCondition[];
}

/** A small value with the end of its staging. */
export interface WholeValueCopy {
  readonly copyId: CopyId;
  readonly txnId: TxnId;
  readonly owner: Uint8Array;
  readonly digest: Digest;
  readonly data: Uint8Array;
}

/** Every call fails with a KvError: `UNAVAILABLE` when the stream is away or breaks, or the volume's code. */
export interface VolumeClient {
  stageChunk(
    disk: DiskId,
    chunk: {
      readonly copyId: CopyId;
      readonly chunkNo: number;
      readonly offset: number;
      readonly data: Uint8Array;
      /** CRC-32 of `data`, made once for all disks. */
      readonly crc: number;
      readonly declaredBytes: number;
    },
  ): Promise<void>;
  stageEnd(
    disk: DiskId,
    end: {
      readonly copyId: CopyId;
      readonly txnId: TxnId;
      readonly owner: Uint8Array;
      readonly sizeBytes: number;
      readonly digest: Digest;
    },
  ): Promise<VoteResult>;
  /** Cheapest where the same object goes to several disks in turn. */
  stageWhole(disk: DiskId, whole: WholeValueCopy, listener: VoteListener): void;
  /** Results in the order of `copyIds`: true done, false not found. Batched by turn. */
  settle(
    disk: DiskId,
    action: 'finalize' | 'discard' | 'drop',
    copyIds: readonly CopyId[],
  ): Promise<readonly boolean[]>;
  /**
   * @throws KvError `NOT_FOUND` (absent), `CORRUPT` (bad copy), `UNREADABLE` (its disk refused),
   * `UNAVAILABLE`, `DEADLINE_EXCEEDED`.
   */
  fetch(
    disk: DiskId,
    copyId: CopyId,
    range: { offset: number; length: number; timeoutMs: number },
  ): Promise<FetchResult>;
  pull(
    disk: DiskId,
    order: {
      readonly copyId: CopyId;
      readonly txnId: TxnId;
      readonly owner: Uint8Array;
      readonly sizeBytes: number;
      readonly digest: Digest;
      readonly sourceDisk: DiskId;
      readonly sourceCopyId: CopyId;
    },
  ): Promise<VoteResult>;
  /**
   * Asks about at most 1000 copies that records name. `endsWalkOf`: with these, all that records name on
   * the disk were asked about in that session, so what nobody can be asked about goes; else null.
   */
  check(disk: DiskId, copyIds: readonly CopyId[], endsWalkOf: Session | null): Promise<CheckResult>;
}
