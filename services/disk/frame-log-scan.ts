/**
 * Reads a frame log from front to back and judges the first bad place. Below what is known durable it
 * is damage: bytes that were synced are gone. At or above it is a tail that no sync ever covered, which
 * nobody was promised.
 */
import { join } from 'node:path';
import { contentOf } from './content.ts';
import type { Disk } from './disk.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';
import {
  decodeFrame,
  decodeSegmentHeader,
  FRAME_PREFIX_BYTES,
  type LogFrame,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentNumber,
} from './frame-log-format.ts';

export interface Segment {
  readonly header: SegmentHeader;
  /** Bytes of sound frames and the header. */
  readonly size: number;
}

/** `torn`: an unsynced tail. `corrupt`: a bad place in what was synced. `lost`: synced bytes are absent. */
export interface LogDamage {
  readonly kind: 'torn' | 'corrupt' | 'lost';
  /** Position of the first bad byte: all before it is sound, all from it on is given up. */
  readonly position: number;
  readonly file: string;
  /** Bytes that stand in files from there on. */
  readonly bytesDropped: number;
}

export interface LogScan {
  readonly segments: readonly Segment[];
  readonly damage: LogDamage | null;
  /** File names behind the damage, oldest first: of no use any more. */
  readonly voidFiles: readonly string[];
  readonly nextSequence: number;
  /** Position up to which the sound frames say that the log was durable. */
  readonly syncedTo: number;
}

export interface ScanOptions {
  readonly path: string;
  readonly payloadBytesMax: number;
  /** Position known durable from elsewhere. */
  readonly durableTo: number;
  readonly onFrame: (
    frame: LogFrame,
    place: { readonly position: number; readonly head: boolean },
  ) => void;
}

export async function scanFrameLog(disk: Disk, options: ScanOptions): Promise<LogScan> {
  const scan = new Scanner(disk, options);
  const names = (await disk.list(options.path)).filter((name) => segmentNumber(name) !== null);
  for (const name of names) await scan.read(name);
  return scan.finish();
}

class Scanner {
  readonly #disk: Disk;
  readonly #options: ScanOptions;
  readonly #segments: Segment[] = [];
  readonly #voidFiles: string[] = [];
  #nextSequence = 1;
  #syncedTo = 0;
  #bad: { readonly position: number; readonly file: string } | null = null;
  #bytesDropped = 0;
  /** Highest position that anything behind the bad place knew to be durable. */
  #laterSyncedTo = 0;

  constructor(disk: Disk, options: ScanOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  async read(name: string): Promise<void> {
    const bytes = await contentOf(this.#disk, join(this.#options.path, name));
    const header = decodeSegmentHeader(bytes);
    if (this.#bad === null && header !== null && this.#follows(name, header)) {
      this.#readFrames(name, header, bytes);
      return;
    }
    this.#fail(this.#end(), name);
    this.#voidFiles.push(name);
    this.#bytesDropped += bytes.length;
    // A header is synced before its first frame: frames behind a bad one were not merely unsynced.
    if (header === null && bytes.length > SEGMENT_HEADER_BYTES) this.#laterSyncedTo = Infinity;
    // A segment is begun only once all before it is synced.
    if (header !== null) this.#laterSyncedTo = Math.max(this.#laterSyncedTo, header.position);
  }

  finish(): LogScan {
    const position = this.#bad?.position ?? this.#end();
    const { durableTo } = this.#options;
    const found = { segments: this.#segments, voidFiles: this.#voidFiles };
    const known = { nextSequence: this.#nextSequence, syncedTo: this.#syncedTo };
    if (this.#bad === null && position >= durableTo) return { ...found, ...known, damage: null };
    const file = this.#bad?.file ?? segmentName(this.#segments.at(-1)?.header.number ?? 1);
    const wasDurable = position < durableTo || this.#laterSyncedTo > position;
    const kind = !wasDurable ? 'torn' : this.#bytesDropped === 0 ? 'lost' : 'corrupt';
    const damage = { kind, position, file, bytesDropped: this.#bytesDropped } as const;
    return { ...found, ...known, damage };
  }

  #end(): number {
    const last = this.#segments.at(-1);
    return last === undefined ? 0 : last.header.position + last.size;
  }

  #fail(position: number, file: string): void {
    this.#bad ??= { position, file };
  }

  /** The first segment may begin anywhere, since the front is cut; each other one where its elder ends. */
  #follows(name: string, header: SegmentHeader): boolean {
    if (segmentNumber(name) !== header.number) return false;
    const last = this.#segments.at(-1);
    if (last === undefined) return true;
    return (
      header.number === last.header.number + 1 &&
      header.position === this.#end() &&
      header.firstSequence === this.#nextSequence
    );
  }

  #readFrames(name: string, header: SegmentHeader, bytes: Uint8Array): void {
    const rules = { payloadBytesMax: this.#options.payloadBytesMax, salt: header.salt };
    let at = SEGMENT_HEADER_BYTES;
    this.#nextSequence = header.firstSequence;
    for (;;) {
      const frame = decodeFrame(bytes, at, rules);
      if (frame === 'end') break;
      if (frame?.sequence !== this.#nextSequence) {
        this.#fail(header.position + at, name);
        this.#bytesDropped += bytes.length - at;
        this.#searchLaterFrames(bytes, at + 1, rules);
        break;
      }
      const head = at === SEGMENT_HEADER_BYTES;
      this.#options.onFrame(frame, { position: header.position + at, head });
      this.#nextSequence += 1;
      this.#syncedTo = frame.syncedTo;
      at = frame.next;
    }
    this.#segments.push({ header, size: at });
  }

  /** Looks at every byte for a sound frame of a later sequence, wherever the damage ends. */
  #searchLaterFrames(
    bytes: Uint8Array,
    from: number,
    rules: { readonly payloadBytesMax: number; readonly salt: number },
  ): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const overhead = FRAME_HEADER_BYTES + FRAME_PREFIX_BYTES;
    const sequenceMax = this.#nextSequence + Math.ceil(bytes.length / overhead);
    for (let at = from; at + overhead <= bytes.length; at += 1) {
      const length = view.getUint32(at + 4, true);
      if (length < FRAME_PREFIX_BYTES || length > bytes.length - at - FRAME_HEADER_BYTES) continue;
      const sequence = view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32;
      if (sequence <= this.#nextSequence || sequence > sequenceMax) continue;
      const frame = decodeFrame(bytes, at, rules);
      if (frame === null || frame === 'end') continue;
      this.#laterSyncedTo = Math.max(this.#laterSyncedTo, frame.syncedTo);
      at = frame.next - 1;
    }
  }
}
