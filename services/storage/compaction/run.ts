/**
 * Compaction: the live records of some sealed segments move one by one to a new segment, and only
 * then do the old files go. Order: write, sync, rename, sync folder, switch the index, remove. The new
 * segment names those that it replaces, so a restart after the rename first removes them: at every step
 * the volume is the old one or the new one. A bad record stops the move: nothing is ever dropped
 * because it could not be read.
 */
import { copyOf } from '../../common/bytes.ts';
import { type Clock, nextTurn, sleep } from '../../common/clock.ts';
import { asError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import type { Random } from '../../common/random.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Disk } from '../../disk/disk.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { COMMITTED } from '../copy-state.ts';
import type { DamageLog } from '../damage.ts';
import type { Catalog } from '../index/catalog.ts';
import { COPY_BYTES_MAX, MOVES_A_TURN } from '../limits.ts';
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
import { CompactionOutput } from './output.ts';
import { planCompaction } from './plan.ts';

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
  readonly deadDrops: Head[];
  keptBytes: number;
  damaged: boolean;
}

export class Compaction {
  readonly #parts: CompactionComponents;
  readonly #options: CompactionOptions;
  /** Segments with bad bytes, which are left as they are. */
  readonly #damaged = new Set<number>();
  #bytesPerSecond: number;
  #touching: readonly number[] = [];
  #running = false;

  constructor(components: CompactionComponents, options: CompactionOptions) {
    this.#parts = components;
    this.#options = options;
    this.#bytesPerSecond = options.bytesPerSecond;
  }

  /** From now on, also for the run under way; 0: as fast as it goes. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Old and new segments of the running compaction: a drop's records may be in any of them. */
  get touching(): readonly number[] {
    return this.#touching;
  }

  /** Old files still exist beside the segment that replaces them. */
  get running(): boolean {
    return this.#running;
  }

  /** One step; false where nothing was worth doing or nothing could be done. */
  async step(signal?: AbortSignal): Promise<boolean> {
    if (this.#running) return false;
    const { catalog } = this.#parts;
    const victims = planCompaction(catalog.segments.all(), {
      segmentBytes: this.#options.segmentBytes,
      damaged: this.#allDamaged(),
    });
    if (victims.length === 0) return false;
    this.#running = true;
    try {
      return await this.#replace(victims, signal);
    } finally {
      this.#running = false;
      this.#touching = [];
    }
  }

  async #replace(victims: readonly number[], signal?: AbortSignal): Promise<boolean> {
    const { disk, files, catalog, random, logger } = this.#parts;
    const segment = catalog.segments.next();
    const header = { segment, salt: random.below(2 ** 32), replaces: victims };
    const output = new CompactionOutput(disk, { path: files.sealedPath(segment), header });
    this.#touching = [...victims, segment];
    const run: Run = {
      victims: new Set(victims),
      output,
      moves: [],
      deadDrops: [],
      keptBytes: 0,
      damaged: false,
    };
    await output.open();
    failpoint('compaction.begun');
    for (const victim of victims) {
      if (run.damaged || signal?.aborted === true) break;
      await this.#copyLive(victim, run, signal);
    }
    if (run.damaged || signal?.aborted === true) {
      await output.discard();
      return false;
    }
    failpoint('compaction.copied');
    await this.#publish(run);
    logger.info({ segment, replaced: victims.length, moved: run.moves.length }, 'compacted');
    return true;
  }

  async #copyLive(victim: number, run: Run, signal?: AbortSignal): Promise<void> {
    const { files, catalog } = this.#parts;
    const info = catalog.segments.get(victim);
    if (info === undefined) return;
    let found = 0;
    let badBytes = false;
    await scanSegment(
      {
        segment: victim,
        salt: info.salt,
        start: SEGMENT_HEADER_BYTES,
        end: info.bytes,
        read: (offset, length) =>
          files.read(victim, offset, length).catch((error: unknown) => {
            this.#giveUp(victim, run, asError(error).message);
            return NO_BYTES;
          }),
        pace: (bytes) => this.#pace(bytes, signal),
      },
      (scanned) => {
        badBytes ||= scanned.kind === 'bad-bytes';
        if (this.#visit(scanned, run)) found += 1;
        return run.output.isLarge ? run.output.flush() : undefined;
      },
    );
    /* Records dropped meanwhile only make the count smaller: fewer found than live is damage. */
    if (badBytes && found < info.liveRecords) this.#giveUp(victim, run, 'records are missing');
  }

  /** True where the record counts as one that the index needs. */
  #visit(scanned: Scanned, run: Run): boolean {
    const { catalog, damage } = this.#parts;
    if (scanned.kind === 'bad-bytes') return false;
    const { head } = scanned;
    if (!catalog.isLive(head)) return false;
    if (scanned.kind === 'bad-data') {
      const { segment, offset, copyId } = head;
      damage.corrupt({ segment, offset, why: 'wrong checksum, met by compaction' });
      catalog.markUnsound(copyId);
      this.#giveUp(segment, run, 'wrong checksum');
      return true;
    }
    if (head.kind === KIND.drop && this.#isObsolete(head, run.victims)) {
      run.deadDrops.push(withoutBuffer(head));
      return true;
    }
    this.#move(head, scanned.data, run);
    return head.kind !== KIND.commit;
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

  /** No file that could hold the dropped copy is left once the victims are gone. */
  #isObsolete(head: Head, victims: ReadonlySet<number>): boolean {
    const { lowest, highest } = decodeDropRange(head.meta);
    return !this.#parts.catalog.segments.hasWithin(lowest, highest, victims);
  }

  async #publish(run: Run): Promise<void> {
    const { files, catalog } = this.#parts;
    const victims = [...run.victims];
    /* A single file can go at once; several go safely only behind one that names them. */
    const empty = run.moves.length === 0 && run.keptBytes === 0 && victims.length === 1;
    if (empty) {
      await run.output.discard();
    } else {
      await run.output.finish();
      failpoint('compaction.prepared');
      await run.output.publish();
      failpoint('compaction.published');
      this.#addOutput(run);
    }
    await inTurns(this.#parts.clock, run.moves, ({ head, offset, settled }) => {
      catalog.move(head, { segment: run.output.header.segment, offset, settled });
    });
    await inTurns(this.#parts.clock, run.deadDrops, (drop) => catalog.forgetDrop(drop));
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
      const range = catalog.rangeOf(id);
      if (range !== null) all.add(range.lowest).add(range.highest);
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

/**
 * Some entries of the index a turn: until all of them point to the output, old and new files are there, and
 * a copy that is dropped meanwhile is not live any more when its turn comes.
 */
async function inTurns<T>(
  clock: Clock,
  items: readonly T[],
  change: (item: T) => void,
): Promise<void> {
  for (const [i, item] of items.entries()) {
    if (i % MOVES_A_TURN === MOVES_A_TURN - 1) await nextTurn(clock);
    change(item);
  }
}

/** The head without its hold on the window that it was read from. */
const withoutBuffer = (head: Head): Head => ({ ...head, meta: copyOf(head.meta) });
