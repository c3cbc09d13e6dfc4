/**
 * The frames of the Raft log (docs/formats/raft-log.md). Each frame says up to which offset the log
 * was known durable when it was written, so a bad frame below that is corruption and not a torn tail.
 *
 *   segment = header frame, then entry and hard-state frames
 *   body    = kind u8, syncedTo u64, fields
 */
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import { FRAME_HEADER_BYTES, type FrameRules, sealFrame } from '../disk/frame.ts';
import type { Entry, HardState, LogPoint } from '../raft/types.ts';

export const LOG_VERSION = 1;
const KIND = { header: 1, entry: 2, hardState: 3 } as const;
/** Bytes of an entry besides its data: kind, syncedTo, index, term, entry kind. */
const ENTRY_OVERHEAD = 1 + 8 + 8 + 8 + 1;

/** Longest entry frame; a longer length field is damage and never trusted. */
export const LOG_FRAME_RULES: FrameRules = { bodyBytesMax: 64 * MIB, seed: 0x7261_6674 };

/** What a segment begins with: enough to start replay at it. */
export interface SegmentHeader {
  readonly number: number;
  /** Offset of the segment's first byte in the whole log. */
  readonly startOffset: number;
  /** The last point before this segment. */
  readonly previous: LogPoint;
  readonly hardState: HardState;
}

export type LogRecord =
  | { readonly kind: 'header'; readonly header: SegmentHeader }
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'hard-state'; readonly hardState: HardState };

export interface LogFrame {
  /** Offset known durable when this was written. */
  readonly syncedTo: number;
  readonly record: LogRecord;
}

/** Gathers the frames of one write. */
export class LogBatch {
  readonly #parts: Uint8Array[] = [];
  readonly #syncedTo: number;
  #length = 0;

  constructor(syncedTo: number) {
    this.#syncedTo = syncedTo;
  }

  get length(): number {
    return this.#length;
  }

  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  header(header: SegmentHeader): void {
    const { number, startOffset, previous, hardState } = header;
    const body = this.#body(KIND.header, 64).u32(LOG_VERSION).u64(number).u64(startOffset);
    body.u64(previous.index).u64(previous.term).u64(hardState.term).u64(hardState.vote);
    this.#seal(body);
  }

  entry(entry: Entry): void {
    const body = this.#body(KIND.entry, ENTRY_OVERHEAD + entry.data.length);
    body
      .u64(entry.index)
      .u64(entry.term)
      .u8(entry.kind === 'noop' ? 0 : 1)
      .raw(entry.data);
    this.#seal(body);
  }

  hardState(hardState: HardState): void {
    this.#seal(this.#body(KIND.hardState, 32).u64(hardState.term).u64(hardState.vote));
  }

  #body(kind: number, bodyBytes: number): ByteWriter {
    // The frame header is sealed in place: one buffer a frame.
    const writer = new ByteWriter(FRAME_HEADER_BYTES + bodyBytes);
    return writer.u32(0).u32(0).u8(kind).u64(this.#syncedTo);
  }

  #seal(body: ByteWriter): void {
    const bytes = body.finish();
    sealFrame(bytes, 0, bytes.length - FRAME_HEADER_BYTES, LOG_FRAME_RULES.seed);
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }
}

/** @throws KvError `CORRUPT` for a body that no build of this version writes. */
export function decodeLogFrame(body: Uint8Array): LogFrame {
  const reader = new ByteReader(body);
  const kind = reader.u8();
  const syncedTo = reader.u64();
  return { syncedTo, record: decodeRecord(reader, kind) };
}

function decodeRecord(reader: ByteReader, kind: number): LogRecord {
  if (kind === KIND.entry) {
    const index = logIndex(reader.u64());
    const entryTerm = term(reader.u64());
    const entryKind = reader.u8() === 0 ? 'noop' : 'command';
    // A copy: entries outlive the segment buffer that they were read from.
    const data = reader.raw(reader.remaining).slice();
    return { kind: 'entry', entry: { index, term: entryTerm, kind: entryKind, data } };
  }
  if (kind === KIND.hardState) {
    const hardState = { term: term(reader.u64()), vote: nodeId(reader.u64()) };
    reader.end();
    return { kind: 'hard-state', hardState };
  }
  if (kind !== KIND.header) throw new KvError('CORRUPT', `log frame kind ${kind} is unknown`);
  const version = reader.u32();
  if (version !== LOG_VERSION) {
    throw new KvError('CORRUPT', `Raft log version ${version} is not known to this build`);
  }
  const number = reader.u64();
  const startOffset = reader.u64();
  const previous = { index: logIndex(reader.u64()), term: term(reader.u64()) };
  const hardState = { term: term(reader.u64()), vote: nodeId(reader.u64()) };
  reader.end();
  return { kind: 'header', header: { number, startOffset, previous, hardState } };
}
