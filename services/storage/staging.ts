/**
 * The way of a copy from its first chunk to its end: order, size, checksum, digest and room are
 * checked here, before anything is appended. Checks and append happen in one turn, so calls may
 * overlap freely. Open copies live in memory only: a restart drops them.
 */
import { crc32 } from '../common/checksum.ts';
import type { Clock } from '../common/clock.ts';
import { type DigestStream, digestOf, digestStream } from '../common/digest.ts';
import { asError, type ErrorCode, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { CopyId, Digest } from '../common/ids.ts';
import { DROPPED, OPEN, responseTo, UNKNOWN } from './copy-state.ts';
import type { Catalog } from './index/catalog.ts';
import type { Copy } from './index/entry.ts';
import {
  CHUNKS_MAX,
  OPEN_COPIES_MAX,
  OPEN_IDLE_MS,
  OWNER_BYTES_MAX,
  RECORD_DATA_MAX,
} from './limits.ts';
import type { Reader } from './reader.ts';
import {
  type Draft,
  draft,
  encodeChunkMeta,
  encodeCopyMeta,
  encodeDropRange,
  KIND,
} from './record.ts';
import type { Journal } from './segment/journal.ts';
import type { Space } from './space.ts';
import type { SettleResult, StageChunk, StageEnd, WholeCopy } from './types.ts';

interface OpenCopy {
  chunkCount: number;
  bytes: number;
  /** Declared and not yet used. */
  promisedBytes: number;
  grownMs: number;
  readonly digest: DigestStream;
}

/** What is about to be appended together. */
interface Batch {
  readonly ends: StageEnd[];
  readonly records: Draft[];
  readonly ids: Set<CopyId>;
}

interface EndInFlight {
  readonly digest: Digest;
  readonly done: Promise<void>;
}

export interface StagingComponents {
  readonly journal: Journal;
  readonly catalog: Catalog;
  readonly reader: Reader;
  readonly space: Space;
  readonly clock: Clock;
}

export class Staging {
  readonly #parts: StagingComponents;
  /** Votes wait for the sync. */
  readonly #votesSynced: boolean;
  readonly #open = new Map<CopyId, OpenCopy>();
  readonly #ends = new Map<CopyId, EndInFlight>();
  readonly #drops = new Map<CopyId, Promise<void>>();

  constructor(components: StagingComponents, options: { readonly votesSynced: boolean }) {
    this.#parts = components;
    this.#votesSynced = options.votesSynced;
  }

  /** All open copies together. */
  get open(): { readonly copies: number; readonly bytes: number } {
    let bytes = 0;
    for (const open of this.#open.values()) bytes += open.bytes;
    return { copies: this.#open.size, bytes };
  }

  /** Milliseconds since an open copy last grew, or undefined where it is not open. */
  openCopy(id: CopyId): { readonly bytes: number; readonly idleMs: number } | undefined {
    const open = this.#open.get(id);
    if (open === undefined) return undefined;
    return { bytes: open.bytes, idleMs: this.#parts.clock.monotonicMs() - open.grownMs };
  }

  async stageChunk(chunk: StageChunk): Promise<void> {
    const { copyId, chunkNo, data, crc } = chunk;
    if (data.length < 1 || data.length > RECORD_DATA_MAX) {
      throw refuse('OUT_OF_RANGE', 'a chunk has 1 byte to 1 MiB');
    }
    const open = this.#open.get(copyId) ?? this.#openCopy(chunk);
    if (chunkNo !== open.chunkCount || chunk.offset !== open.bytes || chunkNo > CHUNKS_MAX) {
      throw refuse('OUT_OF_RANGE', 'chunks follow each other without gap or overlap');
    }
    if (crc32(data) !== crc) throw refuse('CHECKSUM_MISMATCH', 'the chunk differs from its CRC');
    this.#spend(open, data.length);
    open.chunkCount += 1;
    open.bytes += data.length;
    open.grownMs = this.#parts.clock.monotonicMs();
    open.digest.update(data);
    const meta = encodeChunkMeta({ chunkNo, valueOffset: chunk.offset });
    await this.#parts.journal.append(draft(KIND.chunk, copyId, meta, { data, crc }), false);
  }

  async stageEnd(end: StageEnd, forceSync: boolean): Promise<void> {
    const { copyId } = end;
    const repeat = this.#repeat(end);
    if (repeat !== null) return repeat;
    const open = this.#open.get(copyId);
    if (open === undefined) throw refuse('NOT_FOUND', 'there is no such open copy');
    const digest = open.digest.finish();
    this.#forget(copyId, open);
    if (open.bytes !== end.sizeBytes || digest !== end.digest) {
      await this.#appendDrop(copyId, false);
      throw refuse('CHECKSUM_MISMATCH', 'the copy differs from its size or digest');
    }
    const meta = encodeCopyMeta(KIND.end, { ...end, chunkCount: open.chunkCount });
    await this.#vote({ ends: [end], records: [draft(KIND.end, copyId, meta)] }, forceSync);
  }

  /**
   * Stages values by one append: one wait for all, in place of several promises for each. Answers of each
   * why it was refused, null once it is staged.
   */
  async stageWholes(
    values: readonly WholeCopy[],
    forceSync: boolean,
  ): Promise<readonly (Error | null)[]> {
    const batch: Batch = { ends: [], records: [], ids: new Set() };
    const begun: (Error | Promise<void> | null)[] = [];
    for (const value of values) {
      if (batch.ids.has(value.end.copyId)) break;
      begun.push(this.#beginWhole(value, batch));
    }
    const done = batch.records.length === 0 ? null : this.#vote(batch, forceSync);
    // The second of two of the same id is a repeat, now that the first one is on its way.
    const rest = values.slice(begun.length);
    const later = rest.length === 0 ? [] : this.stageWholes(rest, forceSync);
    const failure = await refusalOf(done);
    const results: (Error | null)[] = [];
    for (const one of begun) {
      if (one === null) results.push(failure);
      else results.push(one instanceof Error ? one : await refusalOf(one));
    }
    return rest.length === 0 ? results : results.concat(await later);
  }

  /** null: it is of the batch now. A promise: a repeat, which waits for what has staged it. */
  #beginWhole({ end, data }: WholeCopy, batch: Batch): Error | Promise<void> | null {
    try {
      const repeat = this.#repeat(end);
      // It is asked how it went only once the batch is synced; until then its refusal is nobody's.
      repeat?.catch(() => undefined);
      if (repeat !== null) return repeat;
      batch.records.push(this.#wholeRecord(end, data));
      batch.ends.push(end);
      batch.ids.add(end.copyId);
      return null;
    } catch (error) {
      return asError(error);
    }
  }

  #wholeRecord(end: StageEnd, data: Uint8Array): Draft {
    const { copyId } = end;
    if (data.length > RECORD_DATA_MAX) {
      throw refuse('OUT_OF_RANGE', 'a whole value has at most 1 MiB');
    }
    if (this.#open.has(copyId)) throw refuse('ALREADY_EXISTS', 'the copy is open');
    if (this.#drops.has(copyId)) throw refuse('NOT_FOUND', 'the copy is dropped');
    if (data.length !== end.sizeBytes || digestOf(data) !== end.digest) {
      throw refuse('CHECKSUM_MISMATCH', 'the value differs from its size or digest');
    }
    const { space, catalog } = this.#parts;
    space.admit(data.length, catalog.valueBytes);
    space.spend(data.length);
    const meta = encodeCopyMeta(KIND.whole, { ...end, chunkCount: 0 });
    return draft(KIND.whole, copyId, meta, { data, crc: crc32(data) });
  }

  /** By one append; of each whether there is such a copy. */
  async finalize(ids: readonly CopyId[]): Promise<readonly SettleResult[]> {
    const records: Draft[] = [];
    const results = ids.map((id): SettleResult => {
      const state = this.#parts.catalog.copy(id)?.state ?? UNKNOWN;
      const { answer, appends } = responseTo(state, 'finalize');
      if (appends !== null) records.push(draft(KIND.commit, id));
      return answer === 'done' ? 'ok' : 'not-found';
    });
    if (records.length > 0) {
      await this.#parts.journal.appendAll(records, false);
      for (const _ of records) failpoint('volume.finalized');
    }
    return results;
  }

  async drop(id: CopyId): Promise<void> {
    const running = this.#drops.get(id);
    if (running !== undefined) return running;
    const open = this.#open.get(id);
    const isBegun = open !== undefined || this.#ends.has(id) || this.#isStranded(id);
    const state = this.#parts.catalog.copy(id)?.state ?? (isBegun ? OPEN : UNKNOWN);
    if (open !== undefined) this.#forget(id, open);
    if (responseTo(state, 'drop').appends === null) return;
    const done = this.#appendDrop(id, true);
    this.#drops.set(id, done);
    try {
      await done;
      failpoint('volume.dropped');
    } finally {
      this.#drops.delete(id);
    }
  }

  async dropIfOpen(id: CopyId): Promise<void> {
    const open = this.#open.get(id);
    if (open !== undefined) this.#forget(id, open);
    else if (this.#ends.has(id) || !this.#isStranded(id)) return;
    await this.#appendDrop(id, false);
  }

  /** Drops open copies that nobody feeds any more. */
  async dropIdle(): Promise<void> {
    const idle = [...this.#open.keys()].filter(
      (id) => (this.openCopy(id)?.idleMs ?? 0) >= OPEN_IDLE_MS,
    );
    await Promise.all(idle.map((id) => this.dropIfOpen(id)));
  }

  /** Drops what an earlier life of the process left open. */
  async dropLeftOpen(): Promise<void> {
    const left = [...this.#parts.catalog.open.keys()];
    await Promise.all(left.map((id) => this.#appendDrop(id, true)));
  }

  #openCopy(chunk: StageChunk): OpenCopy {
    const { copyId } = chunk;
    const { catalog, space, clock } = this.#parts;
    const copy = catalog.copy(copyId);
    if (copy?.state === DROPPED || this.#drops.has(copyId)) {
      throw refuse('NOT_FOUND', 'the copy is dropped');
    }
    if (copy !== undefined || this.#ends.has(copyId)) {
      throw refuse('ALREADY_EXISTS', 'the copy is staged');
    }
    if (chunk.chunkNo !== 0) throw refuse('OUT_OF_RANGE', 'the first chunk is missing');
    if (this.#open.size >= OPEN_COPIES_MAX) {
      throw refuse('OVERLOADED', 'too many copies are being staged');
    }
    const promisedBytes = chunk.declaredBytes;
    space.admit(Math.max(promisedBytes, chunk.data.length), catalog.valueBytes);
    space.promise(promisedBytes);
    const grownMs = clock.monotonicMs();
    const open = { chunkCount: 0, bytes: 0, promisedBytes, grownMs, digest: digestStream() };
    this.#open.set(copyId, open);
    return open;
  }

  /** Chunks of it are on disk, and its end could not be written: nobody will ever end it. */
  #isStranded(id: CopyId): boolean {
    const { catalog } = this.#parts;
    return catalog.open.has(id) && catalog.copy(id) === undefined;
  }

  /** Room that was promised at the first chunk is there; more must be found now. */
  #spend(open: OpenCopy, bytes: number): void {
    const { space, catalog } = this.#parts;
    const covered = Math.min(open.promisedBytes, bytes);
    if (bytes > covered) space.admit(bytes - covered, catalog.valueBytes);
    open.promisedBytes -= covered;
    space.promise(-covered);
    space.spend(bytes);
  }

  #forget(id: CopyId, open: OpenCopy): void {
    this.#open.delete(id);
    open.digest.discard();
    this.#parts.space.promise(-open.promisedBytes);
  }

  /** How a repeat of an end that was seen before goes on; null where this one is the first. */
  #repeat(end: StageEnd): Promise<void> | null {
    if (end.owner.length > OWNER_BYTES_MAX) {
      throw refuse('OUT_OF_RANGE', 'an owner has at most 1024 bytes');
    }
    const running = this.#ends.get(end.copyId);
    if (running !== undefined) {
      if (running.digest !== end.digest) throw otherDigest();
      return running.done;
    }
    const copy = this.#parts.catalog.copy(end.copyId);
    return copy === undefined ? null : this.#repeatStaged(end, copy);
  }

  async #repeatStaged(end: StageEnd, copy: Copy): Promise<void> {
    const { answer } = responseTo(copy.state, 'end');
    if (answer === 'not-found') throw refuse('NOT_FOUND', 'the copy is dropped');
    const staged = copy.unsound ? null : await this.#parts.reader.digestOf(end.copyId, copy);
    if (staged !== end.digest) throw otherDigest();
  }

  /** Appends what ends copies. A repeat that comes meanwhile waits for the same append. */
  async #vote({ ends, records }: Omit<Batch, 'ids'>, forceSync: boolean): Promise<void> {
    const done = this.#parts.journal.appendAll(records, this.#votesSynced || forceSync);
    for (const { copyId, digest } of ends) this.#ends.set(copyId, { digest, done });
    try {
      await done;
      for (const { owner } of ends) failpoint('volume.staged', owner);
    } finally {
      for (const { copyId } of ends) this.#ends.delete(copyId);
    }
  }

  #appendDrop(id: CopyId, synced: boolean): Promise<void> {
    return this.#parts.journal.append(draft(KIND.drop, id, UNKNOWN_RANGE), synced);
  }
}

/** Filled in by the journal, which knows the segments once the record is placed. */
const UNKNOWN_RANGE = encodeDropRange({ lowest: 0, highest: 0 });

const refuse = (code: ErrorCode, message: string): KvError => new KvError(code, message);
const otherDigest = (): KvError =>
  refuse('ALREADY_EXISTS', 'a copy of this id with another digest is staged');

/** Why it failed; null where it did not. */
const refusalOf = (done: Promise<void> | null): Promise<Error | null> | null =>
  done?.then(() => null, asError) ?? null;
