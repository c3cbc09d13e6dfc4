/**
 * The one loop around the Raft core: inputs step it, and once a loop turn its work is carried out in
 * the order that `Ready` demands. Only this room waits on disk and network for the core. Invariant:
 * after a fatal error nothing is sent, applied or answered any more.
 */
import { type Clock, sleep, type Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { type LogIndex, NOBODY, type NodeId, term } from '../common/ids.ts';
import { RaftCore } from '../raft/core.ts';
import type { Message } from '../raft/messages.ts';
import type {
  InitialState,
  LogPoint,
  ProposalRefusal,
  RaftOptions,
  RaftStatus,
  Ready,
} from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { handOver } from './hand-over.ts';
import { LogCuts } from './log-cuts.ts';
import { LogWriter, type PersistWork } from './log-writer.ts';
import type { ConsensusMetrics } from './metrics.ts';
import { Proposals } from './proposals.ts';
import type { RaftLog } from './raft-log.ts';
import type { SnapshotTransfer } from './snapshot-transfer.ts';
import type { StateMachine } from './state-machine.ts';
import type { SnapshotChunk, SnapshotProgress, Transport } from './transport.ts';
import type { Consensus } from './types.ts';
import { Waiters } from './waiters.ts';

/** The unit of Raft's time-outs. A stalled loop ticks late, so its own stall never looks like a dead leader. */
export const TICK_MS = 10;
const SWEEP_EVERY_TICKS = 10;
const COMPACT_EVERY_TICKS = 100;
const READ_RETRY_MS = 20;
const SNAPSHOT_RETRY_MS = 200;
const READY_TURNS_MAX = 1000;

export interface DriverParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ConsensusMetrics;
  readonly transport: Transport;
  readonly machine: StateMachine;
  readonly log: RaftLog;
  readonly snapshots: SnapshotTransfer;
  readonly onFatal: (error: Error) => void;
}

export interface DriverOptions {
  readonly raft: RaftOptions;
  readonly initial: InitialState;
  /** Entries kept behind the flushed state for followers that are a little late. */
  readonly slackEntries: number;
}

export class Driver implements Consensus {
  readonly #parts: DriverParts;
  readonly #options: DriverOptions;
  readonly #core: RaftCore;
  readonly #writer: LogWriter;
  readonly #proposals = new Proposals();
  readonly #waiters = new Waiters();
  /** Confirmed reads whose index is not applied yet. */
  #confirmed: { readonly readId: number; readonly index: LogIndex }[] = [];
  readonly #listeners: ((status: RaftStatus) => void)[] = [];
  #status: RaftStatus;
  #timer: Timer | null = null;
  #tickCount = 0;
  #isAwake = false;
  #isDead = false;
  #isCaughtUp = false;
  #installing: Promise<void> | null = null;
  readonly #cuts: LogCuts;

