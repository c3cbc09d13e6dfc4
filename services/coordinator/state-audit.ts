/**
 * Whether this node's state is what the others have, and what its disk holds. At indexes that all
 * compare, a node that a majority contradicts stops, and its next start takes their state. Without a
 * majority each scrubs; one whose stored rows are not those that it applied stops; where none is,
 * nobody knows who is right, and nothing rests on this state until a majority agrees again.
 */
import { type Clock, sleep, type Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type LogIndex, logIndex, type NodeId } from '../common/ids.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { Logger } from '../telemetry/logger.ts';
import { PeriodicJob } from './jobs/periodic-job.ts';
import type { ScrubResult } from './metadata-scrub.ts';
import type { AuditMetrics } from './metrics.ts';
import { agreementOf } from './state-agreement.ts';
import type { StateDigest, StateExchange } from './state-exchange.ts';

/** The state that is audited: `ReplicatedMetadata`, or a stand-in. */
export interface AuditedState {
  isTrusted: boolean;
  /** Set by the audit. */
  othersAgree: () => boolean;
  onDigest(listener: (digest: StateDigest) => void): void;
  onInstalled(listener: () => void): void;
  scrub(pace: () => Promise<void>): Promise<ScrubResult>;
  giveUp(error: KvError, isReplaceable: boolean): void;
}

export interface StateAuditComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly state: AuditedState;
  readonly exchange: StateExchange;
  readonly metrics: AuditMetrics;
}

export interface StateAuditOptions {
  readonly self: NodeId;
  readonly voters: readonly NodeId[];
  /** Tests turn no clock for a day. */
  readonly scrubEveryMs?: number;
}

/** Newest indexes of which digests are kept: a follower may be that many comparisons behind. */
const INDEXES_MAX = 64;
const TICK_MS = SECOND_MS;
/** The newest own digest is told again: streams break. */
const TELL_EVERY_MS = 10 * SECOND_MS;
/** How long nodes that have not spoken may take before a split without a majority counts. */
const SPLIT_MS = 5 * SECOND_MS;
const SCRUB_EVERY_MS = 24 * HOUR_MS;
const FIRST_SCRUB_MS = 10 * MINUTE_MS;
/** Between two slices of a scrub: at most 10,000 rows a second. */
const SCRUB_PAUSE_MS = 50;

export class StateAudit {
  readonly #components: StateAuditComponents;
  readonly #options: StateAuditOptions;
  readonly #scrub: PeriodicJob;
  /** Who said what of which index. */
  readonly #said = new Map<LogIndex, Map<NodeId, string>>();
  /** The newest index at which a node was found to differ. */
  readonly #reported = new Map<NodeId, LogIndex>();
  #newest: StateDigest | null = null;
  #agreedIndex = logIndex(0);
  #split: { readonly index: LogIndex; readonly sinceMs: number } | null = null;
  #timer: Timer | null = null;
  #toldMs = 0;
  #scrubAtMs = FIRST_SCRUB_MS;
  #isEnded = false;

