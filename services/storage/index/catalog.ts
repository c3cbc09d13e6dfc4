/**
 * What this volume holds. The state of a copy is the maximum of its records (open, staged, committed,
 * dropped), so records may come in any order and any number of times: living traffic, replay and
 * compaction all go through `apply` and cannot disagree.
 */
import type { CopyId } from '../../common/ids.ts';
import { COMMITTED, DROPPED, joined, UNKNOWN } from '../copy-state.ts';
import { decodeChunkMeta, type Head, KIND } from '../record.ts';
import type { Chunk } from './entry.ts';
import {
  type Copy,
  chunkDataBytes,
  copyOf,
  DROPPED_COPY,
  packChunk,
  packCopy,
  unpackChunk,
  unpackCopy,
  wholeBytes,
} from './entry.ts';
import { chunkKey, idOf, type Key, keyOf } from './key.ts';
import { SegmentTable } from './segments.ts';
import { Table } from './table.ts';

/** Chunks of a copy that has no end record yet. */
export interface OpenExtent {
  /** Highest chunk number and one. */
  readonly chunkCount: number;
  readonly lowest: number;
  readonly highest: number;
}

/** A record as it was placed or found. */
export type PlacedRecord = Pick<
  Head,
  'kind' | 'flags' | 'copyId' | 'segment' | 'offset' | 'meta' | 'dataBytes' | 'recordBytes'
>;

/** Where the drop record of a copy stands. */
export type DropPlace = Pick<PlacedRecord, 'copyId' | 'segment' | 'offset'>;

export class Catalog {
  readonly segments: SegmentTable;
  readonly #copies: Table;
  readonly #chunks: Table;
  readonly #open = new Map<CopyId, OpenExtent>();
  /** Staged copies and when, in this life of the process; -Infinity from before. */
  readonly #staged = new Map<CopyId, number>();
  /** Copies whose bytes are known to be bad: they are kept, and their segments are not compacted. */
  readonly #unsound = new Set<CopyId>();
  /** Commits met before the record that they commit; only while recovering. */
  readonly #earlyCommits = new Set<CopyId>();
  #valueBytes = 0;
  #copyCount = 0;

  constructor(
    tables: { copies: Table; chunks: Table; segments: SegmentTable } = {
      copies: new Table(),
      chunks: new Table(),
      segments: new SegmentTable(),
    },
  ) {
    this.#copies = tables.copies;
    this.#chunks = tables.chunks;
    this.segments = tables.segments;
  }

  get copyCount(): number {
    return this.#copyCount;
  }

  get valueBytes(): number {
    return this.#valueBytes;
  }

  get indexBytes(): number {
    return this.#copies.bytes + this.#chunks.bytes;
  }

  /** Entries for copies, those of dropped ones among them. */
  get copyEntries(): number {
    return this.#copies.used;
  }