  constructor(parts: DriverParts, options: DriverOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#core = new RaftCore(options.raft, options.initial);
    this.#status = this.#core.status();
    this.#cuts = new LogCuts(parts, options.slackEntries);
    this.#writer = new LogWriter(parts.log, {
      persisted: (ready, last) => this.#persisted(ready, last),
      failed: (error) => this.#die(error),
    });
  }

  /** Begins to listen and to tick. */
  start(): void {
    this.#parts.transport.listen({
      onMessages: (messages) => this.#receive(messages),
      onOpened: () => this.#step(() => this.#core.connectionOpened()),
      onClosed: (peer) => this.#step(() => this.#core.connectionClosed(peer)),
      onSnapshotChunk: (chunk) => this.#takeChunk(chunk),
    });
    this.#tick();
    void this.#catchUp();
  }

  /** Flushes, raises the witness and closes; nothing is answered afterwards. */
  async stop(): Promise<void> {
    const { machine, log } = this.#parts;
    this.beginStop();
    this.#timer?.cancel();
    this.#proposals.stop();
    await this.#installing;
    await this.#writer.idle();
    if (!this.#isDead) await machine.flush();
    this.#isDead = true;
    this.#waiters.fail(new KvError('STOPPING', 'this coordinator is stopping; use another one'));
    await log.close();
  }

  propose(command: Uint8Array, refused: (reason: ProposalRefusal) => void): void {
    if (this.#isDead) {
      refused('stopping');
      return;
    }
    this.#parts.metrics.proposals.add();
    this.#proposals.add(command, refused);
    this.#wake();
  }

  readBarrier(timeoutMs: number): Promise<LogIndex> {
    if (this.#isDead)
      return Promise.reject(new KvError('STOPPING', 'this coordinator has stopped'));
    const waiting = this.#waiters.reads.join(this.#parts.clock.monotonicMs() + timeoutMs);
    this.#wake();
    return waiting;
  }

  async waitApplied(index: LogIndex, timeoutMs: number): Promise<void> {
    if (this.#parts.machine.applied.index >= index) return;
    if (this.#isDead) throw new KvError('STOPPING', 'this coordinator has stopped');
    await this.#waiters.applied.wait(index, this.#parts.clock.monotonicMs() + timeoutMs);
  }

  async awaitLeader(timeoutMs: number): Promise<void> {
    if (this.leader !== NOBODY) return;
    if (this.#isDead) throw new KvError('STOPPING', 'this coordinator has stopped');
    await this.#waiters.leader.wait(this.#parts.clock.monotonicMs() + timeoutMs);
  }

  get leader(): NodeId {
    return this.#core.leader;
  }

  get commit(): LogIndex {
    return this.#core.commit;
  }

  status(): RaftStatus {
    return this.#core.status();
  }

  /** The last entry that is durable in the own log. */
  get durableIndex(): LogIndex {
    return this.#core.durableIndex;
  }

  leaderContactMs(): number {
    const { leader, leaderContactTicks } = this.#core.status();
    return leader === NOBODY ? Number.POSITIVE_INFINITY : leaderContactTicks * TICK_MS;
  }

  caughtUp(): boolean {
    return this.#isCaughtUp;
  }

  async transferLeadership(target: NodeId, timeoutMs: number): Promise<NodeId> {
    if (this.#core.status().role !== 'leader') {
      throw new KvError('NOT_LEADER', 'this coordinator does not lead; ask the leader');
    }
    const parts = {
      clock: this.#parts.clock,
      self: this.#options.raft.self,
      status: () => this.#core.status(),
      transfer: () => this.#step(() => this.#core.transferLeadership(target)),
    };
    return handOver(parts, { target, timeoutMs });
  }

  onLeadership(listener: (status: RaftStatus) => void): void {
    this.#listeners.push(listener);
  }

  beginStop(): void {
    this.#step(() => this.#core.beginStop());
  }

  /** All inputs but proposals and reads come through here: one place that survives no broken invariant. */
  #step(input: () => void): void {
    if (this.#isDead) return;
    try {
      input();
      this.#wake();
    } catch (error) {
      this.#die(asError(error));
    }
  }

  #receive(messages: readonly Message[]): void {
    this.#step(() => messages.forEach((message) => this.#core.receive(message)));
  }

  #tick(): void {
    this.#timer = this.#parts.clock.after(TICK_MS, () => this.#tick());
    this.#tickCount += 1;
    this.#step(() => this.#core.tick());
    if (this.#tickCount % SWEEP_EVERY_TICKS === 0) {
      this.#waiters.sweep(this.#parts.clock.monotonicMs());
    }
    if (this.#tickCount % COMPACT_EVERY_TICKS === 0) void this.#compact();
  }

  #wake(): void {
    if (this.#isAwake || this.#isDead) return;
    this.#isAwake = true;
    this.#parts.clock.soon(() => this.#turn());
  }

  /** One loop turn: what gathered goes in, all that comes out is carried out. */
  #turn(): void {
    this.#isAwake = false;
    if (this.#isDead) return;
    try {
      for (const { proposalId, commands } of this.#proposals.depart()) {
        this.#core.propose(proposalId, commands);
      }
      if (this.#waiters.reads.hasNew) this.#core.read(this.#waiters.reads.depart());
      for (let turns = 0; turns < READY_TURNS_MAX; turns += 1) {
        const ready = this.#core.takeReady();
        if (ready === null) break;
        this.#carryOut(ready);
        // Long catching up is cut into slices: ticks and messages of others come in between.
        if (ready.committed.length > 0) {
          this.#wake();
          break;
        }
      }
      this.#noticeLeadership();
    } catch (error) {
      this.#die(asError(error));
    }
  }

  #carryOut(ready: Ready): void {
    if (ready.messages.length > 0) this.#parts.transport.send(ready.messages);
    // A truncation that is not on disk yet lowers the mark: a flush must not rest on voided entries.
    if (ready.truncateFrom !== null) this.#parts.machine.logDurable(this.#core.durableIndex);
    this.#writer.add(ready);
    if (ready.committed.length > 0) this.#apply(ready);
    for (const { readId, index } of ready.reads) this.#confirmed.push({ readId, index });
    if (ready.reads.length > 0) this.#answerReads();
    if (ready.lostReads.length > 0) this.#retryReads(ready.lostReads);
    for (const { proposalId, reason } of ready.refusedProposals) {
      this.#proposals.refused(proposalId, reason);
    }
    for (const { to } of ready.snapshotRequests) void this.#sendSnapshot(to);
    if (ready.installSnapshot !== null) this.#installing = this.#install(ready.installSnapshot);
  }

  #apply(ready: Ready): void {
    const { machine } = this.#parts;
    machine.apply(ready.committed);
    const last = machine.applied.index;
    this.#core.applied(last);
    this.#waiters.applied.applied(last);
    this.#answerReads();
  }

  #answerReads(): void {
    const applied = this.#parts.machine.applied.index;
    if (this.#confirmed.length === 0) return;
    const waiting = this.#confirmed;
    this.#confirmed = waiting.filter(({ index }) => index > applied);
    for (const { readId, index } of waiting) {
      if (index <= applied) this.#waiters.reads.confirmed(readId, index);
    }
  }

  #retryReads(lost: readonly number[]): void {
    // Not at once: without a leader the next round would be lost in the same turn.
    for (const readId of lost) {
      this.#parts.clock.after(READ_RETRY_MS, () => {
        this.#waiters.reads.lost(readId);
        this.#wake();
      });
    }
  }

  /** Durable now: what promised it may leave. */
  #persisted({ messagesAfterPersist }: PersistWork, last: LogPoint | null): void {
    if (this.#isDead) return;
    if (messagesAfterPersist.length > 0) this.#parts.transport.send(messagesAfterPersist);
    if (last === null) return;
    this.#step(() => {
      this.#core.persisted(last);
      this.#parts.machine.logDurable(this.#core.durableIndex);
    });
  }

  #noticeLeadership(): void {
    if (this.#core.isLedAs(this.#status)) return;
    const status = this.#core.status();
    this.#status = status;
    this.#parts.logger.info(
      { role: status.role, term: status.term, leader: status.leader },
      'leadership changed',
    );
    if (status.role === 'leader') this.#parts.metrics.elections.add();
    if (status.leader !== NOBODY) {
      this.#waiters.leader.led();
      void this.#parts.snapshots.leaderIs(status.leader);
    }
    for (const listener of this.#listeners) listener(status);
  }

  async #takeChunk(chunk: SnapshotChunk): Promise<SnapshotProgress> {
    if (this.#isDead) throw new KvError('STOPPING', 'this coordinator is stopping');
    if (this.#installing !== null) throw new KvError('UNAVAILABLE', 'installing a snapshot now');
    const progress = await this.#parts.snapshots.receive(chunk);
    if (progress.staged) {
      this.#step(() => this.#core.snapshotReady(chunk.point, chunk.from, term(chunk.term)));
    }
    return progress;
  }

  async #sendSnapshot(peer: NodeId): Promise<void> {
    const { snapshots, logger, metrics, clock } = this.#parts;
    if (snapshots.isSendingTo(peer)) return;
    const led = this.#core.status();
    const stillLeads = (): boolean =>
      !this.#isDead && led.role === 'leader' && this.#core.isLedAs(led);
    try {
      const pause = (): Promise<void> => sleep(clock, SNAPSHOT_RETRY_MS);
      const point = await snapshots.send({ peer, term: led.term, stillLeads, pause });
      metrics.snapshotsSent.add();
      logger.info({ peer, index: point.index }, 'snapshot sent');
      this.#cuts.staged(peer, point, this.#core.status());
      this.#step(() => this.#core.snapshotSent(peer, point));
    } catch (error) {
      logger.warn({ peer, error: asError(error) }, 'snapshot not sent');
      this.#step(() => this.#core.snapshotSent(peer, null));
    } finally {
      snapshots.finished(peer);
    }
  }

  /** Replaces the state by the staged snapshot, then the log: the order of docs/guarantees.md. */
  async #install(point: LogPoint): Promise<void> {
    const { machine, snapshots, log, logger, metrics } = this.#parts;
    try {
      await this.#writer.idle();
      await machine.installSnapshot(point, snapshots.read(point));
      await log.restart(point);
      failpoint('snapshot.installed');
      machine.logDurable(point.index);
      await snapshots.discard();
      metrics.snapshotsInstalled.add();
      logger.info({ index: point.index, term: point.term }, 'snapshot installed');
      this.#step(() => this.#core.snapshotInstalled(point));
      this.#waiters.applied.applied(point.index);
      this.#answerReads();
    } catch (error) {
      this.#die(asError(error));
    } finally {
      this.#installing = null;
    }
  }

  /** Cuts the log behind what nobody needs. */
  async #compact(): Promise<void> {
    if (this.#isDead || this.#installing !== null) return;
    const cut = this.#cuts.next(this.#core.status());
    if (cut === null) return;
    try {
      await this.#writer.idle();
      await this.#parts.log.compact(cut);
      this.#step(() => this.#core.compacted(cut));
    } catch (error) {
      this.#die(asError(error));
    }
  }

  /** Once in this boot: a confirmed read shows that a leader's commit index is applied here. */
  async #catchUp(): Promise<void> {
    while (!this.#isDead && !this.#isCaughtUp) {
      try {
        await this.readBarrier(1000);
        this.#isCaughtUp = true;
      } catch {
        // No leader yet: go on asking.
      }
    }
  }

  #die(error: Error): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#timer?.cancel();
    this.#parts.logger.error({ error }, 'consensus stops');
    this.#waiters.fail(new KvError('STOPPING', 'this coordinator has stopped'));
    this.#parts.onFatal(error);
  }
}
