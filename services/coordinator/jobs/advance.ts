/**
 * Raises the marks behind which nothing undecided is decided, garbage may go and outcomes are
 * forgotten. A mark is an index that was seen long enough ago by the monotonic clock, plus one; so a
 * jump of wall time moves nothing. Nothing is proposed at rest: only garbage, a full table of outcomes
 * or somebody's question makes it due.
 */
import type { Clock, Timer } from '../../common/clock.ts';
import { failpoint } from '../../common/failpoint.ts';
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

/** What was committed at one moment. */
interface Sample {
  readonly atMs: number;
  readonly commit: LogIndex;
}

const SAMPLES_MAX = 4096;

export class AdvanceJob {
  readonly #components: AdvanceComponents;
  readonly #options: AdvanceOptions;
  readonly #periodMs: number;
  /** Oldest first. */
  #samples: Sample[] = [];
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
    if (metadata.counters.garbage > 0) return true;
    return metadata.forgetMark(this.#options.outcomesMax) > metadata.marks.forget;
  }

  #propose(): void {
    const { clock, consensus, metadata } = this.#components;
    const { fenceMs, graceMs, outcomesMax } = this.#options;
    const fence = max(metadata.marks.fence, this.#seenBefore(fenceMs));
    const command: Advance = {
      kind: 'advance',
      fence,
      reclaim: max(metadata.marks.reclaim, this.#seenBefore(graceMs)),
      forget: max(metadata.marks.forget, min(fence, metadata.forgetMark(outcomesMax))),
      timeMs: Math.floor(clock.wallMs()),
    };
    const { marks } = metadata;
    const isNews =
      command.fence > marks.fence ||
      command.reclaim > marks.reclaim ||
      command.forget > marks.forget;
    if (!isNews) return;
    failpoint('advance.proposing');
    consensus.propose(encodeCommand(command), () => undefined);
  }

  /** One more than the newest index that was seen at least `ageMs` ago; 0 where none was. */
  #seenBefore(ageMs: number): LogIndex {
    const sinceMs = this.#components.clock.monotonicMs() - ageMs;
    const sample = this.#samples.findLast(({ atMs }) => atMs <= sinceMs);
    return logIndex(sample === undefined ? 0 : sample.commit + 1);
  }

  #sample(): void {
    const { clock, consensus } = this.#components;
    this.#samples.push({
      atMs: clock.monotonicMs(),
      commit: consensus.status().commit,
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
