/**
 * The Raft log on disk: records in a frame log, one write and one sync a batch. Nothing is truncated
 * while running: later records void earlier ones, so what was durable once stays so and the witness
 * only rises. Term and vote stand in the log and in the vote file, both durable before anything
 * depends on them.
 */
import { join } from 'node:path';
import type { Clock, Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { LogIndex } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { MIB, SECOND_MS } from '../common/units.ts';
import type { Disk } from '../disk/disk.ts';
import { FrameLog, type LogDamage } from '../disk/frame-log.ts';
import type { HardState, InitialState, LogPoint } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { reportLogDamage } from './damage.ts';
import {
  decodeLogRecord,
  encodeLogRecord,
  LOG_FRAME_BYTES_MAX,
  type LogRecord,
} from './log-codec.ts';
import { LogImage } from './log-image.ts';
import type { ConsensusMetrics } from './metrics.ts';
import type { LogWrite, RaftLog } from './raft-log.ts';
import { VoteFile } from './vote-file.ts';

const SEGMENT_BYTES = 16 * MIB;
const WITNESS_EVERY_MS = SECOND_MS;
const DAMAGE = { torn: 'torn_tail', corrupt: 'corruption', lost: 'lost' } as const;

export interface LogStoreParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ConsensusMetrics;
}

export interface LogStoreOptions {
  readonly path: string;
  /** An earlier life may have voted: a log and vote file that are not there are lost, not new. */
  readonly isMember: boolean;
  /** Bytes after which a new segment begins; default 16 MiB. */
  readonly segmentBytes?: number | undefined;
}

export class LogStore implements RaftLog {
  readonly #parts: LogStoreParts;
  readonly #votes: VoteFile;
  readonly #log: FrameLog;
  /** What the log adds up to now, appended records included. */
  readonly #image: LogImage;
  #witness: Timer | null = null;
  /** Calls in order, one at a time; an error stays. */
  #tail: Promise<void> = Promise.resolve();

  private constructor(
    parts: LogStoreParts,
    opened: { readonly votes: VoteFile; readonly log: FrameLog; readonly image: LogImage },
  ) {
    this.#parts = parts;
    this.#votes = opened.votes;
    this.#log = opened.log;
    this.#image = opened.image;
  }

  /**
   * Reads the log. A torn tail is cut; of any other damage `recovering` is durable before the repair.
   * @throws KvError `CORRUPT` when both homes of term and vote are damaged or gone: this node has no
   * identity, and nothing was changed.
   */
  static async open(parts: LogStoreParts, options: LogStoreOptions): Promise<LogStore> {
    const { disk, random } = parts;
    await disk.makeFolder(options.path);
    const votes = await VoteFile.open(disk, join(options.path, 'vote'));
    const image = new LogImage();
    const log = await FrameLog.open(
      { disk, random },
      {
        path: join(options.path, 'log'),
        segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
        payloadBytesMax: LOG_FRAME_BYTES_MAX,
        durableTo: votes.record.witness,
        onFrame: ({ payload }, { position }) => image.take(decodeLogRecord(payload), position),
        beforeRepair: (damage) => beforeRepair(parts, votes, damage),
        head: (position) => encodeLogRecord(image.beginSegment(position)),
      },
    );
    await judgeVotes(parts, { votes, image, isMember: options.isMember });
    image.hardState = newer(image.hardState, votes.record.hardState);
    await votes.update({ hardState: image.hardState, witness: log.end });
    const store = new LogStore(parts, { votes, log, image });
    store.#raiseWitness();
    return store;
  }

  /** True from the detection of a loss until the leader's log is here again. */
  get recovering(): boolean {
    return this.#votes.record.recovering;
  }

