/**
 * The content of one file in memory, on two planes: what readers see and what would survive a crash.
 * Changes wait in `pending` between the planes until a sync carries them over.
 */
import type { Random } from '../common/random.ts';

/** Writes reach a disk by sectors: a torn write keeps whole ones. */
const SECTOR_BYTES = 512;

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly length: number };

export class MemoryFile {
  #live = new GrowingBytes();
  #durable = new GrowingBytes();
  #pending: Change[] = [];
  readonly #refused: { readonly offset: number; readonly end: number }[] = [];

  get size(): number {
    return this.#live.length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#live.slice(offset, offset + length);
  }

  /** Keeps `bytes`: the caller does not change them. */
  write(offset: number, bytes: Uint8Array): void {
    const change: Change = { kind: 'write', offset, bytes };
    this.#pending.push(change);
    this.#live.carryOut(change);
  }

  truncate(length: number): void {
    const change: Change = { kind: 'truncate', length };
    this.#pending.push(change);
    this.#live.carryOut(change);
  }

  /** How many changes a sync that begins now covers. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  sync(count: number): void {
    for (const change of this.#pending.splice(0, count)) this.#durable.carryOut(change);
  }

  /** A failed sync: pages are marked clean, so no later sync carries these changes over. */
  forgetPending(): void {
    this.#pending = [];
  }

  /** Each unsynced change is kept, lost or torn by `random`; all are lost without one. */
  crash(random: Random | undefined): void {
    for (const change of this.#pending) {
      const fate = random === undefined ? 0 : random.below(3);
      if (fate === 1) this.#durable.carryOut(change);
      if (fate === 2 && random !== undefined) this.#tear(change, random);
    }
    this.#pending = [];
    this.#live = this.#durable.copy();
  }

  /** As it stands now, on both planes. */
  copy(): MemoryFile {
    const copy = new MemoryFile();
    copy.#live = this.#live.copy();
    copy.#durable = this.#live.copy();
    return copy;
  }

  /** The end is gone from both planes. */
  cut(length: number): void {
    const change: Change = { kind: 'truncate', length: Math.min(length, this.size) };
    this.#live.carryOut(change);
    this.#durable.carryOut(change);
    this.#pending = [];
  }

  /** A sector that has gone bad: its bytes are there, and nobody can read them any more. */
  refuse(offset: number, end: number): void {
    this.#refused.push({ offset, end });
  }

  refuses(offset: number, length: number): boolean {
    return this.#refused.some((bad) => offset < bad.end && offset + length > bad.offset);
  }

  flipBit(offset: number, bit: number): void {
    this.#live.flipBit(offset, bit);
    this.#durable.flipBit(offset, bit);
  }

  #tear(change: Change, random: Random): void {
    if (change.kind === 'truncate') return;
    const { bytes, offset } = change;
    for (let at = 0; at < bytes.length; ) {
      const sectorEnd = SECTOR_BYTES - ((offset + at) % SECTOR_BYTES);
      const part = bytes.subarray(at, at + sectorEnd);
      if (random.below(2) === 0) {
        this.#durable.carryOut({ kind: 'write', offset: offset + at, bytes: part });
      }
      at += part.length;
    }
  }
}

class GrowingBytes {
  #bytes = new Uint8Array(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  carryOut(change: Change): void {
    if (change.kind === 'write') {
      this.#resize(Math.max(this.#length, change.offset + change.bytes.length));
      this.#bytes.set(change.bytes, change.offset);
    } else {
      this.#resize(change.length);
    }
  }

  slice(start: number, end: number): Uint8Array {
    return this.#bytes.slice(start, Math.min(end, this.#length));
  }

  copy(): GrowingBytes {
    const copy = new GrowingBytes();
    copy.carryOut({ kind: 'write', offset: 0, bytes: this.slice(0, this.#length) });
    return copy;
  }

  flipBit(offset: number, bit: number): void {
    if (offset < this.#length) this.#bytes[offset] = (this.#bytes[offset] ?? 0) ^ (1 << bit);
  }

  #resize(length: number): void {
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, this.#bytes.length * 2, 1024));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    if (length < this.#length) this.#bytes.fill(0, length, this.#length);
    this.#length = length;
  }
}
