/**
 * Reads copies. Every record that is touched is checked whole: its head must name this copy, this
 * place and this chunk, its CRC must fit. A file that compaction has just removed sends the reader
 * back to the index, which knows the new place by then.
 */
import { asError, KvError } from '../common/errors.ts';
import { type CopyId, type Digest, type TxnId, txnId } from '../common/ids.ts';
import { DROPPED } from './copy-state.ts';
import type { Catalog } from './index/catalog.ts';
import { type Copy, chunkDataBytes, STATES, wholeBytes } from './index/entry.ts';
import { HEAD_READS_MAX, RECORD_DATA_MAX } from './limits.ts';
import type { Address, Head } from './record.ts';
import { dataOf, decodeChunkMeta, decodeCopyMeta, decodeHead, HEADER_BYTES } from './record.ts';
import type { SegmentFiles } from './segment/files.ts';
import type { CopyInfo, ReadResult } from './types.ts';

interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly recordBytes: number;
}

type RecordRead =
  | { readonly kind: 'found'; readonly head: Head; readonly data: Buffer }
  | { readonly kind: 'moved' }
  | { readonly kind: 'torn' }
  | { readonly kind: 'corrupt'; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string };

interface ReaderOptions {
  /** A record that does not verify. */
  readonly onDamage: (id: CopyId, place: Place, why: string) => void;
  /** A record that the disk did not let be read. */
  readonly onRefused: (place: Place, why: string) => void;
}

/** A record moves at most once a compaction; more in one read would be a bug. */
const MOVES_MAX = 8;
export const NO_TXN: TxnId = txnId('0'.repeat(32));

export class Reader {
  readonly #files: SegmentFiles;
  readonly #catalog: Catalog;
  readonly #options: ReaderOptions;

  constructor(
    components: { readonly files: SegmentFiles; readonly catalog: Catalog },
    options: ReaderOptions,
  ) {
    this.#files = components.files;
    this.#catalog = components.catalog;
    this.#options = options;
  }

  async read(id: CopyId, offset: number, length: number): Promise<ReadResult> {
    for (let tries = 0; tries < MOVES_MAX; tries += 1) {
      const copy = this.#catalog.copy(id);
      if (copy === undefined || copy.state === DROPPED) return { kind: 'absent' };
      const sizeBytes = this.#catalog.sizeOf(id, copy);
      // The last chunk tells the size, and a copy of chunks is never empty.
      if (sizeBytes === 0 && !copy.whole) return { kind: 'corrupt', why: 'its end is missing' };
      const bytes = Math.min(length, RECORD_DATA_MAX, sizeBytes - offset);
      if (offset > sizeBytes) {
        throw new KvError('OUT_OF_RANGE', 'the offset lies behind the end of the copy');
      }
      const result = copy.whole
        ? await this.#readWhole(id, copy, offset, bytes)
        : await this.#readChunks(id, copy, offset, bytes);
      if (result !== 'moved') return result;
    }
    return { kind: 'corrupt', why: 'the record is nowhere to be found' };
  }

  /** What the record that staged a copy says; without owner where it does not verify or is refused. */
  async info(id: CopyId, copy: Copy, stagedForMs: number): Promise<CopyInfo> {
    const state = STATES[copy.state] ?? 'dropped';
    const owner = new Uint8Array(0);
    const unknown = { copyId: id, state, txnId: NO_TXN, owner, stagedForMs, refused: false };
    if (copy.state === DROPPED) return { ...unknown, sizeBytes: 0, sound: true };
    const head = await this.#headIfReadable(id, copy);
    const sizeBytes = this.#catalog.sizeOf(id, copy);
    if (head === null) return { ...unknown, sizeBytes, sound: false };
    if (head === 'refused') return { ...unknown, sizeBytes, sound: !copy.unsound, refused: true };
    const meta = decodeCopyMeta(head);
    const known = { txnId: meta.txnId, owner: meta.owner, sizeBytes: meta.sizeBytes };
    return { ...unknown, ...known, sound: !copy.unsound };
  }

  /** The digest that was staged, or null where the record cannot be read. */
  async digestOf(id: CopyId, copy: Copy): Promise<Digest | null> {
    const head = await this.#head(id, copy);
    return head === null ? null : decodeCopyMeta(head).digest;
  }

  /** Like `info` for many, a bounded number at once, in the given order. */
  async infos(
    copies: readonly (readonly [CopyId, Copy])[],
    stagedForMs: (id: CopyId) => number,
  ): Promise<readonly CopyInfo[]> {
    const all: CopyInfo[] = [];
    for (let at = 0; at < copies.length; at += HEAD_READS_MAX) {
      const some = copies.slice(at, at + HEAD_READS_MAX);
      const infos = some.map(([id, copy]) => this.info(id, copy, stagedForMs(id)));
      all.push(...(await Promise.all(infos)));
    }
    return all;
  }

