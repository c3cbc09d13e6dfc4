/**
 * The Raft log on disk: append-only segments, one write and one sync a batch. Nothing is ever
 * truncated while running: an entry of an earlier index replaces the conflicting rest at replay. Term
 * and vote stand in the log and in the vote file, both durable before anything depends on them.
 */
import { join } from 'node:path';
import type { Clock, Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type LogIndex, logIndex } from '../common/ids.ts';
import { MIB, SECOND_MS } from '../common/units.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import type { Entry, HardState, InitialState, LogPoint } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { LogBatch } from './log-codec.ts';
import {
  type Damage,
  type Replayed,
  replayLog,
  type SegmentRow,
  segmentName,
} from './log-replay.ts';
import type { ConsensusMetrics } from './metrics.ts';
import type { LogWrite, RaftLog } from './raft-log.ts';
import { VoteFile } from './vote-file.ts';

const SEGMENT_BYTES = 64 * MIB;
const WITNESS_EVERY_MS = SECOND_MS;

export interface LogStoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ConsensusMetrics;
}

export interface LogStoreOptions {
  readonly path: string;
  /** Bytes after which a new segment begins; default 64 MiB. */
  readonly segmentBytes?: number;
}

export class LogStore implements RaftLog {
  readonly #parts: LogStoreParts;
  readonly #path: string;
  readonly #segmentBytes: number;
  readonly #votes: VoteFile;
  readonly #found: Replayed;
  #segments: SegmentRow[];
  #file: DiskFile | null = null;
  #fileBytes = 0;
  #endOffset: number;
  #hardState: HardState;
  #last: LogPoint;
  #witness: Timer | null = null;

  private constructor(
    parts: LogStoreParts,
    options: LogStoreOptions,
    opened: { readonly votes: VoteFile; readonly found: Replayed; readonly hardState: HardState },
  ) {
    this.#parts = parts;
    this.#path = options.path;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#votes = opened.votes;
    this.#found = opened.found;
    this.#segments = [...opened.found.segments];
    this.#endOffset = opened.found.endOffset;
    this.#hardState = opened.hardState;
    const last = opened.found.entries.at(-1) ?? opened.found.base;
    this.#last = { index: last.index, term: last.term };
  }

