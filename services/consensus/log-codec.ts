/**
 * Payloads of the Raft log's frames (docs/formats/raft-log.md); encode beside decode. Nothing in the
 * log is ever overwritten: a later record voids earlier ones.
 */
import { ByteReader, ByteWriter, copyOf, u64At } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { checkFormat } from '../common/format.ts';
import { type LogIndex, logIndex, nodeId, term } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { Entry, HardState, LogPoint } from '../raft/types.ts';

const VERSION = 1;
const KIND = { head: 1, entry: 2, hardState: 3, truncate: 4, base: 5, restart: 6 } as const;
/** Kind, index, term and what it is; its data follow. */
const ENTRY_HEAD_BYTES = 18;
/** Longest frame; a longer length field is damage and never trusted. */
export const LOG_FRAME_BYTES_MAX = 64 * MIB;

/** What a segment begins with: enough to start reading at it. */
export interface LogHead {
  readonly hardState: HardState;
  readonly base: LogPoint;
  /** Last index of the log before this segment. */
  readonly last: LogIndex;
}

export type LogRecord =
  | { readonly kind: 'head'; readonly head: LogHead }
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'hard-state'; readonly hardState: HardState }
  /** Entries of this index and above are void. */
  | { readonly kind: 'truncate'; readonly from: LogIndex }
  /** Entries up to this point are not needed any more. */
  | { readonly kind: 'base'; readonly point: LogPoint }
  /** All entries are void; the log goes on behind this point. */
  | { readonly kind: 'restart'; readonly point: LogPoint };

export function encodeLogRecord(record: LogRecord): Uint8Array {
  switch (record.kind) {
    case 'head': {
      const { hardState, base, last } = record.head;
      const writer = new ByteWriter(64).u8(KIND.head).u32(VERSION);
      writer.u64(hardState.term).u64(hardState.vote).u64(base.index).u64(base.term);
      return writer.u64(last).finish();
    }
    case 'entry': {
      const { index, term: entryTerm, kind, data } = record.entry;
      const writer = new ByteWriter(ENTRY_HEAD_BYTES + data.length)
        .u8(KIND.entry)
        .u64(index)
        .u64(entryTerm);
      return writer
        .u8(kind === 'noop' ? 0 : 1)
        .raw(data)
        .finish();
    }
    case 'hard-state': {
      const { term: inTerm, vote } = record.hardState;
      return new ByteWriter(17).u8(KIND.hardState).u64(inTerm).u64(vote).finish();
    }
    case 'truncate':
      return new ByteWriter(9).u8(KIND.truncate).u64(record.from).finish();
    case 'base':
    case 'restart': {
      const { index, term: inTerm } = record.point;
      return new ByteWriter(17).u8(KIND[record.kind]).u64(index).u64(inTerm).finish();
    }
  }
}

/** @throws KvError `CORRUPT` for a record that no build of this version writes, `DISK_FAILED` for a newer one's. */
export function decodeLogRecord(payload: Uint8Array): LogRecord {
  if (payload[0] === KIND.entry) return readEntry(payload);
  const reader = new ByteReader(payload);
  const record = readOther(reader, reader.u8());
  reader.end();
  return record;
}

/** A start reads a hundred thousand of them. */
function readEntry(payload: Uint8Array): LogRecord {
  if (payload.length < ENTRY_HEAD_BYTES) throw new KvError('CORRUPT', 'a log entry has no head');
  const index = logIndex(u64At(payload, 1));
  const entryTerm = term(u64At(payload, 9));
  const kind = payload[17] === 0 ? 'noop' : 'command';
  // A copy: entries outlive the segment buffer that they were read from.
  const data = copyOf(payload.subarray(ENTRY_HEAD_BYTES));
  return { kind: 'entry', entry: { index, term: entryTerm, kind, data } };
}

function readOther(reader: ByteReader, kind: number): LogRecord {
  switch (kind) {
    case KIND.head: {
      checkFormat('the Raft log is', reader.u32(), VERSION);
      const hardState = readHardState(reader);
      const base = readPoint(reader);
      return { kind: 'head', head: { hardState, base, last: logIndex(reader.u64()) } };
    }
    case KIND.hardState:
      return { kind: 'hard-state', hardState: readHardState(reader) };
    case KIND.truncate:
      return { kind: 'truncate', from: logIndex(reader.u64()) };
    case KIND.base:
      return { kind: 'base', point: readPoint(reader) };
    case KIND.restart:
      return { kind: 'restart', point: readPoint(reader) };
    default:
      throw new KvError('CORRUPT', `log record kind ${kind} is not known to this build`);
  }
}

const readPoint = (reader: ByteReader): LogPoint => ({
  index: logIndex(reader.u64()),
  term: term(reader.u64()),
});

const readHardState = (reader: ByteReader): HardState => ({
  term: term(reader.u64()),
  vote: nodeId(reader.u64()),
});
