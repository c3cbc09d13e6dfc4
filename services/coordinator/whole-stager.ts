/**
 * Stages a small value: bytes and end travel in one message, so nothing leaves before the vote is
 * asked for, and any spare may step in at any time.
 */
import { present } from '../common/assert.ts';
import type { Clock } from '../common/clock.ts';
import { type BlobId, copyOfWrite, type Digest, type DiskId, type TxnId } from '../common/ids.ts';
import { Debts, type Stager, type StagerEvents } from './stager.ts';
import type { VolumeClient, WholeValueCopy } from './volume-port.ts';

export interface WholeValue {
  readonly blobId: BlobId;
  readonly owner: Uint8Array;
  readonly data: Uint8Array;
  readonly digest: Digest;
}

export class WholeStager implements Stager {
  readonly #components: { readonly clock: Clock; readonly volumes: VolumeClient };
  readonly #value: Omit<WholeValue, 'data'>;
  readonly size: number;
  #data: Uint8Array | null;
  readonly #debts = new Debts();
  #events: StagerEvents | null = null;
  /** What every volume is sent. */
  #copy: WholeValueCopy | null = null;
  readonly held = true;

  constructor(
    components: { readonly clock: Clock; readonly volumes: VolumeClient },
    { data, ...value }: WholeValue,
  ) {
    this.#components = components;
    this.#value = value;
    this.size = data.length;
    this.#data = data;
  }

  get blobId(): BlobId {
    return this.#value.blobId;
  }

  get digest(): Digest {
    return this.#value.digest;
  }

  listen(events: StagerEvents): void {
    this.#events = events;
  }

  stage(disk: DiskId): void {
    this.#debts.join(disk);
    this.#events?.sent(disk);
  }

  end(disk: DiskId, txnId: TxnId): void {
    const { clock, volumes } = this.#components;
    this.#debts.owe(disk, clock.monotonicMs());
    this.#copy ??= this.#copyFor(txnId);
    volumes.stageWhole(disk, this.#copy, {
      voted: ({ session }) => {
        if (!this.#debts.has(disk)) return;
        this.#debts.paid(disk);
        this.#events?.voted(disk, session);
      },
      failed: (error) => {
        if (this.#debts.has(disk)) this.#events?.failed(disk, error);
      },
    });
  }

  #copyFor(txnId: TxnId): WholeValueCopy {
    const { blobId, owner, digest } = this.#value;
    const data = present(this.#data, 'bytes that were dropped');
    return { copyId: copyOfWrite(blobId), txnId, owner, digest, data };
  }

  release(disk: DiskId): void {
    this.#debts.leave(disk);
  }

  dropBytes(): void {
    this.#data = null;
    this.#copy = null;
  }

  stalled(sinceMs: number): readonly DiskId[] {
    return this.#debts.before(sinceMs);
  }
}