  get tables(): { readonly copies: Table; readonly chunks: Table } {
    return { copies: this.#copies, chunks: this.#chunks };
  }

  get stagedAt(): ReadonlyMap<CopyId, number> {
    return this.#staged;
  }

  /** All staged copies together; walks them. */
  get staged(): { readonly copies: number; readonly bytes: number } {
    let bytes = 0;
    for (const id of this.#staged.keys()) {
      const key = keyOf(id);
      const copy = this.#copyAt(key);
      if (copy !== undefined) bytes += this.#sizeAt(key, copy);
    }
    return { copies: this.#staged.size, bytes };
  }

  get open(): ReadonlyMap<CopyId, OpenExtent> {
    return this.#open;
  }

  get unsound(): ReadonlySet<CopyId> {
    return this.#unsound;
  }

  /** Takes over what a snapshot says besides its tables. */
  restore(image: {
    readonly copyCount: number;
    readonly valueBytes: number;
    readonly staged: readonly CopyId[];
    readonly unsound: readonly CopyId[];
    readonly open: readonly (readonly [CopyId, OpenExtent])[];
  }): void {
    this.#copyCount = image.copyCount;
    this.#valueBytes = image.valueBytes;
    for (const id of image.staged) this.#staged.set(id, Number.NEGATIVE_INFINITY);
    for (const id of image.unsound) this.#unsound.add(id);
    for (const [id, extent] of image.open) this.#open.set(id, extent);
  }

  copy(id: CopyId): Copy | undefined {
    return this.#copyAt(keyOf(id));
  }

  chunk(id: CopyId, chunkNo: number): Chunk | undefined {
    return this.#chunkAt(keyOf(id), chunkNo);
  }

  /** Value bytes of a staged or committed copy. */
  sizeOf(id: CopyId, copy: Copy): number {
    return this.#sizeAt(keyOf(id), copy);
  }

  /** Copies in the order of ids whose state `wanted` likes. */
  page(
    after: CopyId | null,
    limit: number,
    wanted: (state: number) => boolean,
  ): readonly (readonly [CopyId, Copy])[] {
    const from = after === null ? null : keyOf(after);
    return this.#copies
      .page(from, limit, (slot) => wanted(unpackCopy(slot).state))
      .map(([key, slot]) => [idOf(key), unpackCopy(slot)] as const);
  }

  /** Takes a record into account; `atMs` is when, for staged copies. */
  apply(record: PlacedRecord, sound: boolean, atMs: number): void {
    switch (record.kind) {
      case KIND.chunk:
        this.#applyChunk(record);
        break;
      case KIND.end:
      case KIND.whole:
        this.#applyCopy(record, sound, atMs);
        break;
      case KIND.commit:
        this.#applyCommit(record.copyId);
        break;
      case KIND.drop:
        this.#applyDrop(record);
        break;
      case KIND.seal:
        break;
    }
  }

  /** True where the index needs this very record. */
  isLive(record: PlacedRecord): boolean {
    const key = keyOf(record.copyId);
    const entry =
      record.kind === KIND.chunk
        ? this.#chunkAt(key, decodeChunkMeta(record.meta).chunkNo)
        : this.#copyAt(key);
    if (entry === undefined) return false;
    if (record.kind === KIND.commit) {
      return 'state' in entry && entry.state === COMMITTED && !entry.settled;
    }
    return entry.segment === record.segment && entry.offset === record.offset;
  }

  /** Points the entry of a live record to where compaction has moved it. */
  move(record: PlacedRecord, to: { segment: number; offset: number; settled: boolean }): void {
    if (record.kind === KIND.commit || !this.isLive(record)) return;
    const key = keyOf(record.copyId);
    this.segments.release(record.segment, record.recordBytes);
    this.segments.hold(to.segment, record.recordBytes);
    if (record.kind === KIND.chunk) {
      const { chunkNo, valueOffset } = decodeChunkMeta(record.meta);
      const { recordBytes } = record;
      const { segment, offset } = to;
      this.#chunks.set(
        chunkKey(key, chunkNo),
        packChunk({ segment, offset, recordBytes, valueOffset }),
      );
      return;
    }
    const copy = this.#copyAt(key);
    if (copy !== undefined) this.#copies.set(key, packCopy({ ...copy, ...to }));
  }

  /** Forgets a drop whose copy can no longer be met in any file. */
  forgetDrop(record: DropPlace): void {
    const key = keyOf(record.copyId);
    const copy = this.#copyAt(key);
    if (copy?.state !== DROPPED || copy.offset !== record.offset) return;
    if (copy.segment !== record.segment) return;
    this.segments.release(copy.segment, copy.recordBytes);
    this.#copies.delete(key);
  }

  /** The copy's bytes are bad: it is kept, reads say so. */
  markUnsound(id: CopyId): void {
    const key = keyOf(id);
    const copy = this.#copyAt(key);
    if (copy === undefined || copy.state === DROPPED) return;
    this.#unsound.add(id);
    this.#copies.set(key, packCopy({ ...copy, unsound: true }));
  }

  /** Copies, open and dropped ones too, of which a record begins within these bytes of a segment. */
  copiesWithin(segment: number, offset: number, end: number): readonly CopyId[] {
    const isWithin = (place: Pick<Chunk, 'segment' | 'offset'> | undefined): boolean =>
      place?.segment === segment && place.offset >= offset && place.offset < end;
    const hasChunkWithin = (key: Key, chunkCount: number): boolean => {
      for (let no = 0; no < chunkCount; no += 1) if (isWithin(this.#chunkAt(key, no))) return true;
      return false;
    };
    const found: CopyId[] = [];
    for (const [key, slot] of this.#copies.entries()) {
      if (isWithin(slot) || hasChunkWithin(key, unpackCopy(slot).chunkCount)) found.push(idOf(key));
    }
    for (const [id, { chunkCount }] of this.#open) {
      if (hasChunkWithin(keyOf(id), chunkCount)) found.push(id);
    }
    return found;
  }

  /** The segments that hold records of a copy; commits do not count, they bring nothing back. */
  segmentsOf(id: CopyId): ReadonlySet<number> {
    const key = keyOf(id);
    const copy = this.#copyAt(key);
    const segments = new Set<number>();
    if (copy !== undefined) segments.add(copy.segment);
    const chunkCount = copy?.chunkCount ?? this.#open.get(id)?.chunkCount ?? 0;
    for (let no = 0; no < chunkCount; no += 1) {
      const chunk = this.#chunkAt(key, no);
      if (chunk !== undefined) segments.add(chunk.segment);
    }
    return segments;
  }

  /** Forgets all that points into files that are gone; a snapshot older than a compaction does. */
  sweep(isGone: (segment: number) => boolean): void {
    const lostCopies: Key[] = [];
    const lostChunks: Key[] = [];
    for (const [key, slot] of this.#copies.entries())
      if (isGone(slot.segment)) lostCopies.push(key);
    for (const [key, slot] of this.#chunks.entries())
      if (isGone(slot.segment)) lostChunks.push(key);
    for (const key of lostCopies) {
      this.#copies.delete(key);
      this.#staged.delete(idOf(key));
      this.#unsound.delete(idOf(key));
    }
    for (const key of lostChunks) this.#chunks.delete(key);
  }

  /** Ends recovery: counts anew what is live and marks copies that lack a chunk. */
  recount(): void {
    this.segments.forgetLive();
    this.#valueBytes = 0;
    this.#copyCount = 0;
    const incomplete: CopyId[] = [];
    for (const [key, slot] of this.#copies.entries()) {
      const copy = unpackCopy(slot);
      this.segments.hold(copy.segment, copy.recordBytes);
      if (copy.state === DROPPED) continue;
      this.#copyCount += 1;
      this.#valueBytes += this.#sizeAt(key, copy);
      if (copy.unsound || !this.#isComplete(key, copy)) incomplete.push(idOf(key));
    }
    for (const [, slot] of this.#chunks.entries()) {
      const chunk = unpackChunk(slot);
      this.segments.hold(chunk.segment, chunk.recordBytes);
    }
    for (const id of incomplete) this.markUnsound(id);
    this.#earlyCommits.clear();
  }

  #applyChunk(record: PlacedRecord): void {
    const key = keyOf(record.copyId);
    const copy = this.#copyAt(key);
    if (copy?.state === DROPPED) return;
    const { chunkNo, valueOffset } = decodeChunkMeta(record.meta);
    const { segment, offset, recordBytes } = record;
    this.#releaseChunk(key, chunkNo);
    this.#chunks.set(
      chunkKey(key, chunkNo),
      packChunk({ segment, offset, recordBytes, valueOffset }),
    );
    this.segments.hold(segment, recordBytes);
    if (copy !== undefined) return;
    const open = this.#open.get(record.copyId);
    this.#open.set(record.copyId, {
      chunkCount: Math.max(open?.chunkCount ?? 0, chunkNo + 1),
      lowest: Math.min(open?.lowest ?? segment, segment),
      highest: Math.max(open?.highest ?? segment, segment),
    });
  }

  #applyCopy(record: PlacedRecord, sound: boolean, atMs: number): void {
    const id = record.copyId;
    const key = keyOf(id);
    const known = this.#copyAt(key);
    if (known?.state === DROPPED) return;
    this.#open.delete(id);
    if (known !== undefined) {
      if (!sound && !known.unsound) return;
      this.#releaseCopy(key, known);
    }
    const state = this.#earlyCommits.delete(id) ? COMMITTED : (known?.state ?? UNKNOWN);
    const copy = copyOf(record, { sound, state });
    this.#copies.set(key, packCopy(copy));
    this.segments.hold(copy.segment, copy.recordBytes);
    this.#copyCount += 1;
    this.#valueBytes += this.#sizeAt(key, copy);
    if (sound) this.#unsound.delete(id);
    else this.#unsound.add(id);
    if (copy.state === COMMITTED) this.#staged.delete(id);
    else if (!this.#staged.has(id)) this.#staged.set(id, atMs);
  }

  #applyCommit(id: CopyId): void {
    const key = keyOf(id);
    const copy = this.#copyAt(key);
    const state = joined(copy?.state ?? UNKNOWN, COMMITTED);
    if (copy === undefined) this.#earlyCommits.add(id);
    else if (copy.state !== state) this.#copies.set(key, packCopy({ ...copy, state }));
    this.#staged.delete(id);
  }

  #applyDrop(record: PlacedRecord): void {
    const id = record.copyId;
    const key = keyOf(id);
    const known = this.#copyAt(key);
    const chunkCount = known?.chunkCount ?? this.#open.get(id)?.chunkCount ?? 0;
    if (known !== undefined) this.#releaseCopy(key, known);
    for (let no = 0; no < chunkCount; no += 1) {
      this.#releaseChunk(key, no);
      this.#chunks.delete(chunkKey(key, no));
    }
    this.#open.delete(id);
    this.#staged.delete(id);
    this.#unsound.delete(id);
    this.#earlyCommits.delete(id);
    const { segment, offset, recordBytes } = record;
    this.#copies.set(
      key,
      packCopy({ ...DROPPED_COPY, segment, offset, recordBytes, metaBytes: record.meta.length }),
    );
    this.segments.hold(segment, recordBytes);
  }

  /** Takes an entry's record out of the counts; the entry itself is about to be replaced. */
  #releaseCopy(key: Key, copy: Copy): void {
    this.segments.release(copy.segment, copy.recordBytes);
    if (copy.state === DROPPED) return;
    this.#copyCount -= 1;
    this.#valueBytes = Math.max(0, this.#valueBytes - this.#sizeAt(key, copy));
  }

  #releaseChunk(key: Key, chunkNo: number): void {
    const chunk = this.#chunkAt(key, chunkNo);
    if (chunk !== undefined) this.segments.release(chunk.segment, chunk.recordBytes);
  }

  #copyAt(key: Key): Copy | undefined {
    const slot = this.#copies.get(key);
    return slot === undefined ? undefined : unpackCopy(slot);
  }

  #chunkAt(key: Key, chunkNo: number): Chunk | undefined {
    const slot = this.#chunks.get(chunkKey(key, chunkNo));
    return slot === undefined ? undefined : unpackChunk(slot);
  }

  #sizeAt(key: Key, copy: Copy): number {
    if (copy.whole) return wholeBytes(copy);
    const last = this.#chunkAt(key, copy.chunkCount - 1);
    return last === undefined ? 0 : last.valueOffset + chunkDataBytes(last);
  }

  #isComplete(key: Key, copy: Copy): boolean {
    let offset = 0;
    for (let no = 0; no < copy.chunkCount; no += 1) {
      const chunk = this.#chunkAt(key, no);
      if (chunk?.valueOffset !== offset) return false;
      offset += chunkDataBytes(chunk);
    }
    return true;
  }
}
