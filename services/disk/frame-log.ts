/**
 * An append-only log of opaque frames in segment files (docs/formats/frame-log.md). A batch is one
 * write and one sync, and the next begins only after it: so every frame can say up to where the log
 * was durable when it was written. After any error the log is dead; a failed sync is never retried.
 */
import { join } from 'node:path';
import { assert, present } from '../common/assert.ts';
import { ByteReader } from '../common/bytes.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { Random } from '../common/random.ts';
import type { Disk, DiskFile } from './disk.ts';
import {
  encodeFrames,
  encodeSegmentHeader,
  type LogFrame,
  SEGMENT_HEADER_BYTES,
  segmentName,
} from './frame-log-format.ts';
import { type LogDamage, type LogScan, type Segment, scanFrameLog } from './frame-log-scan.ts';

export type { LogFrame } from './frame-log-format.ts';
export type { LogDamage } from './frame-log-scan.ts';

export interface FrameLogOptions {
  /** The log's own folder; made where absent. */
  readonly path: string;
  /** A segment that has this many bytes gets no further batch. */
  readonly segmentBytes: number;
  readonly payloadBytesMax: number;
  /** Position known durable from elsewhere; less than that on disk is loss. 0: nothing known. */
  readonly durableTo: number;
  /** Payload of the first frame of a segment that begins at `position`: what a reader from there needs. */
  readonly head: (position: number) => Uint8Array;
  /** Each sound frame at open, in order; the payload is valid during the call only. */
  readonly onFrame: (
    frame: LogFrame,
    place: { readonly position: number; readonly head: boolean },
  ) => void;
  /** Damage was found and nothing is changed yet: persist what must survive the repair. */
  readonly beforeRepair: (damage: LogDamage) => Promise<void>;
}

interface Current {
  readonly file: DiskFile;
  readonly segment: Segment;
  size: number;
}

export class FrameLog {
  readonly #disk: Disk;
  readonly #random: Random;
  readonly #options: FrameLogOptions;
  readonly #segments: Segment[];
  #nextSequence: number;
  #current: Current | null = null;
  #failure: Error | null = null;
  #isBusy = false;

  private constructor(
    parts: { disk: Disk; random: Random },
    options: FrameLogOptions,
    scan: LogScan,
  ) {
    this.#disk = parts.disk;
    this.#random = parts.random;
    this.#options = options;
    this.#segments = [...scan.segments];
    this.#nextSequence = scan.nextSequence;
  }

  /** Reads all frames, repairs what is damaged and leaves the log ready to append. */
  static async open(
    parts: { readonly disk: Disk; readonly random: Random },
    options: FrameLogOptions,
  ): Promise<FrameLog> {
    await parts.disk.makeFolder(options.path);
    const scan = await scanFrameLog(parts.disk, options);
    const log = new FrameLog(parts, options, scan);
    if (scan.damage !== null) {
      await options.beforeRepair(scan.damage);
      failpoint('log.damaged');
      await log.#repair(scan);
    }
    await log.#openLast(scan.syncedTo);
    return log;
  }

