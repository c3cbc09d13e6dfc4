/**
 * The replicated state as one machine: `apply` changes it, the queries read it. Total and
 * deterministic: the same commands at the same indexes give the same rows, answers and digest on
 * every node, whatever was flushed or loaded in between.
 */
import type { CopyId, DiskId, LogIndex, TxnId } from '../common/ids.ts';
import type { Command } from './commands.ts';
import { applyCommit } from './commit.ts';
import { RowDigest } from './digest.ts';
import { applyReconciled, applyRegister, applySetDisk } from './disks.ts';
import type { Applied, AskAnswer, Counters, MetadataMachine, RegisterResult } from './machine.ts';
import { applyAdvance, applyInitCluster, applyOperatorEpoch, applyPin } from './marks.ts';
import { applyMove, applySuspect } from './move.ts';
import { isSameCopy } from './record-table.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  Marks,
  TxnOutcome,
  Undecided,
  ValueRecord,
} from './records.ts';
import { loadState, type State, type StateOptions, type StoredRows } from './state.ts';
import type { MetadataStore } from './store.ts';
import { applyAbort } from './transactions.ts';

/** A question about the bytes of a copy, as a volume asks it. */
export interface Question {
  readonly disk: DiskId;
  readonly copyId: CopyId;
  readonly txnId: TxnId;
  readonly owner: Uint8Array;
}

export class MetadataState implements MetadataMachine {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  /** The state of an empty store. */
  static empty(store: MetadataStore, options: StateOptions = {}): MetadataState {
    return new MetadataState(
      loadState(store, { rows: [], outcomes: [] }, new RowDigest(), options),
    );
  }

  /**
   * The state of a checkpointed store: `stored` are at least its idempotency, disk, pin, marks, cluster,
   * counter and outcome rows; `digest` is what `digest()` said at that checkpoint.
   */
  static load(
    store: MetadataStore,
    stored: StoredRows,
    digest: string,
    options: StateOptions = {},
  ): MetadataState {
    return new MetadataState(loadState(store, stored, RowDigest.of(digest), options));
  }

  /**
   * Takes up as many of the stored outcomes; true once none is left. Need not be called: whatever asks for
   * them takes up all that are left, which may hold up its turn.
   */
  takeStoredOutcomes(limit: number): boolean {
    return this.#state.outcomes.takeStored(limit);
  }

  apply(index: LogIndex, command: Command): Applied {
    const state = this.#state;
    if (command.kind === 'commit') return decided(command, applyCommit(state, index, command));
    if (command.kind === 'abort') return decided(command, applyAbort(state, index, command));
    if (command.kind === 'move') return decided(command, applyMove(state, index, command));
    if (command.kind === 'register') {
      return registered(command.nonce, applyRegister(state.small, index, command));
    }
    this.#applyPlain(index, command);
    return { kind: 'done', command: command.kind };
  }

  /** The commands that answer nothing. */
  #applyPlain(index: LogIndex, command: PlainCommand): void {
    const { small, records } = this.#state;
    switch (command.kind) {
      case 'suspect':
        applySuspect(this.#state, index, command);
        return;
      case 'set-disk':
        applySetDisk(small, command);
        return;
      case 'reconciled':
        applyReconciled(small, command);
        return;
      case 'advance':
        applyAdvance(this.#state, index, command);
        return;
      case 'reclaimed':
        for (const row of command.rows) records.reclaim(row);
        return;
      case 'pin':
        applyPin(small, index, command.id);
        return;
      case 'unpin':
        small.unpin(command.id);
        return;
      case 'init-cluster':
        applyInitCluster(small, command);
        return;
      case 'set-operator-epoch':
        applyOperatorEpoch(small, command.epoch);
        return;
    }
  }

  get marks(): Marks {
    return this.#state.small.marks;
  }

  get counters(): Counters {
    return this.#state.small.counters;
  }

  get cluster(): ClusterRecord {
    return this.#state.small.cluster;
  }

  record(key: Uint8Array): ValueRecord | undefined {
    return this.#state.records.locate(key).value;
  }

  suspects(key: Uint8Array): readonly Copy[] {
    const { records } = this.#state;
    return records.suspects(records.locate(key));
  }

  outcome(txnId: TxnId): TxnOutcome | undefined {
    const settled = this.settled(txnId);
    return settled === undefined || isUndecided(settled) ? undefined : settled;
  }

  /** What is certain of a transaction here: how it ended, or that it never can; undefined: open. */
  settled(txnId: TxnId): TxnOutcome | Undecided | undefined {
    return this.#state.outcomes.settled(txnId, this.marks);
  }

  disk(disk: DiskId): DiskRecord | undefined {
    return this.#state.small.disks.get(disk);
  }

  disks(): readonly DiskRecord[] {
    return [...this.#state.small.disks.values()];
  }

  /** DROP once is DROP for ever: it rests on an applied command or on the fence. */
  ask(question: Question): AskAnswer {
    const listed = this.record(question.owner)?.copies ?? [];
    if (listed.some((copy) => isSameCopy(copy, question))) return 'KEEP';
    const queuedAt = this.#state.records.garbageSince(question);
    if (queuedAt !== undefined) return queuedAt < this.marks.reclaim ? 'DROP' : 'LATER';
    return this.settled(question.txnId) === undefined ? 'LATER' : 'DROP';
  }

  /** The forget mark that keeps the newest `keep` outcomes; what a leader puts into Advance. */
  forgetMark(keep: number): LogIndex {
    return this.#state.outcomes.forgetMark(keep);
  }

  /** Writes the rows that are kept in memory: afterwards the store holds the whole state. */
  checkpoint(): void {
    this.#state.small.checkpoint(this.#state.store);
  }

  /** Order-free digest of all logical rows, 16 hex digits: equal on every node at the same index. */
  digest(): string {
    const sum = new RowDigest();
    sum.addAll(this.#state.rows.digest);
    this.#state.small.addTo(sum);
    return sum.text();
  }
}

type PlainCommand = Exclude<Command, { kind: 'commit' | 'abort' | 'move' | 'register' }>;

const decided = (command: { readonly txnId: TxnId }, outcome: TxnOutcome | Undecided): Applied => ({
  kind: 'txn',
  txnId: command.txnId,
  outcome,
});

const registered = (nonce: string, result: RegisterResult): Applied => ({
  kind: 'registered',
  nonce,
  result,
});

const isUndecided = (decision: TxnOutcome | Undecided): decision is Undecided =>
  decision.kind === 'expired' || decision.kind === 'forgotten' || decision.kind === 'malformed';
