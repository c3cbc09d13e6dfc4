/**
 * Raises the marks behind which nothing undecided is decided, garbage may go and outcomes are
 * forgotten. A mark is an index that was seen long enough ago by the monotonic clock, plus one; so a
 * jump of wall time moves nothing. Nothing is proposed at rest: only garbage, a full table of outcomes
 * or somebody's question makes it due.
 */
import type { Clock, Timer } from '../../common/clock.ts';
import { type LogIndex, logIndex } from '../../common/ids.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Advance } from '../../metadata/commands.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metadata } from '../metadata-port.ts';

export interface AdvanceComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
}

export interface AdvanceOptions {
  readonly fenceMs: number;
  readonly graceMs: number;
  /** Outcomes that are remembered at least. */
  readonly outcomesMax: number;
}

/** What was so at one moment. */
interface Sample {
  readonly atMs: number;
  readonly commit: LogIndex;
  readonly fence: LogIndex;
  /** Outcomes applied in this life of the process. */
  readonly outcomes: number;
}

const SAMPLES_MAX = 4096;
/** Outcomes of earlier lives are not counted; log entries bound them. */
const ENTRIES_AN_OUTCOME = 4;

export class AdvanceJob {
  readonly #components: AdvanceComponents;
  readonly #options: AdvanceOptions;
  readonly #periodMs: number;
  /** Oldest first. */
  #samples: Sample[] = [];
  #outcomes = 0;
  /** Births up to here are asked about; 0: nobody asks. */
  #askedIndex = logIndex(0);
  #timer: Timer | null = null;

  constructor(components: AdvanceComponents, options: AdvanceOptions) {
    this.#components = components;
    this.#options = options;
    const quarter = Math.min(options.fenceMs, options.graceMs) / 4;
    this.#periodMs = Math.min(15 * SECOND_MS, Math.max(100, quarter));
  }

  start(): void {
    this.#components.metadata.onApplied((applied) => {
      for (const { result } of applied) if (result.kind === 'txn') this.#outcomes += 1;
    });
    this.#turn();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Somebody waits for what is undecided now. Any coordinator may raise marks: they only rise. */
  hint(): void {
    this.#askedIndex = this.#components.consensus.status().commit;
  }

  #turn(): void {
    this.#sample();
    if (this.#isDue()) this.#propose();
    this.#timer = this.#components.clock.after(this.#periodMs, () => this.#turn());
  }

  #isDue(): boolean {
    const { consensus, metadata } = this.#components;
    if (this.#askedIndex > 0 && metadata.marks.fence <= this.#askedIndex) return true;
    this.#askedIndex = logIndex(0);
    if (consensus.status().role !== 'leader') return false;
    // In steps: an Advance is an entry itself, and must not be a reason for the next one.
    const forgettable = this.#forget() - metadata.marks.forget;
    return metadata.counters.garbage > 0 || forgettable >= this.#options.outcomesMax;
  }

  #propose(): void {
    const { clock, consensus, metadata } = this.#components;
    const { fenceMs, graceMs } = this.#options;
    const fence = max(metadata.marks.fence, this.#seenBefore(fenceMs));
    const command: Advance = {
      kind: 'advance',
      fence,
      reclaim: max(metadata.marks.reclaim, this.#seenBefore(graceMs)),
      forget: max(metadata.marks.forget, min(fence, this.#forget())),
      timeMs: Math.floor(clock.wallMs()),
    };
    const { marks } = metadata;
    const isNews =
      command.fence > marks.fence ||
      command.reclaim > marks.reclaim ||
      command.forget > marks.forget;
    if (isNews) consensus.propose(encodeCommand(command), () => undefined);
  }

  /** One more than the newest index that was seen at least `ageMs` ago; 0 where none was. */
  #seenBefore(ageMs: number): LogIndex {
    const sinceMs = this.#components.clock.monotonicMs() - ageMs;
    const sample = this.#samples.findLast(({ atMs }) => atMs <= sinceMs);
    return logIndex(sample === undefined ? 0 : sample.commit + 1);
  }

  /**
   * Births below are older than the newest `outcomesMax` outcomes: what was applied after a sample
   * was born at or after the fence of that moment.
   */
  #forget(): LogIndex {
    const { outcomesMax } = this.#options;
    const counted = this.#samples.findLast(
      ({ outcomes }) => this.#outcomes - outcomes >= outcomesMax,
    );
    const reach = this.#components.metadata.appliedIndex - outcomesMax * ENTRIES_AN_OUTCOME;
    return max(counted?.fence ?? logIndex(0), logIndex(Math.max(0, reach)));
  }

  #sample(): void {
    const { clock, consensus, metadata } = this.#components;
    this.#samples.push({
      atMs: clock.monotonicMs(),
      commit: consensus.status().commit,
      fence: metadata.marks.fence,
      outcomes: this.#outcomes,
    });
    if (this.#samples.length > SAMPLES_MAX) this.#samples = thinned(this.#samples);
  }
}

/** Every second sample of the older half: ages stay known, only less finely. */
function thinned(samples: readonly Sample[]): Sample[] {
  const half = samples.length / 2;
  return samples.filter((_, i) => i >= half || i % 2 === 0);
}

const max = (a: LogIndex, b: LogIndex): LogIndex => (a > b ? a : b);
const min = (a: LogIndex, b: LogIndex): LogIndex => (a < b ? a : b);
