/**
 * Linearizable reads without a log entry (thesis 6.4). A leader gathers reads into rounds; a round
 * stays open until its first heartbeat is handed out, and its token is never used again in the term.
 * Invariant: whatever confirms a token was sent after every read of its round had begun.
 */
import { assert } from '../common/assert.ts';
import type { LogIndex, NodeId } from '../common/ids.ts';

/** A follower's request counts anew with each boot of it, so the boot belongs to its id. */
export type ReadOrigin =
  | { readonly kind: 'local'; readonly readId: number }
  | {
      readonly kind: 'remote';
      readonly node: NodeId;
      readonly boot: number;
      readonly requestId: number;
    };

export interface ReadRound {
  readonly token: number;
  readonly index: LogIndex;
  readonly origins: readonly ReadOrigin[];
}

/** Reads of one open round. */
const ROUND_READS_MAX = 65_536;
/** Rounds that await confirmation; beyond it the open round stays open. */
const ROUNDS_MAX = 1024;
/** Requests of a follower on their way to the leader. */
const REQUESTS_MAX = 64;

/** The leader's side. */
export class ReadRounds {
  #token = 0;
  #open: ReadOrigin[] = [];
  #rounds: ReadRound[] = [];

  /** Newest token handed out; 0 before the first round. */
  get newestToken(): number {
    return this.#token;
  }

  /** True when a round could leave now. */
  get isDue(): boolean {
    return this.#open.length > 0 && this.#rounds.length < ROUNDS_MAX;
  }

  /** Joins the open round; false where it is full. */
  join(origin: ReadOrigin): boolean {
    if (this.#open.length >= ROUND_READS_MAX) return false;
    this.#open.push(origin);
    return true;
  }

  /** Closes the open round at the commit index of this moment; its heartbeats leave now. */
  close(commit: LogIndex): void {
    assert(this.isDue, 'a round has reads');
    assert(commit >= (this.#rounds.at(-1)?.index ?? 0), 'the commit index never falls');
    this.#token += 1;
    this.#rounds.push({ token: this.#token, index: commit, origins: this.#open });
    this.#open = [];
  }

  /** A majority answered `token` or a later one: these rounds may be read. */
  confirm(token: number): readonly ReadRound[] {
    assert(token <= this.#token, 'only handed out tokens come back');
    if ((this.#rounds[0]?.token ?? Infinity) > token) return [];
    const open = this.#rounds.findIndex((round) => round.token > token);
    return this.#rounds.splice(0, open === -1 ? this.#rounds.length : open);
  }

  /** Everything unconfirmed: leadership is over. */
  drain(): readonly ReadOrigin[] {
    const lost = [...this.#rounds.flatMap((round) => round.origins), ...this.#open];
    this.#rounds = [];
    this.#open = [];
    return lost;
  }
}

interface ForwardedRead {
  readonly readIds: readonly number[];
  ticksLeft: number;
}

/** The follower's side: one request for all the reads that wait when it leaves. */
export class ForwardedReads {
  readonly #timeoutTicks: number;
  #counter = 0;
  #waiting: number[] = [];
  #waitingTicksLeft: number;
  #requests = new Map<number, ForwardedRead>();

  constructor(timeoutTicks: number) {
    assert(timeoutTicks >= 1, 'a request waits at least a tick');
    this.#timeoutTicks = timeoutTicks;
    this.#waitingTicksLeft = timeoutTicks;
  }

  get isDue(): boolean {
    return this.#waiting.length > 0 && this.#requests.size < REQUESTS_MAX;
  }

  /** Waits for the next request; false where too many do. */
  join(readId: number): boolean {
    if (this.#waiting.length >= ROUND_READS_MAX) return false;
    if (this.#waiting.length === 0) this.#waitingTicksLeft = this.#timeoutTicks;
    this.#waiting.push(readId);
    return true;
  }

  /** The id of a request for all that wait now; later reads wait for the next one. */
  depart(): number {
    assert(this.isDue, 'a request has reads');
    this.#counter += 1;
    this.#requests.set(this.#counter, {
      readIds: this.#waiting,
      ticksLeft: this.#timeoutTicks,
    });
    this.#waiting = [];
    return this.#counter;
  }

  /** The reads of an answered request; none for an id that was given up. */
  answered(requestId: number): readonly number[] {
    const request = this.#requests.get(requestId);
    this.#requests.delete(requestId);
    return request?.readIds ?? [];
  }

  /** The reads whose time is over. */
  tick(): readonly number[] {
    const lost: number[] = [];
    for (const [requestId, request] of this.#requests) {
      request.ticksLeft -= 1;
      if (request.ticksLeft > 0) continue;
      this.#requests.delete(requestId);
      lost.push(...request.readIds);
    }
    if (this.#waiting.length > 0) {
      this.#waitingTicksLeft -= 1;
      if (this.#waitingTicksLeft <= 0) lost.push(...this.drainWaiting());
    }
    return lost;
  }

  /** The reads of requests under way: the leader that would answer them is gone. */
  drainRequests(): readonly number[] {
    const lost = [...this.#requests.values()].flatMap((request) => request.readIds);
    this.#requests.clear();
    return lost;
  }

  /** The reads that have not left. */
  drainWaiting(): readonly number[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
