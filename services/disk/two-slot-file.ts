/**
 * A small record that survives a torn write: two slots, written in turn and synced, each with a
 * sequence and a CRC; the valid slot of the higher sequence counts (docs/formats/two-slot-file.md).
 * Invariant: while one slot is being written the other holds the newest complete record.
 */
import { assert } from '../common/assert.ts';
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { checkFormat } from '../common/format.ts';
import type { Disk, DiskFile } from './disk.ts';
import { FRAME_HEADER_BYTES, readFrame, sealFrame } from './frame.ts';
import { publishFile } from './publish.ts';

const VERSION = 1;
/** Frame header, version (1), sequence (8). */
const OVERHEAD_BYTES = FRAME_HEADER_BYTES + 9;
/** The CRC starts from the slot's number, so a slot read from the other's place does not verify. */
const SLOTS = [0, 1] as const;

export interface TwoSlotOptions {
  readonly path: string;
  /** Bytes of one slot, a multiple of 4096: slots share no sector and no page. */
  readonly slotBytes: number;
}

/** `absent`: never written. `damaged`: was written, but no slot verifies. */
export type TwoSlotRead =
  | { readonly kind: 'record'; readonly record: Uint8Array; readonly damagedSlots: number }
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged' };

interface Slot {
  readonly sequence: number;
  readonly record: Uint8Array;
}

export class TwoSlotFile {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #slotBytes: number;
  #file: DiskFile | null = null;
  #found: TwoSlotRead = { kind: 'absent' };
  #sequence = 0;

  private constructor(disk: Disk, options: TwoSlotOptions) {
    this.#disk = disk;
    this.#path = options.path;
    this.#slotBytes = options.slotBytes;
  }

  /** Opens the file and reads both slots; an absent file is made by the first write. */
  static async open(disk: Disk, options: TwoSlotOptions): Promise<TwoSlotFile> {
    assert(options.slotBytes % 4096 === 0, 'a slot is a multiple of 4096 bytes');
    const opened = new TwoSlotFile(disk, options);
    if (await disk.exists(options.path)) await opened.#load();
    return opened;
  }

  /** What stood in the file at open. */
  get found(): TwoSlotRead {
    return this.#found;
  }

  /** Longest record that fits. */
  get recordBytesMax(): number {
    return this.#slotBytes - OVERHEAD_BYTES;
  }

  /** Replaces the record, durably once resolved. Calls must not overlap. */
  async write(record: Uint8Array): Promise<void> {
    if (this.#file === null) {
      await this.#create(record);
      return;
    }
    this.#sequence += 1;
    const slot = this.#sequence % 2;
    await this.#file.write(slot * this.#slotBytes, [this.#encode(slot, record)]);
    await this.#file.sync();
  }

  /** Like `write`, into both slots one after the other: decay of one slot then loses nothing. */
  async writeBoth(record: Uint8Array): Promise<void> {
    await this.write(record);
    failpoint('slots.half');
    await this.write(record);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #load(): Promise<void> {
    this.#file = await this.#disk.open(this.#path, 'write');
    const slots: Slot[] = [];
    for (const slot of SLOTS) {
      const bytes = await this.#file.read(slot * this.#slotBytes, this.#slotBytes);
      const decoded = this.#decode(slot, bytes);
      if (decoded !== null) slots.push(decoded);
    }
    slots.sort((a, b) => b.sequence - a.sequence);
    const [newest] = slots;
    if (newest === undefined) {
      this.#found = { kind: 'damaged' };
      return;
    }
    this.#sequence = newest.sequence;
    const damagedSlots = SLOTS.length - slots.length;
    this.#found = { kind: 'record', record: newest.record, damagedSlots };
  }

  /** A first record appears whole or not at all, so a file without a valid slot is always damage. */
  async #create(record: Uint8Array): Promise<void> {
    this.#sequence = 1;
    const parts = SLOTS.map((slot) => this.#encode(slot, record));
    await publishFile(this.#disk, this.#path, parts);
    this.#file = await this.#disk.open(this.#path, 'write');
  }

  #encode(slot: number, record: Uint8Array): Uint8Array {
    if (record.length > this.recordBytesMax) {
      throw new KvError('TOO_LARGE', `a record of ${record.length} bytes does not fit its slot`);
    }
    const body = new ByteWriter(OVERHEAD_BYTES).u8(VERSION).u64(this.#sequence).finish();
    const bytes = new Uint8Array(this.#slotBytes);
    bytes.set(body, FRAME_HEADER_BYTES);
    bytes.set(record, OVERHEAD_BYTES);
    sealFrame(bytes, 0, body.length + record.length, slot);
    return bytes;
  }

  #decode(slot: number, bytes: Uint8Array): Slot | null {
    const bodyBytesMax = this.#slotBytes - FRAME_HEADER_BYTES;
    const frame = readFrame(bytes, 0, { bodyBytesMax, seed: slot });
    if (frame.kind !== 'frame') return null;
    const reader = new ByteReader(frame.body);
    checkFormat(`${this.#path} is`, reader.u8(), VERSION);
    return { sequence: reader.u64(), record: reader.raw(reader.remaining).slice() };
  }
}
