/**
 * The one mutable record that the rules of the roles work on, and the envelope of every message.
 * Invariants (checked after each input, invariants.ts): `campaign` exists exactly in the two
 * candidate roles, `leadership` exactly in the leader's.
 */
import { assert } from '../common/assert.ts';
import { type LogIndex, NOBODY, type NodeId, type Term, term as termOf } from '../common/ids.ts';
import { RaftLog } from './log.ts';
import type { Envelope } from './messages.ts';
import type { Progress } from './progress.ts';
import { ForwardedReads, type ReadOrigin, type ReadRounds } from './read-index.ts';
import { Outbox } from './ready.ts';
import type { InitialState, LogPoint, RaftOptions, Role } from './types.ts';

/** The answers of one election or pre-vote. */
export interface Campaign {
  readonly granted: Set<NodeId>;
  readonly rejected: Set<NodeId>;
}

export interface Transfer {
  readonly target: NodeId;
  ticks: number;
  /** TimeoutNow left. */
  told: boolean;
}

export interface Leadership {
  readonly progress: ReadonlyMap<NodeId, Progress>;
  readonly rounds: ReadRounds;
  uncommittedBytes: number;
  heartbeatTicks: number;
  heartbeatDue: boolean;
  quorumTicks: number;
  transfer: Transfer | null;
}

/** The link to `leader` of `term` closed and it has not been heard since. */
export interface Suspicion {
  readonly leader: NodeId;
  readonly term: Term;
  ticksLeft: number;
}

/** A quick next attempt after an election that a suspicion began; each waits twice as long. */
export interface Retry {
  ticksLeft: number;
  delayTicks: number;
}

export interface RaftState {
  readonly self: NodeId;
  readonly peers: readonly NodeId[];
  readonly options: RaftOptions;
  readonly log: RaftLog;
  readonly outbox: Outbox;
  /** Highest boot heard of each peer. */
  readonly boots: Map<NodeId, number>;
  readonly forwardedReads: ForwardedReads;
  role: Role;
  term: Term;
  vote: NodeId;
  leader: NodeId;
  campaign: Campaign | null;
  leadership: Leadership | null;
  suspicion: Suspicion | null;
  retry: Retry | null;
  /** Ticks since the leader was heard, a vote was given or an own campaign began. */
  electionTicks: number;
  electionTimeoutTicks: number;
  leaderContactTicks: number;
  /** The log is known to equal the present leader's up to here. */
  verified: number;
  recovering: boolean;
  /** Recovering ends when the log equals the leader's durably up to here. */
  recoveryMark: number | null;
  installing: LogPoint | null;
  stopping: boolean;
}

export function createState(options: RaftOptions, initial: InitialState): RaftState {
  assert(options.voters.includes(options.self), 'self is a voter');
  assert(new Set(options.voters).size === options.voters.length, 'voters are distinct');
  assert(options.heartbeatTicks >= 1, 'heartbeats are at least a tick apart');
  assert(options.electionTicksMin > options.heartbeatTicks, 'elections are rarer than heartbeats');
  const log = new RaftLog(initial);
  assert(log.last.term <= initial.hardState.term, 'the term is at least that of the log');
  const state: RaftState = {
    self: options.self,
    peers: options.voters.filter((node) => node !== options.self),
    options,
    log,
    outbox: new Outbox(initial.hardState),
    boots: new Map(),
    forwardedReads: new ForwardedReads(options.electionTicksMin),
    role: 'follower',
    term: initial.hardState.term,
    vote: initial.hardState.vote,
    leader: NOBODY,
    campaign: null,
    leadership: null,
    suspicion: null,
    retry: null,
    electionTicks: 0,
    electionTimeoutTicks: 0,
    leaderContactTicks: 0,
    verified: log.commit,
    recovering: initial.recovering,
    recoveryMark: null,
    installing: null,
    stopping: false,
  };
  drawElectionTimeout(state);
  return state;
}

/** A fresh timeout in [min, 2 x min) for every attempt, or equal draws would split votes for ever. */
export function drawElectionTimeout(state: RaftState): void {
  const { electionTicksMin, randomBelow } = state.options;
  const extra = randomBelow(electionTicksMin);
  assert(extra >= 0, 'randomness starts at 0');
  assert(extra < electionTicksMin, 'randomness stays below its bound');
  state.electionTimeoutTicks = electionTicksMin + extra;
}

/** Answers a read, wherever it came from; index 0: lost, ask again. */
export function answerRead(state: RaftState, read: ReadOrigin, index: LogIndex): void {
  if (read.kind === 'local') {
    if (index === 0) state.outbox.readsLost([read.readId]);
    else state.outbox.readReady(read.readId, index);
    return;
  }
  assert(read.node !== state.self, 'own reads are answered without a message');
  assert(read.boot <= (state.boots.get(read.node) ?? 0), 'the asking boot was heard');
  state.outbox.send({
    kind: 'read-reply',
    ...envelope(state, read.node),
    // Not the boot known now: the node may have restarted since and count its requests anew.
    toBoot: read.boot,
    requestId: read.requestId,
    index,
  });
}

/** The common fields of a message; `term` differs from the own only where a kind says so. */
export function envelope(state: RaftState, to: NodeId, term: number = state.term): Envelope {
  return {
    from: state.self,
    to,
    term: termOf(term),
    fromBoot: state.options.bootId,
    toBoot: state.boots.get(to) ?? 0,
  };
}