  /** Position behind the last frame, all of it durable while no append is running. */
  get end(): number {
    if (this.#current !== null) return this.#current.segment.header.position + this.#current.size;
    return 0;
  }

  /** Bytes in all segments. */
  get bytes(): number {
    const [first] = this.#segments;
    return first === undefined ? 0 : this.end - first.header.position;
  }

  /** Appends the payloads in order; durable once resolved, by one write and one sync. */
  append(payloads: readonly Uint8Array[]): Promise<void> {
    return this.#exclusively(async () => {
      const full = this.#current === null || this.#current.size >= this.#options.segmentBytes;
      const head = full ? [this.#options.head(this.end)] : [];
      const current = full ? await this.#roll() : present(this.#current, 'the active segment');
      const batch = [...head, ...payloads];
      for (const { length } of batch) {
        assert(length <= this.#options.payloadBytesMax, 'a frame exceeds its maximum');
      }
      const bytes = encodeFrames(batch, {
        sequence: this.#nextSequence,
        syncedTo: this.end,
        salt: current.segment.header.salt,
      });
      await current.file.writeSynced(current.size, [bytes]);
      current.size += bytes.length;
      this.#nextSequence += batch.length;
    });
  }

  /** Removes whole segments that end at or before `position`, oldest first, each durably. */
  cutFront(position: number): Promise<void> {
    return this.#exclusively(async () => {
      for (;;) {
        const [oldest, next] = this.#segments;
        if (oldest === undefined || next === undefined || next.header.position > position) return;
        await this.#disk.remove(this.#pathOf(segmentName(oldest.header.number)));
        // One after the other: a gap in the middle would look like loss.
        await this.#disk.syncFolder(this.#options.path);
        failpoint('log.cut');
        this.#segments.shift();
      }
    });
  }

  async close(): Promise<void> {
    await this.#current?.file.close();
    this.#current = null;
    this.#failure ??= new KvError('STOPPING', 'the log is closed');
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    assert(!this.#isBusy, 'calls to a frame log must not overlap');
    if (this.#failure !== null) throw this.#failure;
    this.#isBusy = true;
    try {
      await work();
    } catch (error) {
      this.#failure = asError(error);
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }

  #pathOf(name: string): string {
    return join(this.#options.path, name);
  }

  /** Begins the next segment; its header is durable before a first frame follows. */
  async #roll(): Promise<Current> {
    const last = this.#segments.at(-1)?.header;
    const header = {
      number: (last?.number ?? 0) + 1,
      position: this.end,
      firstSequence: this.#nextSequence,
      salt: new ByteReader(this.#random.bytes(4)).u32(),
    };
    const file = await this.#disk.open(this.#pathOf(segmentName(header.number)), 'create');
    await file.write(0, [encodeSegmentHeader(header)]);
    await file.sync();
    await this.#disk.syncFolder(this.#options.path);
    failpoint('log.rolled');
    await this.#current?.file.close();
    const segment = { header, size: SEGMENT_HEADER_BYTES };
    this.#segments.push(segment);
    this.#current = { file, segment, size: segment.size };
    return this.#current;
  }

  /**
   * What stands behind `syncedTo` may be in the system's memory only: an earlier life was killed before
   * its sync, or its sync failed and left clean pages. It is written anew, for it counts from now on.
   */
  async #openLast(syncedTo: number): Promise<void> {
    const segment = this.#segments.at(-1);
    if (segment === undefined) return;
    const file = await this.#disk.open(this.#pathOf(segmentName(segment.header.number)), 'write');
    const from = Math.max(0, syncedTo - segment.header.position);
    await file.write(from, [await file.read(from, segment.size - from)]);
    await file.sync();
    await this.#disk.syncFolder(this.#options.path);
    this.#current = { file, segment, size: segment.size };
  }

  /** Cuts everything from the damage on, newest file first, and keeps copies beside the log. */
  async #repair(scan: LogScan): Promise<void> {
    for (const name of [...scan.voidFiles].reverse()) {
      await this.#disk.rename(this.#pathOf(name), this.#pathOf(`${name}.broken`));
      await this.#disk.syncFolder(this.#options.path);
    }
    const last = this.#segments.at(-1);
    if (last === undefined) return;
    const name = segmentName(last.header.number);
    const file = await this.#disk.open(this.#pathOf(name), 'write');
    try {
      const tail = await file.read(last.size, (await file.size()) - last.size);
      if (tail.length === 0) return;
      await this.#keepCopy(`${name}.${last.size}.broken`, tail);
      await file.truncate(last.size);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #keepCopy(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(name);
    await this.#disk.remove(path);
    const copy = await this.#disk.open(path, 'create');
    try {
      await copy.write(0, [bytes]);
      await copy.sync();
    } finally {
      await copy.close();
    }
    await this.#disk.syncFolder(this.#options.path);
  }
}
