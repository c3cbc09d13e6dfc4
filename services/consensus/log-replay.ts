/**
 * Reads the segments of a Raft log at start and judges damage: a bad frame that was never known
 * durable is a torn tail and is cut; one below the witness or below the `syncedTo` of a later frame
 * is corruption, and the node must not vote until it has its log back (docs/formats/raft-log.md).
 */
import { join } from 'node:path';
import { logIndex, nodeId, term } from '../common/ids.ts';
import type { Disk } from '../disk/disk.ts';
import { FRAME_HEADER_BYTES, readFrame } from '../disk/frame.ts';
import type { Entry, HardState, LogPoint } from '../raft/types.ts';
import { decodeLogFrame, LOG_FRAME_RULES, type LogFrame, type SegmentHeader } from './log-codec.ts';

/** A segment that stands on disk, with the last index that it holds. */
export interface SegmentRow {
  readonly name: string;
  readonly number: number;
  readonly startOffset: number;
  readonly lastIndex: number;
}

export interface Damage {
  readonly kind: 'torn_tail' | 'corruption';
  readonly segment: string;
  /** Offset in the segment file. */
  readonly offset: number;
}

export interface Replayed {
  readonly base: LogPoint;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  readonly segments: readonly SegmentRow[];
  /** Where the good bytes end, in the whole log. */
  readonly endOffset: number;
  readonly damage: Damage | null;
}

const SEGMENT_NAME = /^[0-9]{10}\.log$/;

export const segmentName = (number: number): string => `${String(number).padStart(10, '0')}.log`;

/** Reads all segments in order, up to the first damage. */
export async function replayLog(
  disk: Disk,
  folder: string,
  witnessOffset: number,
): Promise<Replayed> {
  const names = (await disk.list(folder)).filter((name) => SEGMENT_NAME.test(name));
  const replay = new Replay();
  for (const [at, name] of names.entries()) {
    const bytes = await readWhole(disk, join(folder, name));
    const isLast = at === names.length - 1;
    replay.segment({ name, bytes, isLast, witnessOffset });
    if (replay.damage !== null) break;
  }
  return replay.result();
}

interface SegmentInput {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
  readonly witnessOffset: number;
}

class Replay {
  #base: LogPoint = { index: logIndex(0), term: term(0) };
  #entries: Entry[] = [];
  #hardState: HardState = { term: term(0), vote: nodeId(0) };
  readonly #segments: SegmentRow[] = [];
  #endOffset = 0;
  damage: Damage | null = null;

  segment(input: SegmentInput): void {
    const { name, bytes } = input;
    let at = 0;
    let header: SegmentHeader | null = null;
    while (at < bytes.length) {
      const read = this.#next(bytes, at, header !== null);
      if (read === null) {
        const start = header?.startOffset ?? this.#endOffset;
        this.damage = { kind: damageKind(input, start, at), segment: name, offset: at };
        break;
      }
      header ??= read.header;
      at = read.next;
    }
    if (header === null) return;
    this.#endOffset = header.startOffset + at;
    const lastIndex = this.#entries.at(-1)?.index ?? this.#base.index;
    const { number, startOffset } = header;
    this.#segments.push({ name, number, startOffset, lastIndex });
  }

  result(): Replayed {
    return {
      base: this.#base,
      entries: this.#entries,
      hardState: this.#hardState,
      segments: this.#segments,
      endOffset: this.#endOffset,
      damage: this.damage,
    };
  }

  /** Takes the frame at `at`; null where none can be taken. A segment begins with its header. */
  #next(
    bytes: Uint8Array,
    at: number,
    hasHeader: boolean,
  ): { readonly next: number; readonly header: SegmentHeader | null } | null {
    const frame = readFrame(bytes, at, LOG_FRAME_RULES);
    if (frame.kind !== 'frame') return null;
    const read = decodeLogFrame(frame.body);
    const { record } = read;
    if ((record.kind === 'header') === hasHeader || !this.#take(read)) return null;
    return { next: frame.next, header: record.kind === 'header' ? record.header : null };
  }

  /** False where the record cannot follow what was read before. */
  #take({ record }: LogFrame): boolean {
    switch (record.kind) {
      case 'header':
        return this.#takeHeader(record.header);
      case 'hard-state':
        this.#hardState = record.hardState;
        return true;
      case 'entry':
        return this.#takeEntry(record.entry);
    }
  }

  #takeHeader(header: SegmentHeader): boolean {
    const last = this.#entries.at(-1) ?? this.#base;
    const isFirst = this.#segments.length === 0;
    const follows = header.previous.index === last.index && header.previous.term === last.term;
    if (isFirst || !follows) {
      // The oldest segment, or a restart of the log behind an installed snapshot.
      if (!isFirst && header.previous.index < last.index) return false;
      this.#base = header.previous;
      this.#entries = [];
    }
    this.#hardState = header.hardState;
    return true;
  }

  #takeEntry(entry: Entry): boolean {
    const next = (this.#entries.at(-1)?.index ?? this.#base.index) + 1;
    if (entry.index > next || entry.index <= this.#base.index) return false;
    // An entry of an earlier index replaces the conflicting rest.
    if (entry.index < next) this.#entries.length = entry.index - this.#base.index - 1;
    this.#entries.push(entry);
    return true;
  }
}

/** Torn only where nothing says that these bytes were ever durable. */
function damageKind(input: SegmentInput, start: number, at: number): Damage['kind'] {
  const offset = start + at;
  if (!input.isLast || offset < input.witnessOffset) return 'corruption';
  return laterSyncedTo(input.bytes, at + 1) > offset ? 'corruption' : 'torn_tail';
}

/** The highest `syncedTo` of any whole frame that begins at `from` or later; 0 where none does. */
function laterSyncedTo(bytes: Uint8Array, from: number): number {
  let highest = 0;
  for (let at = from; at + FRAME_HEADER_BYTES < bytes.length; at += 1) {
    const frame = readFrame(bytes, at, LOG_FRAME_RULES);
    if (frame.kind !== 'frame' || frame.body.length < 9) continue;
    highest = Math.max(highest, decodeLogFrame(frame.body).syncedTo);
    at = frame.next - 1;
  }
  return highest;
}

async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}
