/**
 * The state as one stream: a header, frames of rows, a trailer with their count and digest
 * (docs/formats/metadata-snapshot.md). Every frame has its length and CRC; nothing of a stream is
 * used before all of it has been verified.
 */
import { ByteReader, ByteWriter, concatBytes } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { logIndex, term } from '../common/ids.ts';
import { KIB, MIB } from '../common/units.ts';
import { FRAME_HEADER_BYTES, readFrame, sealFrame } from '../disk/frame.ts';
import { RowDigest } from '../metadata/digest.ts';
import type { LogPoint } from '../raft/types.ts';
import type { FlushMeta } from './flush-chain.ts';
import { allRows } from './metadata-scans.ts';
import type { TableRow } from './table-rows.ts';
import type { TableView } from './table-view.ts';

const MAGIC = 'minikv-snapshot';
const VERSION = 1;
const KIND = { header: 1, rows: 2, trailer: 3 } as const;
const PAGE_ROWS = 1000;
const FRAME_BODY_MAX = 4 * MIB;
const FRAME_ROWS_BYTES = 256 * KIB;
const RULES = { bodyBytesMax: FRAME_BODY_MAX, seed: 0x6d6b7673 };

/**
 * The stream of one view of the table at a flushed point.
 * @throws KvError `STATE_DIVERGED` at its end when the rows do not make the digest of that point.
 */
export async function* writeSnapshot(view: TableView, meta: FlushMeta): AsyncGenerator<Uint8Array> {
  const { point, digest } = meta;
  const header = new ByteWriter(128).u8(KIND.header).text(MAGIC).u32(VERSION);
  yield framed(header.u64(point.index).u64(point.term).text(digest).finish());
  let count = 0;
  const sum = new RowDigest();
  for await (const rows of allRows(view, PAGE_ROWS)) {
    for (const [key, value] of rows) sum.add(key, value);
    count += rows.length;
    for (const part of inFrames(rows)) yield framed(encodeRows(part));
  }
  if (sum.text() !== digest) {
    throw new KvError('STATE_DIVERGED', 'the stored metadata are not what was applied');
  }
  yield framed(new ByteWriter(64).u8(KIND.trailer).u64(count).text(digest).finish());
}

/** What a verified stream held, besides its rows. */
export interface SnapshotContents {
  readonly point: LogPoint;
  /** The running digest of the state at that point. */
  readonly digest: string;
}

/**
 * Hands out the rows of a stream in pages and answers its header once the trailer has verified.
 * @throws KvError `CORRUPT` when anything of it does not.
 */
export async function readSnapshot(
  chunks: AsyncIterable<Uint8Array>,
  take: (rows: readonly TableRow[]) => Promise<void>,
): Promise<SnapshotContents> {
  let contents: SnapshotContents | null = null;
  let count = 0;
  let isEnded = false;
  const sum = new RowDigest();
  for await (const body of frames(chunks)) {
    const reader = new ByteReader(body);
    const kind = reader.u8();
    if (isEnded) throw corrupt('goes on after its trailer');
    if (contents === null) {
      if (kind !== KIND.header) throw corrupt('has no header');
      contents = decodeHeader(reader);
    } else if (kind === KIND.rows) {
      const rows = decodeRows(reader);
      for (const [key, value] of rows) sum.add(key, value);
      count += rows.length;
      await take(rows);
    } else if (kind === KIND.trailer) {
      isEnded = true;
      verifyTrailer(reader, { count, digest: sum.text() }, contents);
    } else throw corrupt(`has a frame of unknown kind ${kind}`);
  }
  if (contents === null || !isEnded) throw corrupt('ends too early');
  return contents;
}

function decodeHeader(reader: ByteReader): SnapshotContents {
  if (reader.text() !== MAGIC) throw corrupt('is none');
  const version = reader.u32();
  if (version !== VERSION) throw corrupt(`has version ${version}, this build knows ${VERSION}`);
  const point = { index: logIndex(reader.u64()), term: term(reader.u64()) };
  const digest = reader.text();
  reader.end();
  return { point, digest };
}

function verifyTrailer(
  reader: ByteReader,
  held: { readonly count: number; readonly digest: string },
  promised: SnapshotContents,
): void {
  const count = reader.u64();
  const digest = reader.text();
  reader.end();
  if (count !== held.count || digest !== held.digest || digest !== promised.digest) {
    throw corrupt('does not hold the rows that it promises');
  }
}

/** Rows in parts of about FRAME_ROWS_BYTES: many at once, and never more than a frame holds. */
function* inFrames(rows: readonly TableRow[]): Generator<readonly TableRow[]> {
  let part: TableRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    part.push(row);
    bytes += row[0].length + row[1].length;
    if (bytes < FRAME_ROWS_BYTES) continue;
    yield part;
    part = [];
    bytes = 0;
  }
  if (part.length > 0) yield part;
}

function encodeRows(rows: readonly TableRow[]): Uint8Array {
  const writer = new ByteWriter(64 * KIB).u8(KIND.rows).u32(rows.length);
  for (const [key, value] of rows) writer.bytes(key).bytes(value);
  return writer.finish();
}

function decodeRows(reader: ByteReader): TableRow[] {
  const count = reader.u32();
  const rows: TableRow[] = [];
  for (let i = 0; i < count; i += 1) rows.push([reader.bytes().slice(), reader.bytes().slice()]);
  reader.end();
  return rows;
}

function framed(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  sealFrame(bytes, 0, body.length, RULES.seed);
  return bytes;
}

/** The bodies of all frames, however the chunks cut them. */
async function* frames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    held = concatBytes([held, chunk]);
    let at = 0;
    while (true) {
      const frame = readFrame(held, at, RULES);
      if (frame.kind === 'corrupt') throw corrupt('is damaged');
      if (frame.kind !== 'frame') break;
      yield frame.body;
      at = frame.next;
    }
    held = held.subarray(at);
  }
  if (held.length > 0) throw corrupt('ends inside a frame');
}

const corrupt = (what: string): KvError => new KvError('CORRUPT', `the metadata snapshot ${what}`);