  async #readWhole(
    id: CopyId,
    copy: Copy,
    offset: number,
    bytes: number,
  ): Promise<ReadResult | 'moved'> {
    const record = await this.#record(id, copy);
    if (record.kind === 'moved') return 'moved';
    if (record.kind !== 'found') return this.#bad(id, copy, record);
    const data = record.data.subarray(offset, offset + bytes);
    const crc = data.length === record.data.length ? record.head.dataCrc : null;
    return { kind: 'found', data, sizeBytes: wholeBytes(copy), crc };
  }

  async #readChunks(
    id: CopyId,
    copy: Copy,
    offset: number,
    bytes: number,
  ): Promise<ReadResult | 'moved'> {
    const sizeBytes = this.#catalog.sizeOf(id, copy);
    const pieces: Buffer[] = [];
    let crc: number | null = null;
    let at = offset;
    const end = offset + bytes;
    for (let no = this.#chunkNoAt(id, copy, offset); at < end; no += 1) {
      const chunk = this.#catalog.chunk(id, no);
      if (chunk === undefined) return { kind: 'corrupt', why: `chunk ${no} is missing` };
      const record = await this.#record(id, chunk);
      if (record.kind === 'moved') return 'moved';
      if (record.kind !== 'found') return this.#bad(id, chunk, record);
      if (decodeChunkMeta(record.head.meta).chunkNo !== no) {
        return this.#bad(id, chunk, { kind: 'corrupt', why: 'another chunk stands there' });
      }
      const from = at - chunk.valueOffset;
      const piece = record.data.subarray(from, from + end - at);
      crc = pieces.length === 0 && piece.length === record.data.length ? record.head.dataCrc : null;
      pieces.push(piece);
      at = Math.min(end, chunk.valueOffset + chunkDataBytes(chunk));
    }
    const [only] = pieces;
    const data = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
    return { kind: 'found', data, sizeBytes, crc };
  }

  /** The last chunk that begins at or before `offset`: chunks may be of any size. */
  #chunkNoAt(id: CopyId, copy: Copy, offset: number): number {
    let low = 0;
    let high = copy.chunkCount - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const chunk = this.#catalog.chunk(id, middle);
      if (chunk !== undefined && chunk.valueOffset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** A read that the disk refuses, be it once or for lack of handles, tells nothing of the bytes. */
  async #record(id: CopyId, place: Place): Promise<RecordRead> {
    let stored: Stored | null;
    try {
      stored = await this.#read(place, place.recordBytes);
    } catch (error) {
      return { kind: 'refused', why: asError(error).message };
    }
    if (stored === null) return { kind: 'moved' };
    if (stored.bytes.length < place.recordBytes) return { kind: 'torn' };
    const head = headOf(id, stored);
    if (head === null) return { kind: 'corrupt', why: 'the record head does not verify' };
    const data = dataOf(stored.bytes, 0, head);
    if (data === null) return { kind: 'corrupt', why: 'the checksum of the bytes is wrong' };
    return { kind: 'found', head, data };
  }

  /**
   * The head, or null where what was read is none; nobody who asks about many copies is held up by one that
   * the disk refuses. A refusal, however often in one moment, says nothing: a copy that is called bad may be
   * the only one.
   */
  async #headIfReadable(id: CopyId, copy: Copy): Promise<Head | 'refused' | null> {
    try {
      return await this.#head(id, copy).catch(() => this.#head(id, copy));
    } catch (error) {
      if (isShortage(error)) throw error;
      this.#options.onRefused(copy, asError(error).message);
      return 'refused';
    }
  }

  async #head(id: CopyId, copy: Copy): Promise<Head | null> {
    const stored = await this.#read(copy, HEADER_BYTES + copy.metaBytes);
    if (stored !== null) return headOf(id, stored);
    const moved = this.#catalog.copy(id);
    if (moved === undefined || moved.state === DROPPED) return null;
    const again = await this.#read(moved, HEADER_BYTES + moved.metaBytes);
    return again === null ? null : headOf(id, again);
  }

  /**
   * The bytes of a place, and under which salt they were read: compaction may take their segment out of the
   * index meanwhile. null: the file is gone, so the index has a newer place.
   */
  async #read({ segment, offset }: Place, length: number): Promise<Stored | null> {
    const salt = this.#catalog.segments.get(segment)?.salt;
    if (salt === undefined) return null;
    try {
      const bytes = await this.#files.read(segment, offset, length);
      return { bytes, address: { segment, salt, offset } };
    } catch (error) {
      if (error instanceof KvError && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }

  #bad(
    id: CopyId,
    place: Place,
    record: Exclude<RecordRead, { kind: 'moved' | 'found' }>,
  ): ReadResult {
    const why = record.kind === 'torn' ? 'the file ends within the record' : record.why;
    if (record.kind === 'refused') this.#options.onRefused(place, why);
    else this.#options.onDamage(id, place, why);
    return record;
  }
}

/** What was read, and where it must say that it stands. */
interface Stored {
  readonly bytes: Buffer;
  readonly address: Address;
}

/** Its head, or null where it is not the head of this copy's record. */
function headOf(id: CopyId, { bytes, address }: Stored): Head | null {
  const head = decodeHead(bytes, 0, address);
  return head?.copyId === id ? head : null;
}

/** The process lacks handles or memory for the moment: no word of the disk. */
const isShortage = (error: unknown): boolean =>
  error instanceof KvError && SHORTAGES.has(String(error.detail['system']));

const SHORTAGES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);
