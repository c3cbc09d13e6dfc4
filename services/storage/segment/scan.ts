/**
 * Reads a segment record by record. Where a head is bad the scan looks for the next sound one: a head
 * names its own place and carries the segment's salt, so a look-alike inside a value is not taken for
 * one. Bad bytes are reported, never skipped in silence, and no length is believed unchecked.
 */

import { bufferOf } from '../../common/ids.ts';
import { SCAN_WINDOW_BYTES } from '../limits.ts';
import {
  dataOf,
  decodeHead,
  HEADER_BYTES,
  type Head,
  MAGIC_BYTES,
  META_BYTES_MAX,
} from '../record.ts';

const HEAD_BYTES_MAX = HEADER_BYTES + META_BYTES_MAX;

export type Scanned =
  | { readonly kind: 'record'; readonly head: Head; readonly data: Buffer }
  /** The head is sound, its value is not. */
  | { readonly kind: 'bad-data'; readonly head: Head }
  /** No head verifies between `offset` and `end`. */
  | { readonly kind: 'bad-bytes'; readonly offset: number; readonly end: number };

export interface ScanSource {
  readonly segment: number;
  readonly salt: number;
  /** Where to begin: a record boundary. */
  readonly start: number;
  /** Where to stop: the size of the file, or a record boundary. */
  readonly end: number;
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
  /** Called with the bytes of each read, for throttling. */
  readonly pace?: (bytes: number) => Promise<void>;
}

/** Calls `visit` for everything found, in order. */
export async function scanSegment(
  source: ScanSource,
  visit: (found: Scanned) => void | Promise<void>,
): Promise<void> {
  const window = new Window(source);
  let offset = source.start;
  while (offset < source.end) {
    if (!window.has(offset, HEAD_BYTES_MAX)) await window.hold(offset, HEAD_BYTES_MAX);
    const head = window.headAt(offset);
    const recordBytes = head?.recordBytes ?? 0;
    if (!window.has(offset, recordBytes)) await window.hold(offset, recordBytes);
    const found = recordAt(window, head, source.end) ?? (await badBytesAt(window, offset, source));
    offset = found.kind === 'bad-bytes' ? found.end : found.head.offset + found.head.recordBytes;
    const waiting = visit(found);
    if (waiting !== undefined) await waiting;
  }
}

/** The record of a head whose bytes are all in the window. */
function recordAt(window: Window, head: Head | null, end: number): Scanned | null {
  if (head === null || head.offset + head.recordBytes > end) return null;
  const data = dataOf(window.bytes, head.offset - window.start, head);
  return data === null ? { kind: 'bad-data', head } : { kind: 'record', head, data };
}

async function badBytesAt(window: Window, offset: number, source: ScanSource): Promise<Scanned> {
  return { kind: 'bad-bytes', offset, end: await nextHead(window, offset + 1, source) };
}

/** Offset of the next sound head from `offset` on, or the end. */
async function nextHead(window: Window, offset: number, source: ScanSource): Promise<number> {
  let at = offset;
  while (at < source.end) {
    await window.hold(at, MAGIC_BYTES.length);
    if (window.end <= at) return source.end;
    const found = window.bytes.indexOf(MAGIC_BYTES, at - window.start);
    if (found < 0) {
      at = Math.max(at + 1, window.end - MAGIC_BYTES.length + 1);
      if (window.end >= source.end) return source.end;
      continue;
    }
    at = window.start + found;
    await window.hold(at, HEAD_BYTES_MAX);
    const head = window.headAt(at);
    if (head !== null && at + head.recordBytes <= source.end) return at;
    at += 1;
  }
  return source.end;
}

/** The part of the file that is in memory, refilled as the scan goes: no byte is read twice. */
class Window {
  readonly #source: ScanSource;
  bytes: Buffer = NO_BYTES;
  start = 0;

  constructor(source: ScanSource) {
    this.#source = source;
  }

  get end(): number {
    return this.start + this.bytes.length;
  }

  /** True where `length` bytes from `offset`, or all up to the end, are here. */
  has(offset: number, length: number): boolean {
    const needed = Math.min(offset + length, this.#source.end);
    return offset >= this.start && needed <= this.end;
  }

  /** Makes `length` bytes from `offset` available, or as many as there are before the end. */
  async hold(offset: number, length: number): Promise<void> {
    if (this.has(offset, length)) return;
    const isWithin = offset >= this.start && offset < this.end;
    const kept = isWithin ? this.bytes.subarray(offset - this.start) : NO_BYTES;
    const from = offset + kept.length;
    const count = Math.min(
      Math.max(length - kept.length, SCAN_WINDOW_BYTES),
      this.#source.end - from,
    );
    const pieces: Uint8Array[] = kept.length === 0 ? [] : [kept];
    let read = 0;
    while (read < count) {
      const piece = await this.#source.read(from + read, count - read);
      if (piece.length === 0) break;
      pieces.push(piece);
      read += piece.length;
    }
    await this.#source.pace?.(read);
    this.start = offset;
    this.bytes =
      pieces.length === 1 && pieces[0] !== undefined ? bufferOf(pieces[0]) : Buffer.concat(pieces);
  }

  headAt(offset: number): Head | null {
    const { segment, salt } = this.#source;
    if (offset + HEADER_BYTES > this.end) return null;
    return decodeHead(this.bytes, offset - this.start, { segment, salt, offset });
  }
}

const NO_BYTES = Buffer.alloc(0);
