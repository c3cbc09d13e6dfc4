/**
 * One transaction on its way: holds the two-phase-commit state, feeds it what happens and carries
 * out its effects. The outcome is learned only from the own applied state, by txnId.
 */
import { AssertionError, present } from '../common/assert.ts';
import type { Clock, Timer } from '../common/clock.ts';
import { type ErrorCode, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { type DiskId, mintTxnId, type TxnId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import type { Consensus } from '../consensus/types.ts';
import type { StagedCopy } from '../metadata/commands.ts';
import { begin, step, votesOf } from '../two-phase-commit/coordinator.ts';
import type {
  CommitEffect,
  CommitEvent,
  CommitState,
  Step,
  Verdict,
} from '../two-phase-commit/types.ts';
import { LIMITS } from './limits.ts';
import type { Decision, Metadata } from './metadata-port.ts';
import { interpret } from './outcomes.ts';
import type { Settler } from './settler.ts';
import type { Stager } from './stager.ts';
import type { VolumeDirectory } from './volume-port.ts';
import type { Places } from './write-targets.ts';

export interface RoundComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly settler: Settler;
}

/** One blob of the transaction. */
export interface RoundPut {
  readonly key: Uint8Array;
  readonly stager: Stager;
  readonly places: Places;
}

export interface RoundOptions {
  readonly need: number;
  readonly puts: readonly RoundPut[];
  /** By the monotonic clock. */
  readonly deadlineMs: number;
  /** The command's bytes; called once, with the votes of each put. */
  readonly command: (txnId: TxnId, votes: readonly (readonly StagedCopy[])[]) => Uint8Array;
}

/** How a round ended; `txnId` is null where nothing was ever to be proposed. */
export interface RoundEnd {
  readonly verdict: Verdict;
  readonly txnId: TxnId | null;
  /** What the applied state says, where it says anything. */
  readonly decision: Decision | null;
}

export class CommitRound {
  readonly #components: RoundComponents;
  #options: RoundOptions;
  readonly #ended: (end: RoundEnd) => void;
  #state: CommitState | null = null;
  #txnId: TxnId | null = null;
  #command: Uint8Array | null = null;
  #decision: Decision | null = null;
  #withdrawal: KvError | null = null;
  readonly #failures = new Set<ErrorCode>();
  #deadlineMs: number;
  #proposedMs = 0;
  #refusal = new Refusal();
  /** Of an answered round that still waits for its outcome. */
  #late: Timer | null = null;
  #stopAwaiting: () => void = () => undefined;

  /** `ended` is called once; the round may go on in the background to learn a late outcome. */
  constructor(components: RoundComponents, options: RoundOptions, ended: (end: RoundEnd) => void) {
    this.#components = components;
    this.#options = options;
    this.#deadlineMs = options.deadlineMs;
    this.#ended = ended;
  }

  /** What volumes have failed with so far. */
  get failures(): ReadonlySet<ErrorCode> {
    return this.#failures;
  }

  /** Why `withdraw` was called; null where it was not. */
  get withdrawal(): KvError | null {
    return this.#withdrawal;
  }

  start(): void {
    const { need, puts } = this.#options;
    puts.forEach(({ stager }, staging) => {
      stager.listen({
        sent: (disk) => this.#happened({ kind: 'sent', staging, disk }),
        voted: (disk, session) => this.#happened({ kind: 'voted', staging, disk, session }),
        failed: (disk, error) => this.#failed(staging, disk, error),
      });
    });
    this.#take(
      begin(
        need,
        puts.map(({ places }) => places),
      ),
    );
  }

  /** The request is taken back; from the first proposal on this changes nothing. */
  withdraw(reason: KvError): void {
    if (this.#state?.phase === 'STREAM' || this.#state?.phase === 'VOTE') {
      this.#withdrawal = reason;
      this.#happened({ kind: 'withdrawn' });
    }
  }

  /** The value is still on its way: the deadline moves with it. */
  postpone(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs;
  }

  /** There is another leader: what was proposed may have been lost with the old one. */
  leaderChanged(): void {
    this.#happened({ kind: 'retry' });
  }

  /** Looks at deadlines; to be called now and then while the round is not answered. */
  look(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) {
      this.#happened({ kind: 'deadline' });
    } else if (this.#state?.phase === 'PROPOSED') {
      const isDue = this.#refusal.isTold || nowMs - this.#proposedMs >= LIMITS.reproposeMs;
      if (isDue) this.#happened({ kind: 'retry' });
    } else {
      this.#options.puts.forEach((put, staging) => this.#lookAt(put.stager, staging, nowMs));
    }
  }

  #failed(staging: number, disk: DiskId, error: Error): void {
    const code = error instanceof KvError ? error.code : 'INTERNAL';
    this.#failures.add(code);
    // A full disk is well, and says in its heartbeats that it is full.
    if (code !== 'NO_SPACE') this.#components.directory.suspect(disk);
    const held = this.#put(staging).stager.held;
    this.#happened({ kind: 'failed', staging, disk, held });
  }

  #happened(event: CommitEvent): void {
    if (this.#state !== null) this.#take(step(this.#state, event));
  }

  /** Effects may cause events at once; those see the new state, and their effects come after. */
  #take({ state, effects }: Step): void {
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: CommitEffect): void {
    switch (effect.kind) {
      case 'stage':
        this.#put(effect.staging).stager.stage(effect.disk);
        return;
      case 'mint':
        this.#mint();
        return;
      case 'end':
        this.#put(effect.staging).stager.end(effect.disk, present(this.#txnId, 'txn id'));
        return;
      case 'release':
        this.#put(effect.staging).stager.release(effect.disk);
        return;
      case 'propose':
        this.#propose();
        return;
      case 'finalize': {
        const { key, stager } = this.#put(effect.staging);
        this.#components.settler.finalize(key, stager.blobId, effect.disks);
        return;
      }
      case 'discard':
        this.#discard(effect.staging, effect.disks);
        return;
      case 'answer':
        this.#answer(effect.verdict);
        return;
    }
  }

  #mint(): void {
    const { consensus, random } = this.#components;
    this.#txnId = mintTxnId(consensus.commit, random.bytes(10));
    failpoint('gateway.minted');
  }

  #propose(): void {
    const { clock, consensus, metadata } = this.#components;
    const id = present(this.#txnId, 'txn id');
    if (this.#command === null) {
      const votes = present(this.#state, 'state').stagings.map((staging) =>
        votesOf(staging).map(({ disk, session }) => ({
          disk,
          session: present(session, 'session of a vote'),
        })),
      );
      this.#command = this.#options.command(id, votes);
      this.#stopAwaiting = metadata.awaitOutcome(id, (decision) => this.#decided(decision));
    }
    failpoint('gateway.voted', this.#command);
    this.#proposedMs = clock.monotonicMs();
    // A refusal is only a hint to try again: from here on only the applied state says "no".
    this.#refusal = new Refusal();
    consensus.propose(this.#command, this.#refusal.tell);
    failpoint('gateway.proposed', this.#command);
  }

  #decided(decision: Decision): void {
    this.#decision = decision;
    failpoint('gateway.decided');
    const blobIds = this.#options.puts.map(({ stager }) => stager.blobId);
    this.#happened({ kind: 'decided', decision: interpret(decision, blobIds) });
    this.#close();
  }

  #discard(staging: number, disks: readonly DiskId[]): void {
    const { stager } = this.#put(staging);
    for (const disk of disks) stager.release(disk);
    this.#components.settler.discard(stager.blobId, disks);
  }

  #answer(verdict: Verdict): void {
    if (verdict.kind === 'unknown') {
      const { clock } = this.#components;
      this.#late = clock.after(LIMITS.lateOutcomeMs, () => this.#close());
      this.#dropBytes();
    } else {
      this.#close();
    }
    this.#ended({ verdict, txnId: this.#txnId, decision: this.#decision });
  }

  /** Nothing is proposed after the answer: whoever answers has given back what the values were counted as. */
  #dropBytes(): void {
    this.#command = null;
    this.#options = { ...this.#options, command: answered };
    for (const { stager } of this.#options.puts) stager.dropBytes();
  }

  #close(): void {
    this.#late?.cancel();
    this.#stopAwaiting();
  }

  #lookAt(stager: Stager, staging: number, nowMs: number): void {
    const disks = stager.stalled(nowMs - LIMITS.stallMs);
    if (disks.length === 0) return;
    for (const disk of disks) this.#components.directory.suspect(disk);
    this.#happened({ kind: 'stalled', staging, disks, held: stager.held });
  }

  #put(staging: number): RoundPut {
    return present(this.#options.puts[staging], 'put of a staging');
  }
}

const answered = (): never => {
  throw new AssertionError('an answered round proposes nothing');
};

/** Apart from the round: consensus keeps what it may have to call, and must not keep the request with it. */
class Refusal {
  isTold = false;
  readonly tell = (): void => {
    this.isTold = true;
  };
}