  constructor(components: StateAuditComponents, options: StateAuditOptions) {
    this.#components = components;
    this.#options = options;
    this.#scrub = new PeriodicJob(components, {
      name: 'state scrub',
      intervalMs: TICK_MS,
      isDue: () => !this.#isEnded && (this.#isSplit() || this.#nowMs() >= this.#scrubAtMs),
      run: (signal) => this.#scrubOnce(signal),
    });
  }

  start(): void {
    const { exchange, state } = this.#components;
    this.#scrubAtMs += this.#nowMs();
    state.othersAgree = () => this.#othersAgree();
    state.onDigest((digest) => {
      this.#newest = digest;
      this.#tell();
      this.#heard(this.#options.self, digest);
    });
    state.onInstalled(() => this.#forget(this.#options.self));
    exchange.listenForDigests({
      onDigest: (from, digest) => {
        if (this.#options.voters.includes(from)) this.#heard(from, digest);
      },
      onPeerClosed: (peer) => this.#forget(peer),
    });
    this.#tick();
    this.#scrub.start();
  }

  stop(): Promise<void> {
    this.#timer?.cancel();
    return this.#scrub.stop();
  }

  /** The newest index at which a majority had the same state as this node; 0: none in this life. */
  get agreedIndex(): LogIndex {
    return this.#agreedIndex;
  }

  #tick(): void {
    this.#timer = this.#components.clock.after(TICK_MS, () => this.#tick());
    if (this.#nowMs() - this.#toldMs >= TELL_EVERY_MS) this.#tell();
  }

  #tell(): void {
    if (this.#newest === null) return;
    this.#toldMs = this.#nowMs();
    this.#components.exchange.tellDigest(this.#newest);
  }

  #heard(node: NodeId, { index, digest }: StateDigest): void {
    const said = this.#said.get(index) ?? new Map<NodeId, string>();
    this.#said.set(index, said.set(node, digest));
    if (this.#said.size > INDEXES_MAX) this.#said.delete(leastOf(this.#said.keys()));
    this.#judge(index, said);
  }

  /** A state that was replaced, or whose node may have another now, is nobody's witness. */
  #forget(node: NodeId): void {
    for (const said of this.#said.values()) said.delete(node);
    if (node === this.#options.self) this.#newest = null;
  }

  #judge(index: LogIndex, said: ReadonlyMap<NodeId, string>): void {
    const { self, voters } = this.#options;
    if (this.#isEnded) return;
    switch (agreementOf(self, voters.length, said)) {
      case 'open':
        return;
      case 'agreed':
        this.#reportOthers(index, said);
        this.#agreed(index);
        return;
      case 'split':
        this.#split ??= { index, sinceMs: this.#nowMs() };
        return;
      case 'outvoted':
        this.#end(`other coordinators have another state at index ${index}`, true);
        return;
    }
  }

  /** Those who differ will stop by themselves; somebody should know which they were. */
  #reportOthers(index: LogIndex, said: ReadonlyMap<NodeId, string>): void {
    const { logger, metrics } = this.#components;
    const own = said.get(this.#options.self);
    for (const [node, digest] of said) {
      if (digest === own || index <= (this.#reported.get(node) ?? 0)) continue;
      this.#reported.set(node, index);
      metrics.digestMismatches.add();
      logger.error({ node, index, theirs: digest, ours: own }, 'a coordinator has another state');
    }
  }

  #agreed(index: LogIndex): void {
    const { state, logger, metrics } = this.#components;
    if (index <= this.#agreedIndex) return;
    this.#agreedIndex = index;
    metrics.digestsAgreed.add();
    if (this.#split !== null && this.#split.index <= index) this.#split = null;
    if (this.#split !== null || state.isTrusted) return;
    state.isTrusted = true;
    logger.warn({ index }, 'a majority has the same state as this node: it counts again');
  }

  /** Those who had not spoken had their time. */
  #isSplit(): boolean {
    const isOld = this.#split !== null && this.#nowMs() - this.#split.sinceMs >= SPLIT_MS;
    return isOld && this.#components.state.isTrusted;
  }

  async #scrubOnce(signal: AbortSignal): Promise<void> {
    const { clock, state, metrics, logger } = this.#components;
    this.#scrubAtMs = this.#nowMs() + (this.#options.scrubEveryMs ?? SCRUB_EVERY_MS);
    const { index, isSound } = await state.scrub(() => sleep(clock, SCRUB_PAUSE_MS, signal));
    metrics.scrubs.add(1, { result: isSound ? 'sound' : 'differs' });
    if (!isSound) {
      const isReplaceable = this.#othersAgree();
      this.#end(`what is stored is not what was applied up to index ${index}`, isReplaceable);
      return;
    }
    logger.info({ index }, 'the stored state is what was applied');
    // A scrub of a state before the split says nothing of who is right since.
    if (this.#isSplit() && this.#split !== null && index >= this.#split.index) this.#doubt();
  }

  #doubt(): void {
    const { state, logger } = this.#components;
    state.isTrusted = false;
    logger.error(
      { index: this.#split?.index },
      'coordinators have different states, each is sound and none has a majority: nothing is served',
    );
  }

  /** All voters are here, and all had this node's running state at its newest index. */
  #othersAgree(): boolean {
    const { voters } = this.#options;
    if (this.#newest === null || voters.length === 1) return false;
    const { index, digest } = this.#newest;
    const said = this.#said.get(index);
    return voters.every((node) => said?.get(node) === digest);
  }

  #end(message: string, isReplaceable: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#components.metrics.diverged.add();
    this.#components.state.giveUp(new KvError('STATE_DIVERGED', message), isReplaceable);
  }

  #nowMs(): number {
    return this.#components.clock.monotonicMs();
  }
}

const leastOf = (indexes: Iterable<LogIndex>): LogIndex => logIndex(Math.min(...indexes));
