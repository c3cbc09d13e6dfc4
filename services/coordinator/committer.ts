/**
 * Runs commit rounds and turns their ends into results or errors. Keeps the set of running rounds,
 * so that a change of leader makes each of them propose again, and looks at the deadlines of all by one
 * timer: most rounds end long before it fires.
 */
import { present, unreachable } from '../common/assert.ts';
import type { Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import type { TxnId } from '../common/ids.ts';
import { InFlight } from '../common/in-flight.ts';
import {
  CommitRound,
  type RoundComponents,
  type RoundEnd,
  type RoundOptions,
} from './commit-round.ts';
import { LIMITS } from './limits.ts';
import type { CommitMetrics } from './metrics.ts';
import { type AppliedOutcome, appliedOr } from './outcomes.ts';

/** A round under way. */
export interface Running {
  /** @throws KvError: 4xx and 503 when nothing was applied, 504 when it is not known. */
  readonly outcome: Promise<Committed>;
  /** Takes the request back; from the first proposal on this changes nothing. */
  withdraw(reason: KvError): void;
  /** Moves the deadline (monotonic clock), while the value is on its way. */
  postpone(deadlineMs: number): void;
}

export interface Committed {
  readonly txnId: TxnId;
  readonly outcome: AppliedOutcome;
}

export interface CommitterComponents extends RoundComponents {
  readonly metrics: { readonly commit: CommitMetrics };
}

export class Committer {
  readonly #components: CommitterComponents;
  readonly #rounds = new InFlight<number, CommitRound>();
  #lastRound = 0;
  #tick: Timer | null = null;

  constructor(components: CommitterComponents) {
    this.#components = components;
  }

  /** Transactions without an answer yet. */
  get running(): number {
    return this.#rounds.size;
  }

  start(): void {
    this.#components.consensus.onLeadership(({ leader }) => {
      if (leader === 0) return;
      for (const [, round] of this.#rounds.entries()) round.leaderChanged();
    });
  }

  /** Starts a transaction; `signal` withdraws it while that is possible. */
  run(options: RoundOptions, signal: AbortSignal): Running {
    const { promise, resolve } = Promise.withResolvers<RoundEnd>();
    const round = new CommitRound(this.#components, options, resolve);
    const withdraw = (reason: KvError): void => round.withdraw(reason);
    const onAbort = (): void => withdraw(new KvError('CLIENT_CLOSED', 'the client has gone'));
    const { clock, metrics } = this.#components;
    const startedMs = clock.monotonicMs();
    this.#lastRound += 1;
    const number = this.#lastRound;
    this.#rounds.set(number, round);
    signal.addEventListener('abort', onAbort, { once: true });
    const outcome = promise.then((end) => {
      this.#rounds.take(number);
      signal.removeEventListener('abort', onAbort);
      const seconds = (clock.monotonicMs() - startedMs) / 1000;
      metrics.commit.seconds.observe(seconds, { verdict: labelOf(end) });
      return conclude(round, end);
    });
    this.#tick ??= clock.after(LIMITS.commitTickMs, () => this.#look());
    round.start();
    if (signal.aborted) onAbort();
    return { outcome, withdraw, postpone: (deadlineMs) => round.postpone(deadlineMs) };
  }

  #look(): void {
    const { clock } = this.#components;
    this.#tick =
      this.#rounds.size === 0 ? null : clock.after(LIMITS.commitTickMs, () => this.#look());
    for (const [, round] of this.#rounds.entries()) round.look(clock.monotonicMs());
  }
}

const labelOf = ({ verdict, decision }: RoundEnd): string =>
  verdict.kind === 'decided' ? (decision?.kind ?? 'decided') : verdict.kind;

function conclude(round: CommitRound, { verdict, txnId, decision }: RoundEnd): Committed {
  switch (verdict.kind) {
    case 'decided': {
      const id = present(txnId, 'txn id of a decision');
      return { txnId: id, outcome: appliedOr(present(decision, 'decision'), id) };
    }
    case 'unknown':
      throw new KvError(
        'DEADLINE_EXCEEDED',
        'no outcome in time; ask for the transaction by its id',
        {
          detail: { txnId: present(txnId, 'txn id of a proposal') },
        },
      );
    case 'abandoned':
      if (verdict.reason === 'withdrawn') throw present(round.withdrawal, 'reason');
      if (verdict.reason === 'timed-out' && txnId === null) {
        throw new KvError('REQUEST_TIMEOUT', 'the value did not arrive in time');
      }
      throw tooFew(round);
    default:
      return unreachable(verdict);
  }
}

function tooFew(round: CommitRound): KvError {
  const codes = [...round.failures];
  if (codes.length > 0 && codes.every((code) => code === 'NO_SPACE')) {
    return new KvError('NO_SPACE', 'too few volumes have room for this value');
  }
  return new KvError('NO_REPLICAS', 'too few volumes have taken the value', {
    detail: { failures: codes.join(',') },
  });
}
