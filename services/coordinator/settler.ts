/**
 * Tells volumes what became of their copies, after the decision and outside of any request. All of
 * it may get lost: a volume that was not told asks. A finalize that finds no copy means that a
 * record names a copy which is not there, so the key is reported thin.
 */
import type { Clock } from '../common/clock.ts';
import { failpoint } from '../common/failpoint.ts';
import { type BlobId, type CopyId, copyOfWrite, type DiskId } from '../common/ids.ts';
import type { Consensus } from '../consensus/types.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metadata } from './metadata-port.ts';
import type { VolumeClient } from './volume-port.ts';

export interface SettlerComponents {
  readonly clock: Clock;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly volumes: VolumeClient;
  readonly logger: Logger;
}

/** A copy that its volume is to keep. */
interface Kept {
  readonly key: Uint8Array;
  readonly blobId: BlobId;
}

export class Settler {
  readonly #components: SettlerComponents;
  /** Decided in this turn of the loop: they are told together. A new map each time, for what `InFlight` says of old ones. */
  #kept = new Map<DiskId, Kept[]>();

  constructor(components: SettlerComponents) {
    this.#components = components;
  }

  /**
   * Finalizes the copies of `blobId` that the applied record of `key` names. Copies that apply has
   * struck are left to their volumes' questions.
   */
  finalize(key: Uint8Array, blobId: BlobId, disks: readonly DiskId[]): void {
    const record = this.#components.metadata.record(key);
    if (record?.blobId !== blobId) return;
    if (this.#kept.size === 0) this.#components.clock.soon(() => this.#tellKept());
    for (const { disk } of record.copies) {
      if (!disks.includes(disk)) continue;
      failpoint('gateway.finalizing', key);
      const kept = this.#kept.get(disk);
      if (kept === undefined) this.#kept.set(disk, [{ key, blobId }]);
      else kept.push({ key, blobId });
    }
  }

  /** Drops staged copies that no record can name. */
  discard(blobId: BlobId, disks: readonly DiskId[]): void {
    failpoint('gateway.discarding');
    for (const disk of disks) {
      this.#settle(disk, 'discard', [copyOfWrite(blobId)], () => undefined);
    }
  }

  #tellKept(): void {
    const all = this.#kept;
    this.#kept = new Map();
    for (const [disk, kept] of all) {
      const copyIds = kept.map(({ blobId }) => copyOfWrite(blobId));
      this.#settle(disk, 'finalize', copyIds, (results) => {
        for (const [at, { key, blobId }] of kept.entries()) {
          failpoint('gateway.finalized', key);
          if (results[at] === false) this.#suspect(key, blobId, disk);
        }
      });
    }
  }

  #settle(
    disk: DiskId,
    action: 'finalize' | 'discard',
    copyIds: readonly CopyId[],
    settled: (results: readonly boolean[]) => void,
  ): void {
    const { volumes, logger } = this.#components;
    volumes
      .settle(disk, action, copyIds)
      .then(settled, (error: unknown) =>
        logger.debug({ disk, action, error }, 'volume not told of a decision'),
      );
  }

  #suspect(key: Uint8Array, blobId: BlobId, disk: DiskId): void {
    const command = { kind: 'suspect', key, blobId, disk, copyId: copyOfWrite(blobId) } as const;
    this.#components.consensus.propose(encodeCommand(command), () => undefined);
  }
}
