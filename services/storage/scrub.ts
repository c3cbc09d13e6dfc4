/**
 * Reads every record once, at a given rate, and quarantines what has decayed, so that damage is found
 * while other replicas are still whole. Of the active segment what was written when its turn came. Bytes
 * that the disk refuses to read end no pass: it goes on behind them, and the copies on them are bad.
 */
import { type Clock, sleep } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { KIB, SECOND_MS } from '../common/units.ts';
import type { DamageLog } from './damage.ts';
import type { Catalog } from './index/catalog.ts';
import type { SegmentInfo } from './index/segments.ts';
import type { SegmentFiles } from './segment/files.ts';
import { SEGMENT_HEADER_BYTES } from './segment/header.ts';
import { type Scanned, scanSegment } from './segment/scan.ts';

export interface ScrubComponents {
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly damage: DamageLog;
}

export interface ScrubResult {
  readonly checked: number;
  readonly bad: number;
}

interface ScrubOptions {
  readonly bytesPerSecond: number;
  readonly signal: AbortSignal;
}

/** A disk that refuses everything for a moment is given this long. */
const REFUSED_PAUSE_MS = 5 * SECOND_MS;
/** What is refused still is read in such pieces: a bad sector costs the records on it, and no others. */
const PIECE_BYTES = 4 * KIB;

/** Rejects with the signal's reason when aborted. */
export async function scrub(
  components: ScrubComponents,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<ScrubResult> {
  let checked = 0;
  let bad = 0;
  for (const info of components.catalog.segments.all()) {
    const pass = new SegmentPass(components, info, { bytesPerSecond, signal });
    await pass.run();
    checked += pass.checked;
    bad += pass.bad;
  }
  return { checked, bad };
}

/** Bytes that the disk did not let be read. */
interface Refused {
  readonly offset: number;
  readonly end: number;
  readonly why: string;
}

class SegmentPass {
  readonly #components: ScrubComponents;
  readonly #info: SegmentInfo;
  readonly #options: ScrubOptions;
  readonly #refused: Refused[] = [];
  checked = 0;
  bad = 0;

  constructor(components: ScrubComponents, info: SegmentInfo, options: ScrubOptions) {
    this.#components = components;
    this.#info = info;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { segment, salt, bytes: end } = this.#info;
    const { damage } = this.#components;
    const read = (offset: number, length: number): Promise<Buffer> => this.#read(offset, length);
    const pace = (bytes: number): Promise<void> =>
      this.#sleep((bytes / this.#options.bytesPerSecond) * SECOND_MS);
    const source = { segment, salt, start: SEGMENT_HEADER_BYTES, end, read, pace };
    try {
      await scanSegment(source, (found) => this.#visit(found));
    } catch (error) {
      if (this.#options.signal.aborted || !(error instanceof KvError)) throw error;
      /* Compaction has removed the file meanwhile, and checked what it moved. */
      if (isGone(error)) return;
      /* It cannot even be opened, which says nothing of its bytes. */
      this.bad += 1;
      damage.unreadable({ segment, offset: 0, why: error.message });
    }
  }

  /** Bytes that stay refused are given as zeros, and known as refused. */
  async #read(offset: number, length: number): Promise<Buffer> {
    const { files } = this.#components;
    const { segment } = this.#info;
    try {
      return await files.read(segment, offset, length);
    } catch (error) {
      if (isGone(error)) throw error;
    }
    await this.#sleep(REFUSED_PAUSE_MS);
    try {
      return await files.read(segment, offset, length);
    } catch (error) {
      if (isGone(error)) throw error;
    }
    /* Where the whole file is out of reach no piece of it need be tried. */
    await files.size(segment);
    return this.#readPieces(offset, length);
  }

  async #readPieces(offset: number, length: number): Promise<Buffer> {
    const { files } = this.#components;
    const bytes = Buffer.alloc(length);
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(at - (at % PIECE_BYTES) + PIECE_BYTES, offset + length);
      try {
        bytes.set(await files.read(this.#info.segment, at, end - at), at - offset);
      } catch (error) {
        if (isGone(error)) throw error;
        this.#refused.push({ offset: at, end, why: asError(error).message });
      }
      at = end;
    }
    return bytes;
  }

  #visit(found: Scanned): void {
    const { damage } = this.#components;
    const { segment } = this.#info;
    const { offset, end } = placeOf(found);
    const refused = this.#refused.find((bytes) => bytes.offset < end && bytes.end > offset);
    this.checked += 1;
    if (found.kind === 'record' && refused === undefined) return;
    this.bad += 1;
    this.#quarantine(found);
    if (refused !== undefined) damage.unreadable({ segment, offset, why: refused.why });
    else damage.corrupt({ segment, offset, why: `${whyOf(found)}, met by scrub` });
  }

  #quarantine(found: Scanned): void {
    const { catalog } = this.#components;
    if (found.kind !== 'bad-bytes') {
      if (catalog.isLive(found.head)) catalog.markUnsound(found.head.copyId);
      return;
    }
    const { offset, end } = found;
    for (const id of catalog.copiesWithin(this.#info.segment, offset, end)) catalog.markUnsound(id);
  }

  #sleep(ms: number): Promise<void> {
    return sleep(this.#components.clock, ms, this.#options.signal);
  }
}

const whyOf = ({ kind }: Scanned): string =>
  kind === 'bad-data' ? 'wrong checksum' : 'no record verifies here';

function placeOf(found: Scanned): { readonly offset: number; readonly end: number } {
  if (found.kind === 'bad-bytes') return found;
  const { offset, recordBytes } = found.head;
  return { offset, end: offset + recordBytes };
}

const isGone = (error: unknown): boolean => error instanceof KvError && error.code === 'NOT_FOUND';
