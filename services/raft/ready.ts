/**
 * Collects the work for the caller until it takes it. Invariant: what one input produced leaves in
 * the same Ready as, or a later one than, the log entries and hard state that it depends on.
 */
import { assert } from '../common/assert.ts';
import type { NodeId } from '../common/ids.ts';
import type { AppendReply, Message } from './messages.ts';
import type { HardState, LogPoint, ProposalRefusal, ReadState, Ready } from './types.ts';

/** Messages that may wait for one `takeReady`; the caller takes them every loop turn. */
const MESSAGES_MAX = 1_000_000;

type Collected = Omit<Ready, 'hardState' | 'truncateFrom' | 'entries' | 'committed'>;

export class Outbox {
  #saved: HardState;
  #messages: Message[] = [];
  #afterPersist: Message[] = [];
  #reads: ReadState[] = [];
  #lostReads: number[] = [];
  #refused: { proposalId: number; reason: ProposalRefusal }[] = [];
  #snapshotRequests: { to: NodeId }[] = [];
  #installSnapshot: LogPoint | null = null;
  #recovered = false;

  constructor(saved: HardState) {
    this.#saved = saved;
  }

  /** Leaves at once: it promises nothing that is not durable yet. */
  send(message: Message): void {
    assert(this.#messages.length < MESSAGES_MAX, 'messages are taken');
    this.#messages.push(message);
  }

  /** Leaves once everything before it is durable: a vote, an acknowledgement, a new term. */
  sendAfterPersist(message: Message): void {
    assert(this.#afterPersist.length < MESSAGES_MAX, 'messages are taken');
    if (message.kind === 'append-reply' && this.#mergesIntoLast(message)) return;
    this.#afterPersist.push(message);
  }

  readReady(readId: number, index: ReadState['index']): void {
    this.#reads.push({ readId, index });
  }

  readsLost(readIds: readonly number[]): void {
    for (const readId of readIds) this.#lostReads.push(readId);
  }

  refuse(proposalId: number, reason: ProposalRefusal): void {
    this.#refused.push({ proposalId, reason });
  }

  requestSnapshot(to: NodeId): void {
    this.#snapshotRequests.push({ to });
  }

  install(point: LogPoint): void {
    assert(this.#installSnapshot === null, 'one snapshot is installed at a time');
    this.#installSnapshot = point;
  }

  recovered(): void {
    this.#recovered = true;
  }

  /** The hard state where it differs from the one handed out last. */
  takeHardState(now: HardState): HardState | null {
    assert(now.term >= this.#saved.term, 'the term never falls');
    if (now.term === this.#saved.term && now.vote === this.#saved.vote) return null;
    this.#saved = now;
    return now;
  }

  get isEmpty(): boolean {
    return (
      this.#messages.length === 0 &&
      this.#afterPersist.length === 0 &&
      this.#reads.length === 0 &&
      this.#lostReads.length === 0 &&
      this.#refused.length === 0 &&
      this.#snapshotRequests.length === 0 &&
      this.#installSnapshot === null &&
      !this.#recovered
    );
  }

  take(): Collected {
    const collected: Collected = {
      messages: this.#messages,
      messagesAfterPersist: this.#afterPersist,
      reads: this.#reads,
      lostReads: this.#lostReads,
      refusedProposals: this.#refused,
      snapshotRequests: this.#snapshotRequests,
      installSnapshot: this.#installSnapshot,
      recovered: this.#recovered,
    };
    this.#messages = [];
    this.#afterPersist = [];
    this.#reads = [];
    this.#lostReads = [];
    this.#refused = [];
    this.#snapshotRequests = [];
    this.#installSnapshot = null;
    this.#recovered = false;
    return collected;
  }

  /** One acknowledgement a turn: a later success to the same leader covers the earlier one. */
  #mergesIntoLast(reply: AppendReply): boolean {
    const last = this.#afterPersist.at(-1);
    if (last?.kind !== 'append-reply') return false;
    if (!last.success || !reply.success) return false;
    if (last.to !== reply.to || last.term !== reply.term) return false;
    if (reply.index >= last.index) this.#afterPersist[this.#afterPersist.length - 1] = reply;
    return true;
  }
}
