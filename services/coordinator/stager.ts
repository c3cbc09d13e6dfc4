/**
 * Sends one blob to its volumes. A stager reports what happens to each volume and decides nothing:
 * the two-phase-commit machine does. A volume owes something exactly while an answer of it is
 * outstanding; only then can it stall.
 */
import type { BlobId, Digest, DiskId, Session, TxnId } from '../common/ids.ts';

export interface StagerEvents {
  /** All bytes are at this volume. */
  sent(disk: DiskId): void;
  voted(disk: DiskId, session: Session): void;
  failed(disk: DiskId, error: Error): void;
}

export interface Stager {
  readonly blobId: BlobId;
  /** Of the whole value; known once all bytes were given. */
  readonly size: number;
  readonly digest: Digest;
  /** Every byte so far is at hand: a volume may still begin. */
  readonly held: boolean;
  /** Called once, before anything else. */
  listen(events: StagerEvents): void;
  /** Begins sending to `disk` from the first byte. */
  stage(disk: DiskId): void;
  end(disk: DiskId, txnId: TxnId): void;
  /** Nothing of this volume is reported any more. */
  release(disk: DiskId): void;
  /** The bytes are needed no more: whatever has not been sent stays unsent. Nothing is staged or ended after it. */
  dropBytes(): void;
  /** Volumes that have owed an answer since before `sinceMs` without progress. */
  stalled(sinceMs: number): readonly DiskId[];
}

/** Who owes an answer since when; events of released volumes fall on deaf ears. */
export class Debts {
  readonly #owedSinceMs = new Map<DiskId, number>();
  readonly #members = new Set<DiskId>();

  join(disk: DiskId): void {
    this.#members.add(disk);
  }

  leave(disk: DiskId): void {
    this.#members.delete(disk);
    this.#owedSinceMs.delete(disk);
  }

  has(disk: DiskId): boolean {
    return this.#members.has(disk);
  }

  /** An answer is owed, or was given while others are still owed: counted from `nowMs`. */
  owe(disk: DiskId, nowMs: number): void {
    if (this.has(disk)) this.#owedSinceMs.set(disk, nowMs);
  }

  /** Owed from now on, unless something is owed already. */
  oweFirst(disk: DiskId, nowMs: number): void {
    if (!this.#owedSinceMs.has(disk)) this.owe(disk, nowMs);
  }

  paid(disk: DiskId): void {
    this.#owedSinceMs.delete(disk);
  }

  before(sinceMs: number): readonly DiskId[] {
    const late: DiskId[] = [];
    for (const [disk, owedMs] of this.#owedSinceMs) if (owedMs <= sinceMs) late.push(disk);
    return late;
  }
}