  /**
   * Reads the log, cuts a torn tail, and starts a new segment for this life.
   * @throws KvError `CORRUPT` when both homes of term and vote are damaged: this node has no identity.
   */
  static async open(parts: LogStoreParts, options: LogStoreOptions): Promise<LogStore> {
    const { disk } = parts;
    await disk.makeFolder(options.path);
    const { file: votes, damaged } = await VoteFile.open(disk, join(options.path, 'vote'));
    const found = await replayLog(disk, options.path, votes.record.witnessOffset);
    const isLost = found.damage === null && found.endOffset < votes.record.witnessOffset;
    if (damaged && (found.damage?.kind === 'corruption' || found.segments.length === 0)) {
      throw new KvError('CORRUPT', 'both homes of term and vote are damaged: join as a new node');
    }
    const hardState = newer(found.hardState, votes.record.hardState);
    const store = new LogStore(parts, options, { votes, found, hardState });
    if (found.damage !== null) await store.#cut(found.damage);
    if (isLost) store.#report('lost', { endOffset: found.endOffset });
    if (isLost || found.damage?.kind === 'corruption') await votes.update({ recovering: true });
    await store.#beginSegment(store.#last);
    await votes.update({ hardState, witnessOffset: store.#endOffset });
    store.#raiseWitness();
    return store;
  }

  /** True from the detection of a loss until the leader's log is here again. */
  get recovering(): boolean {
    return this.#votes.record.recovering;
  }

  get lastIndex(): LogIndex {
    return this.#last.index;
  }

  /** What the Raft core starts from, given how far the state machine is. */
  initialState(applied: LogIndex): InitialState {
    const { base, entries } = this.#found;
    return {
      hardState: this.#hardState,
      base: this.#restarted ?? base,
      entries: this.#restarted === null ? entries : [],
      applied: logIndex(Math.max(applied, base.index)),
      recovering: this.recovering,
    };
  }

  async write(writes: readonly LogWrite[]): Promise<void> {
    const { clock, metrics } = this.#parts;
    const startMs = clock.monotonicMs();
    const batch = new LogBatch(this.#endOffset);
    let hardState: HardState | null = null;
    for (const write of writes) {
      if (write.hardState !== null) {
        hardState = write.hardState;
        batch.hardState(hardState);
      }
      for (const entry of write.entries) batch.entry(entry);
      const last: Entry | undefined = write.entries.at(-1);
      if (last !== undefined) this.#last = { index: last.index, term: last.term };
    }
    await this.#append(batch);
    if (hardState !== null) {
      this.#hardState = hardState;
      await this.#votes.update({ hardState });
    }
    metrics.logSyncs.add();
    metrics.logBytes.add(batch.length);
    metrics.logSyncSeconds.observe((clock.monotonicMs() - startMs) / 1000);
    if (this.#fileBytes >= this.#segmentBytes) await this.#beginSegment(this.#last);
  }

  async restart(base: LogPoint): Promise<void> {
    const old = [...this.#segments];
    this.#last = base;
    this.#restarted = base;
    await this.#beginSegment(base);
    this.#segments = this.#segments.slice(-1);
    await this.#remove(old);
  }

  /** The log ends before what was applied from it: it lost entries and must not vote. */
  async markLost(applied: LogPoint): Promise<void> {
    this.#report('lost', { lastIndex: this.#last.index, applied: applied.index });
    await this.#votes.update({ recovering: true });
    await this.restart(applied);
  }

  async compact(base: LogPoint): Promise<void> {
    const active = this.#segments.at(-1);
    const old = this.#segments.filter((row) => row !== active && row.lastIndex <= base.index);
    // Only a run from the front may go: replay starts at the oldest segment.
    const kept = this.#segments.findIndex((row) => !old.includes(row));
    const gone = this.#segments.slice(0, kept);
    this.#segments = this.#segments.slice(kept);
    await this.#remove(gone);
  }

  async setRecovered(): Promise<void> {
    await this.#votes.update({ recovering: false });
  }

  async close(): Promise<void> {
    this.#witness?.cancel();
    await this.#votes.update({ witnessOffset: this.#endOffset });
    await this.#votes.close();
    await this.#file?.close();
  }

  /** The base of a log that was restarted in this life. */
  #restarted: LogPoint | null = null;

  async #append(batch: LogBatch): Promise<void> {
    const file = this.#file;
    if (file === null) throw new KvError('DISK_FAILED', 'the Raft log is closed');
    await file.write(this.#fileBytes, batch.parts);
    await file.sync();
    this.#fileBytes += batch.length;
    this.#endOffset += batch.length;
  }

  /** A new segment, durable with its header before anything is appended to it. */
  async #beginSegment(previous: LogPoint): Promise<void> {
    const { disk } = this.#parts;
    const closing = this.#segments.at(-1);
    if (closing !== undefined && this.#file !== null) {
      this.#segments[this.#segments.length - 1] = { ...closing, lastIndex: this.#last.index };
    }
    await this.#file?.close();
    const number = (closing?.number ?? 0) + 1;
    const name = segmentName(number);
    this.#file = await disk.open(join(this.#path, name), 'create');
    this.#fileBytes = 0;
    const startOffset = this.#endOffset;
    const batch = new LogBatch(startOffset);
    batch.header({ number, startOffset, previous, hardState: this.#hardState });
    await this.#append(batch);
    await disk.syncFolder(this.#path);
    this.#segments.push({ name, number, startOffset, lastIndex: previous.index });
  }

  async #remove(rows: readonly SegmentRow[]): Promise<void> {
    const { disk } = this.#parts;
    for (const { name } of rows) await disk.remove(join(this.#path, name));
    if (rows.length > 0) await disk.syncFolder(this.#path);
  }

  /** Cuts the log at the damage; the cut bytes stay beside it for whoever wants to look. */
  async #cut(damage: Damage): Promise<void> {
    const { disk } = this.#parts;
    const path = join(this.#path, damage.segment);
    this.#report(damage.kind, { segment: damage.segment, offset: damage.offset });
    const later = (await disk.list(this.#path)).filter(
      (name) => name.endsWith('.log') && name > damage.segment,
    );
    for (const name of later) {
      await disk.rename(join(this.#path, name), join(this.#path, `${name}.broken`));
    }
    const file = await disk.open(path, 'write');
    const bytes = await file.read(0, await file.size());
    const broken = `${path}.broken`;
    await disk.remove(broken);
    const kept = await disk.open(broken, 'create');
    await kept.write(0, [bytes]);
    await kept.sync();
    await kept.close();
    await file.truncate(damage.offset);
    await file.sync();
    await file.close();
    // A segment whose very header is bad has no place in the chain.
    if (damage.offset === 0) await disk.remove(path);
    await disk.syncFolder(this.#path);
  }

  #report(kind: Damage['kind'] | 'lost', fields: Readonly<Record<string, unknown>>): void {
    this.#parts.metrics.logDamage.add(1, { kind });
    this.#parts.logger.error({ kind, ...fields }, 'raft log is damaged');
  }

  #raiseWitness(): void {
    this.#witness = this.#parts.clock.after(WITNESS_EVERY_MS, () => {
      const witnessOffset = this.#endOffset;
      const { record } = this.#votes;
      const raised =
        witnessOffset > record.witnessOffset
          ? this.#votes.update({ witnessOffset })
          : Promise.resolve();
      // A failing disk shows at the next append, which stops the process.
      raised.then(() => this.#raiseWitness()).catch(() => undefined);
    });
  }
}

function newer(a: HardState, b: HardState): HardState {
  if (a.term !== b.term) return a.term > b.term ? a : b;
  return a.vote !== 0 ? a : b;
}