  /**
   * Brings the log in line with the durable point of the state machine, before anything is appended.
   * `installed`: that state came from a snapshot, after which a crash may have kept the log from being
   * restarted. Any other log that lacks `flushed`, or what follows it, has lost something: the node
   * recovers, from what its state machine holds.
   */
  async align(flushed: LogPoint, installed: boolean): Promise<void> {
    const image = this.#image;
    if (image.isWhole && image.termAt(flushed.index) === flushed.term) return;
    if (!installed || !image.isWhole || image.base.index > flushed.index) {
      const { base, last } = image;
      reportLogDamage(this.#parts, 'lost', { base: base.index, last, flushed: flushed.index });
      await this.#votes.updateBoth({ recovering: true });
    }
    await this.restart(flushed);
  }

  /** What the Raft core starts from, after `align`; to be asked once. */
  initialState(applied: LogIndex): InitialState {
    const { hardState, base, entries } = this.#image;
    this.#image.releaseEntries();
    return { hardState, base, entries, applied, recovering: this.recovering };
  }

  write(writes: readonly LogWrite[]): Promise<void> {
    return this.#inTurn(async () => {
      const hardState = writes.findLast((write) => write.hardState !== null)?.hardState ?? null;
      const records: LogRecord[] = hardState === null ? [] : [{ kind: 'hard-state', hardState }];
      for (const { truncateFrom, entries } of writes) {
        if (truncateFrom !== null) records.push({ kind: 'truncate', from: truncateFrom });
        for (const entry of entries) records.push({ kind: 'entry', entry });
      }
      const homes = [this.#append(records)];
      if (hardState !== null) homes.push(this.#votes.update({ hardState }));
      await Promise.all(homes);
    });
  }

  restart(base: LogPoint): Promise<void> {
    return this.#inTurn(async () => {
      await this.#append([{ kind: 'restart', point: base }]);
      failpoint('log.restarted');
      await this.#cutBehind(base);
    });
  }

  compact(base: LogPoint): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#canCut(base)) return;
      // Durable before any segment goes: a reader of the rest must know that nothing is missing.
      await this.#append([{ kind: 'base', point: base }]);
      failpoint('log.based');
      await this.#cutBehind(base);
    });
  }

  setRecovered(): Promise<void> {
    return this.#votes.updateBoth({ recovering: false });
  }

  async close(): Promise<void> {
    this.#witness?.cancel();
    await this.#tail;
    await this.#votes.update({ witness: this.#log.end });
    await this.#votes.close();
    await this.#log.close();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done;
    return done;
  }

  async #append(records: readonly LogRecord[]): Promise<void> {
    const { clock, metrics } = this.#parts;
    if (records.length === 0) return;
    const startMs = clock.monotonicMs();
    const [startBytes, startSegments] = [this.#log.end, this.#image.starts.length];
    await this.#log.append(records.map(encodeLogRecord));
    for (const record of records) this.#image.take(record, this.#log.end);
    metrics.logSyncs.add();
    metrics.logBytes.add(this.#log.end - startBytes);
    metrics.logSyncSeconds.observe((clock.monotonicMs() - startMs) / SECOND_MS);
    if (this.#image.starts.length > startSegments) {
      await this.#votes.update({ witness: this.#log.end });
    }
  }

  /** A segment may go once the one after it begins behind entries that nobody needs. */
  #canCut(base: LogPoint): boolean {
    const second = this.#image.starts[1];
    return second !== undefined && second.last <= base.index;
  }

  async #cutBehind(base: LogPoint): Promise<void> {
    const { starts } = this.#image;
    while (this.#canCut(base)) starts.shift();
    const [oldest] = starts;
    if (oldest !== undefined) await this.#log.cutFront(oldest.position);
  }

  #raiseWitness(): void {
    this.#witness = this.#parts.clock.after(WITNESS_EVERY_MS, () => {
      const witness = this.#log.end;
      const isHigher = witness > this.#votes.record.witness;
      const raised = isHigher ? this.#votes.update({ witness }) : Promise.resolve();
      // The error of a failed write stays in the vote file and stops the next one that matters.
      raised.then(() => this.#raiseWitness()).catch(() => undefined);
    });
  }
}

/** Nothing is cut yet: what the loss means must be durable first, or a crash now would hide it. */
async function beforeRepair(
  parts: LogStoreParts,
  votes: VoteFile,
  damage: LogDamage,
): Promise<void> {
  const { position, file, bytesDropped } = damage;
  reportLogDamage(parts, DAMAGE[damage.kind], { position, file, bytesDropped });
  const { found } = votes;
  // Without a witness a tail that looks torn may hold a vote that was given.
  if (found.kind !== 'record') throw noIdentity();
  if (damage.kind === 'torn') return;
  // The other slot may have been the newer one, and the frame beside it is among what is cut.
  if (found.damagedSlots > 0) throw noIdentity();
  await votes.updateBoth({ recovering: true, witness: Math.min(votes.record.witness, position) });
}

/**
 * The log holds term and vote too, so either home may go. With the file witness and recovering mark are
 * gone as well, so the worst is taken. The file is older than any frame: its absence is loss too.
 */
async function judgeVotes(
  parts: LogStoreParts,
  read: { readonly votes: VoteFile; readonly image: LogImage; readonly isMember: boolean },
): Promise<void> {
  const { votes, image, isMember } = read;
  const { found } = votes;
  if (found.kind === 'record') {
    if (found.damagedSlots > 0) reportLogDamage(parts, 'vote_slot', {});
    return;
  }
  const isLogEmpty = image.starts.length === 0;
  if (found.kind === 'absent' && isLogEmpty && !isMember) return;
  if (isLogEmpty) throw noIdentity();
  reportLogDamage(parts, 'vote_file', {});
  await votes.updateBoth({ hardState: image.hardState, recovering: true });
}

const noIdentity = (): KvError =>
  new KvError(
    'CORRUPT',
    'log and vote file are both damaged or gone: this coordinator may have forgotten a vote and must join as a new node',
  );

function newer(a: HardState, b: HardState): HardState {
  if (a.term !== b.term) return a.term > b.term ? a : b;
  return a.vote !== 0 ? a : b;
}
