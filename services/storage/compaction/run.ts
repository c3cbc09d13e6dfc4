/**
 * Compaction: the live records of some sealed segments move one by one to a new segment, and only
 * then do the old files go. Order: write, sync, rename, sync folder, switch the index, remove. The new
 * segment names those that it replaces, so a restart after the rename first removes them: at every step
 * the volume is the old one or the new one. A bad record stops the move: nothing is ever dropped
 * because it could not be read. On a full disk only what needs no new segment goes.
 */
import { copyOf } from '../../common/bytes.ts';
import { type Clock, sleep } from '../../common/clock.ts';
import { asError, KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import type { Random } from '../../common/random.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Disk } from '../../disk/disk.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { COMMITTED } from '../copy-state.ts';
import type { DamageLog } from '../damage.ts';
import type { Catalog } from '../index/catalog.ts';
import type { SegmentInfo } from '../index/segments.ts';
import { COPY_BYTES_MAX } from '../limits.ts';
import type { StorageMetrics } from '../metrics.ts';
import {
  type Draft,
  decodeDropRange,
  FLAG_COMMITTED,
  type Head,
  KIND,
  recordBytesOf,
} from '../record.ts';
import type { SegmentFiles } from '../segment/files.ts';
import { SEGMENT_HEADER_BYTES } from '../segment/header.ts';
import { type Scanned, scanSegment } from '../segment/scan.ts';
import { DeadDrops, type Survey } from './dead-drops.ts';
import { inTurns } from './in-turns.ts';
import { MetDrops } from './met-drops.ts';
import { CompactionOutput } from './output.ts';
import { planCompaction } from './plan.ts';
import { roomBeside } from './room.ts';

/** The longest wait at one rate. */
const SLICE_MS = SECOND_MS;

export interface CompactionComponents {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: StorageMetrics;
  readonly damage: DamageLog;
}

export interface CompactionOptions {
  readonly segmentBytes: number;
  /** Reading rate; 0: as fast as it goes. */
  readonly bytesPerSecond: number;
}

interface Move {
  readonly head: Head;
  readonly offset: number;
  readonly settled: boolean;
}

/** One run's findings; applied to the catalog, all of them, or thrown away. */
interface Run {
  readonly victims: ReadonlySet<number>;
  readonly output: CompactionOutput;
  readonly moves: Move[];
  /** Drops that are needed no more once the victims are gone. */
  readonly deadDrops: MetDrops;
  keptBytes: number;
  damaged: boolean;
  /** There is no way back: the output may have its name, or the index may have let victims go. */
  isFinal: boolean;
}

/** What the rest of the engine has to do with one step. */
export interface StepOptions {
  /** Resolves once the catalog knows of each drop whose segments are named by now. */
  readonly placed: () => Promise<void>;
  readonly signal?: AbortSignal;
}

export class Compaction {
  readonly #parts: CompactionComponents;
  readonly #deadDrops: DeadDrops;
  readonly #options: CompactionOptions;
  /** Segments with bad bytes, which are left as they are. */
  readonly #damaged = new Set<number>();
  #bytesPerSecond: number;
  #touching: readonly number[] = [];
  #stepping = false;

  constructor(components: CompactionComponents, options: CompactionOptions) {
    this.#parts = components;
    const { catalog, clock } = components;
    this.#deadDrops = new DeadDrops({
      catalog,
      clock,
      survey: (info, signal) => this.#survey(info, signal),
    });
    this.#options = options;
    this.#bytesPerSecond = options.bytesPerSecond;
  }

  /** From now on, also for the run under way; 0: as fast as it goes. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** The segments that are being replaced and, last, the new one; empty while nothing is. */
  get touching(): readonly number[] {
    return this.#touching;
  }

  /** Old files still exist beside the segment that replaces them. */
  get running(): boolean {
    return this.#touching.length > 0;
  }

  /** One step; false where nothing was worth doing or nothing could be done. */
  async step(options: StepOptions): Promise<boolean> {
    if (this.#stepping) return false;
    this.#stepping = true;
    try {
      const victims = await this.#choose(options.signal);
      return victims.length > 0 && (await this.#replace(victims, options));
    } finally {
      this.#stepping = false;
      this.#touching = [];
    }
  }

  async #choose(signal?: AbortSignal): Promise<readonly number[]> {
    const { disk, files, catalog } = this.#parts;
    const { segmentBytes } = this.#options;
    const roomBytes = await roomBeside(disk, files.sealedPath(0));
    const damaged = this.#allDamaged();
    const limits = { segmentBytes, damaged, roomBytes };
    const victims = planCompaction(catalog.segments.all(), limits);
    if (victims.length > 0) return victims;
    const segment = await this.#deadDrops.next(limits, signal);
    return segment === null ? [] : [segment];
  }

  async #replace(victims: readonly number[], options: StepOptions): Promise<boolean> {
    const run = this.#begin(victims);
    try {
      await options.placed();
      return await this.#finish(run, options.signal);
    } catch (error) {
      if (!isNoSpace(error) || run.isFinal) throw error;
      await run.output.discard();
      this.#parts.logger.warn({ victims }, 'no room for a compacted segment');
      return this.#removeDead(victims, options.signal);
    }
  }

  /** From now on drops name the new segment too, where they drop what may be moved to it. */
  #begin(victims: readonly number[]): Run {
    const { disk, files, catalog, random } = this.#parts;
    const segment = catalog.segments.next();
    const header = { segment, salt: random.below(2 ** 32), replaces: victims };
    const output = new CompactionOutput(disk, { path: files.sealedPath(segment), header });
    this.#touching = [...victims, segment];
    return {
      victims: new Set(victims),
      output,
      moves: [],
      deadDrops: new MetDrops(),
      keptBytes: 0,
      damaged: false,
      isFinal: false,
    };
  }

  async #finish(run: Run, signal?: AbortSignal): Promise<boolean> {
    const { segments } = this.#parts.catalog;
    const { output } = run;
    if ([...run.victims].some((victim) => segments.get(victim)?.liveRecords !== 0)) {
      await output.open();
    }
    for (const victim of run.victims) {
      if (run.damaged || signal?.aborted === true) break;
      await this.#copyLive(victim, run, signal);
    }
    if (run.damaged || signal?.aborted === true) {
      await output.discard();
      return false;
    }
    failpoint('compaction.copied');
    await this.#publish(run);
    const { segment } = output.header;
    const numbers = { segment, replaced: run.victims.size, moved: run.moves.length };
    this.#parts.logger.info(numbers, 'compacted');
    return true;
  }

  /** Without room for an output: whatever needs none goes, one by one. */
  async #removeDead(victims: readonly number[], signal?: AbortSignal): Promise<boolean> {
    const { catalog, files } = this.#parts;
    let removed = false;
    for (const victim of victims) {
      const info = catalog.segments.get(victim);
      if (info === undefined) continue;
      const { isSound, neededBytes, deadDrops } = await this.#survey(info, signal);
      if (signal?.aborted === true) return removed;
      if (!isSound || neededBytes > 0) continue;
      await deadDrops.forget(this.#parts, new Set([victim]));
      catalog.segments.remove(victim);
      await files.remove([victim]);
      removed = true;
    }
    return removed;
  }

  async #survey(info: SegmentInfo, signal?: AbortSignal): Promise<Survey> {
    const { catalog } = this.#parts;
    const alone = new Set([info.segment]);
    const deadDrops = new MetDrops();
    let neededBytes = 0;
    let isSound = true;
    const visit = (scanned: Scanned): void => {
      isSound &&= scanned.kind === 'record';
      if (scanned.kind === 'bad-bytes' || !catalog.isLive(scanned.head)) return;
      const { head } = scanned;
      if (this.#isDeadDrop(head, alone)) deadDrops.add(head);
      else neededBytes += head.recordBytes;
    };
    const onRefused = (): void => {
      isSound = false;
    };
    await this.#scan(info, { visit, onRefused, ...(signal && { signal }) });
    return { isSound, neededBytes, deadDrops };
  }

  async #copyLive(victim: number, run: Run, signal?: AbortSignal): Promise<void> {
    const info = this.#parts.catalog.segments.get(victim);
    if (info === undefined) return;
    let isRefused = false;
    const onRefused = (why: string): void => {
      isRefused = true;
      this.#giveUp(victim, run, why);
    };
    const visit = (scanned: Scanned): Promise<void> | undefined => {
      /* What is not given to read looks bad and may be sound. */
      if (scanned.kind === 'bad-bytes' && !isRefused) this.#meetBadBytes(victim, scanned, run);
      if (scanned.kind !== 'bad-bytes') this.#visit(scanned, run);
      return run.output.isLarge ? run.output.flush() : undefined;
    };
    await this.#scan(info, { visit, onRefused, ...(signal && { signal }) });
  }

  #scan(
    { segment, salt, bytes: end }: SegmentInfo,
    calls: {
      readonly visit: (scanned: Scanned) => Promise<void> | undefined | void;
      readonly onRefused: (why: string) => void;
      readonly signal?: AbortSignal;
    },
  ): Promise<void> {
    const { files } = this.#parts;
    const read = (offset: number, length: number): Promise<Uint8Array> =>
      files.read(segment, offset, length).catch((error: unknown) => {
        calls.onRefused(asError(error).message);
        return NO_BYTES;
      });
    const pace = (bytes: number): Promise<void> => this.#pace(bytes, calls.signal);
    const source = { segment, salt, start: SEGMENT_HEADER_BYTES, end, read, pace };
    return scanSegment(source, calls.visit);
  }

  /** Whoever has a record there is damaged and keeps the segment; where nobody has they go with it. */
  #meetBadBytes(segment: number, bytes: { offset: number; end: number }, run: Run): void {
    const { catalog, damage } = this.#parts;
    const { offset, end } = bytes;
    // It stays in any case; the scrub tells of each place.
    if (run.damaged) return;
    const ids = catalog.copiesWithin(segment, offset, end);
    if (ids.length === 0) return;
    damage.corrupt({ segment, offset, why: 'no record verifies here, met by compaction' });
    for (const id of ids) catalog.markUnsound(id);
    this.#giveUp(segment, run, 'no record verifies');
  }

  #visit(scanned: Exclude<Scanned, { kind: 'bad-bytes' }>, run: Run): void {
    const { catalog, damage } = this.#parts;
    const { head } = scanned;
    if (!catalog.isLive(head)) return;
    if (scanned.kind === 'bad-data') {
      const { segment, offset, copyId } = head;
      damage.corrupt({ segment, offset, why: 'wrong checksum, met by compaction' });
      catalog.markUnsound(copyId);
      this.#giveUp(segment, run, 'wrong checksum');
      return;
    }
    if (this.#isDeadDrop(head, run.victims)) run.deadDrops.add(head);
    else this.#move(head, scanned.data, run);
  }

  #move(scanned: Head, data: Buffer, run: Run): void {
    const copy = this.#parts.catalog.copy(scanned.copyId);
    const stages = scanned.kind === KIND.whole || scanned.kind === KIND.end;
    const settled = stages && copy?.state === COMMITTED;
    if (scanned.kind === KIND.commit && copy !== undefined && run.victims.has(copy.segment)) return;
    const head = withoutBuffer(scanned);
    const record: Draft = {
      kind: head.kind,
      flags: settled ? FLAG_COMMITTED : 0,
      copyId: head.copyId,
      meta: head.meta,
      // What waits for its write must not keep a whole window for a few bytes of it.
      data: data.length <= COPY_BYTES_MAX ? copyOf(data) : data,
      dataCrc: head.dataCrc,
    };
    const offset = run.output.add(record);
    if (head.kind === KIND.commit) run.keptBytes += recordBytesOf(record);
    else run.moves.push({ head, offset, settled });
  }

  /** A drop, and no file that could hold the dropped copy is left once the victims are gone. */
  #isDeadDrop(head: Head, victims: ReadonlySet<number>): boolean {
    if (head.kind !== KIND.drop) return false;
    const { lowest, highest } = decodeDropRange(head.meta);
    return !this.#parts.catalog.segments.hasWithin(lowest, highest, victims);
  }

  async #publish(run: Run): Promise<void> {
    const { files, catalog } = this.#parts;
    const victims = [...run.victims];
    /* Without drops files can go one by one; with some, several go safely only behind one that names them. */
    const isAnyOrder = victims.length === 1 || run.deadDrops.isEmpty;
    const empty = run.moves.length === 0 && run.keptBytes === 0 && isAnyOrder;
    if (empty) {
      await run.output.discard();
      run.isFinal = true;
    } else {
      await run.output.finish();
      failpoint('compaction.prepared');
      run.isFinal = true;
      await run.output.publish();
      failpoint('compaction.published');
      this.#addOutput(run);
    }
    /*
     * Until all of them point to the output old and new files are there, and a copy that is dropped
     * meanwhile is not live any more when its turn comes.
     */
    await inTurns(this.#parts.clock, run.moves, ({ head, offset, settled }) => {
      catalog.move(head, { segment: run.output.header.segment, offset, settled });
    });
    await run.deadDrops.forget(this.#parts, run.victims);
    for (const victim of victims) catalog.segments.remove(victim);
    failpoint('compaction.switched');
    await files.remove(victims);
    failpoint('compaction.removed');
  }

  #addOutput(run: Run): void {
    const { segment, salt } = run.output.header;
    const info = this.#parts.catalog.segments.add(segment, salt);
    info.bytes = run.output.bytes;
    info.sealed = true;
    info.keptBytes = run.keptBytes;
  }

  #giveUp(segment: number, run: Run, why: string): void {
    this.#damaged.add(segment);
    run.damaged = true;
    this.#parts.logger.warn({ segment, why }, 'damaged segment is left as it is');
  }

  #allDamaged(): ReadonlySet<number> {
    const { catalog } = this.#parts;
    const all = new Set(this.#damaged);
    for (const id of catalog.unsound) {
      for (const segment of catalog.segmentsOf(id)) all.add(segment);
    }
    return all;
  }

  async #pace(bytes: number, signal?: AbortSignal): Promise<void> {
    const { clock, metrics } = this.#parts;
    metrics.compactionBytes.add(bytes);
    // In slices, because the rate may change while a large piece is waited for.
    for (let owedBytes = bytes; owedBytes > 0 && this.#bytesPerSecond > 0; ) {
      const rate = this.#bytesPerSecond;
      const sliceMs = Math.min(SLICE_MS, (owedBytes / rate) * 1000);
      await sleep(clock, sliceMs, signal).catch((error: unknown) => {
        if (signal?.aborted !== true) throw error;
      });
      if (signal?.aborted === true) return;
      owedBytes -= (rate * sliceMs) / 1000;
    }
  }
}

const NO_BYTES = new Uint8Array(0);

/** The head without its hold on the window that it was read from. */
const withoutBuffer = (head: Head): Head => ({ ...head, meta: copyOf(head.meta) });

const isNoSpace = (error: unknown): boolean =>
  error instanceof KvError && error.code === 'NO_SPACE';
