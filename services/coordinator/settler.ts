/**
 * Tells volumes what became of their copies, after the decision and outside of any request. All of
 * it may get lost: a volume that was not told asks. A finalize that finds no copy means that a
 * record names a copy which is not there, so the key is reported thin.
 */
import { failpoint } from '../common/failpoint.ts';
import type { BlobId, DiskId } from '../common/ids.ts';
import { copyId } from '../common/ids.ts';
import type { Consensus } from '../consensus/types.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metadata } from './metadata-port.ts';
import type { VolumeClient } from './volume-port.ts';

export interface SettlerComponents {
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly volumes: VolumeClient;
  readonly logger: Logger;
}

export class Settler {
  readonly #components: SettlerComponents;

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
    for (const copy of record.copies) {
      if (!disks.includes(copy.disk)) continue;
      failpoint('gateway.finalizing', key);
      this.#settle(copy.disk, 'finalize', blobId, (isThere) => {
        failpoint('gateway.finalized', key);
        if (!isThere) this.#suspect(key, blobId, copy.disk);
      });
    }
  }

  /** Drops staged copies that no record can name. */
  discard(blobId: BlobId, disks: readonly DiskId[]): void {
    failpoint('gateway.discarding');
    for (const disk of disks) this.#settle(disk, 'discard', blobId, () => undefined);
  }

  #settle(
    disk: DiskId,
    action: 'finalize' | 'discard',
    blobId: BlobId,
    answered: (isThere: boolean) => void,
  ): void {
    const { volumes, logger } = this.#components;
    volumes.settle(disk, action, [copyId(blobId)]).then(
      ([isThere]) => answered(isThere ?? true),
      (error: unknown) => logger.debug({ disk, action, error }, 'volume not told of a decision'),
    );
  }

  #suspect(key: Uint8Array, blobId: BlobId, disk: DiskId): void {
    const command = { kind: 'suspect', key, blobId, disk, copyId: copyId(blobId) } as const;
    this.#components.consensus.propose(encodeCommand(command), () => undefined);
  }
}
