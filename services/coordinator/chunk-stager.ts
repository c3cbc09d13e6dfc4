/**
 * Streams a large value to its volumes. All volumes read one row of chunks, each at its own place;
 * chunks that every volume has acknowledged are let go, except the first ones, which stay while they
 * are few so that a spare can begin at the beginning. `push` waits while the slowest volume is a
 * window behind.
 */
import { assert, present } from '../common/assert.ts';
import { crc32 } from '../common/checksum.ts';
import type { Clock } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { type BlobId, copyId, type Digest, type DiskId, type TxnId } from '../common/ids.ts';
import { LIMITS } from './limits.ts';
import { Debts, type Stager, type StagerEvents } from './stager.ts';
import type { VolumeClient } from './volume-port.ts';

export interface StreamedValue {
  readonly blobId: BlobId;
  readonly owner: Uint8Array;
  /** Space to reserve; 0 where unknown. */
  readonly declaredBytes: number;
}

/** How far one volume is, in chunks from the first. */
interface Lane {
  readonly disk: DiskId;
  nextChunk: number;
  acknowledged: number;
  isSent: boolean;
}

export class ChunkStager implements Stager {
  readonly #components: { readonly clock: Clock; readonly volumes: VolumeClient };
  readonly #value: StreamedValue;
  readonly #debts = new Debts();
  readonly #lanes = new Map<DiskId, Lane>();
  #events: StagerEvents | null = null;
  /** chunks[i] has chunk number firstChunk + i. */
  #chunks: { readonly offset: number; readonly data: Uint8Array; readonly crc: number }[] = [];
  #firstChunk = 0;
  #bytes = 0;
  #digest: Digest | null = null;
  #roomFreed: (() => void) | null = null;

  constructor(
    components: { readonly clock: Clock; readonly volumes: VolumeClient },
    value: StreamedValue,
  ) {
    this.#components = components;
    this.#value = value;
  }

  get blobId(): BlobId {
    return this.#value.blobId;
  }

  get size(): number {
    return this.#bytes;
  }

  get digest(): Digest {
    return present(this.#digest, 'digest of an unfinished value');
  }

  get held(): boolean {
    return this.#firstChunk === 0;
  }

  listen(events: StagerEvents): void {
    this.#events = events;
  }

  /** Takes the next chunk (1 byte to 256 KiB); resolves once there is room for another. */
  async push(data: Uint8Array): Promise<void> {
    assert(data.length > 0, 'an empty chunk');
    assert(data.length <= LIMITS.chunkBytes, 'a chunk too large');
    this.#chunks.push({ offset: this.#bytes, data, crc: crc32(data) });
    this.#bytes += data.length;
    for (const lane of this.#lanes.values()) this.#pump(lane);
    if (this.#hasRoom()) return;
    await new Promise<void>((resolve) => {
      this.#roomFreed = resolve;
    });
  }

  /** No more chunks: the value is whole and has this digest. */
  finish(digest: Digest): void {
    this.#digest = digest;
    for (const lane of [...this.#lanes.values()]) this.#pump(lane);
  }

  stage(disk: DiskId): void {
    const lane = { disk, nextChunk: 0, acknowledged: 0, isSent: false };
    this.#debts.join(disk);
    this.#lanes.set(disk, lane);
    this.#pump(lane);
  }

  end(disk: DiskId, txnId: TxnId): void {
    const { clock, volumes } = this.#components;
    const { blobId, owner } = this.#value;
    this.#debts.owe(disk, clock.monotonicMs());
    const vote = volumes.stageEnd(disk, {
      copyId: copyId(blobId),
      txnId,
      owner,
      sizeBytes: this.#bytes,
      digest: this.digest,
    });
    report(vote, () => this.#debts.has(disk), {
      done: ({ session }) => {
        this.#debts.paid(disk);
        this.#events?.voted(disk, session);
      },
      failed: (error) => this.#events?.failed(disk, error),
    });
  }

  release(disk: DiskId): void {
    this.#debts.leave(disk);
    this.#lanes.delete(disk);
    this.#letGo();
  }

  dropBytes(): void {
    for (const disk of [...this.#lanes.keys()]) this.#debts.leave(disk);
    this.#lanes.clear();
    this.#firstChunk = this.#end();
    this.#chunks = [];
  }

  stalled(sinceMs: number): readonly DiskId[] {
    return this.#debts.before(sinceMs);
  }

  #end(): number {
    return this.#firstChunk + this.#chunks.length;
  }

  #slowest(): number {
    let slowest = this.#end();
    for (const lane of this.#lanes.values()) slowest = Math.min(slowest, lane.acknowledged);
    return slowest;
  }

  #hasRoom(): boolean {
    return this.#end() - this.#slowest() < LIMITS.unacknowledgedChunksMax;
  }

  #pump(lane: Lane): void {
    const { clock } = this.#components;
    const end = this.#end();
    while (
      lane.nextChunk < end &&
      lane.nextChunk - lane.acknowledged < LIMITS.unacknowledgedChunksMax
    ) {
      this.#debts.oweFirst(lane.disk, clock.monotonicMs());
      this.#send(lane, lane.nextChunk);
      lane.nextChunk += 1;
    }
    if (this.#digest !== null && lane.acknowledged === end && !lane.isSent) {
      lane.isSent = true;
      this.#events?.sent(lane.disk);
    }
  }

  #send(lane: Lane, chunkNo: number): void {
    const { volumes } = this.#components;
    const chunk = present(this.#chunks[chunkNo - this.#firstChunk], 'a chunk that was let go');
    const written = volumes.stageChunk(lane.disk, {
      copyId: copyId(this.#value.blobId),
      chunkNo,
      offset: chunk.offset,
      data: chunk.data,
      crc: chunk.crc,
      declaredBytes: chunkNo === 0 ? this.#value.declaredBytes : 0,
    });
    report(written, () => this.#lanes.get(lane.disk) === lane, {
      done: () => this.#acknowledged(lane),
      failed: (error) => this.#events?.failed(lane.disk, error),
    });
  }

  /** Counting is enough: whatever the order of answers, a chunk below the count was sent. */
  #acknowledged(lane: Lane): void {
    lane.acknowledged += 1;
    if (lane.acknowledged === lane.nextChunk) this.#debts.paid(lane.disk);
    else this.#debts.owe(lane.disk, this.#components.clock.monotonicMs());
    this.#pump(lane);
    this.#letGo();
  }

  /** Frees what all have, once more than the held beginning came in, and wakes `push`. */
  #letGo(): void {
    if (this.#end() > LIMITS.heldChunksMax) {
      const slowest = this.#slowest();
      this.#chunks.splice(0, slowest - this.#firstChunk);
      this.#firstChunk = slowest;
    }
    if (!this.#hasRoom()) return;
    const wake = this.#roomFreed;
    this.#roomFreed = null;
    wake?.();
  }
}

/** Reports the end of `promise` for `disk`, unless it was released meanwhile. */
function report<T>(
  promise: Promise<T>,
  isWanted: () => boolean,
  outcome: { readonly done: (value: T) => void; readonly failed: (error: Error) => void },
): void {
  promise.then(
    (value) => {
      if (isWanted()) outcome.done(value);
    },
    (error: unknown) => {
      if (isWanted()) outcome.failed(asError(error));
    },
  );
}
