/**
 * The door of the room: inputs in, Ready out. Same state and same input give the same output; no
 * clock, disk or socket. Invariant: each input leaves the state as invariants.ts wants it, or the
 * process stops.
 */
import { assert } from '../common/assert.ts';
import { type LogIndex, logIndex, NOBODY, type NodeId, type Term } from '../common/ids.ts';
import { dispatch } from './dispatch.ts';
import {
  beginStop,
  endRecovery,
  seekLeader,
  snapshotInstalled,
  snapshotReady,
  suspectLeader,
  tickFollower,
} from './follower.ts';
import { checkInvariants, watermarkOf } from './invariants.ts';
import { appendProposal, joinRound, snapshotSent, tickLeader } from './leader.ts';
import type { Message } from './messages.ts';
import { advanceCommit, closeReadRound, sendAppends, sendHeartbeats } from './replication.ts';
import { createState, envelope, type RaftState } from './state.ts';
import { beginTransfer } from './transfer.ts';
import type { InitialState, LogPoint, RaftOptions, RaftStatus, Ready } from './types.ts';

/** Committed entries of one Ready; more follow in the next. */
const COMMITTED_ENTRIES_MAX = 4096;

export class RaftCore {
  readonly #state: RaftState;

  constructor(options: RaftOptions, initial: InitialState) {
    this.#state = createState(options, initial);
  }

  /** A unit of time has passed; all timeouts are counted in ticks. */
  tick(): void {
    this.#step((state) => {
      if (state.leadership === null) tickFollower(state);
      else tickLeader(state, state.leadership);
    });
  }

  /** A message arrived. Late, doubled, reordered and misdirected ones do no harm. */
  receive(message: Message): void {
    this.#step((state) => dispatch(state, message));
  }

  /**
   * Appends the commands here, or forwards them to the leader, once and without retry. A refusal
   * means that surely none was appended; success is learned from the committed entries.
   */
  propose(proposalId: number, commands: readonly Uint8Array[]): void {
    this.#step((state) => {
      if (state.leadership !== null) {
        const refusal = appendProposal(state, state.leadership, commands);
        if (refusal !== null) state.outbox.refuse(proposalId, refusal);
      } else if (state.leader === NOBODY) state.outbox.refuse(proposalId, 'no-leader');
      else {
        const addressed = envelope(state, state.leader, 0);
        state.outbox.send({ kind: 'propose', ...addressed, proposalId, commands });
      }
    });
  }

  /** Asks for an index at which a read is linearizable; answered in `reads` or `lostReads`. */
  read(readId: number): void {
    this.#step((state) => {
      if (state.leadership !== null) {
        joinRound(state, state.leadership, { kind: 'local', readId });
      } else if (!state.forwardedReads.join(readId)) state.outbox.readsLost([readId]);
    });
  }

  /** Hands leadership to `to`, 0: to the best follower. Does nothing on a node that does not lead. */
  transferLeadership(to: NodeId): void {
    this.#step((state) => {
      if (state.leadership !== null) beginTransfer(state, state.leadership, to);
    });
  }

  /** A link to a peer opened: messages to it and from it may pass from now on. */
  connectionOpened(): void {
    this.#step(seekLeader);
  }

  /** The link from `peer` closed: a hint that it may have died. */
  connectionClosed(peer: NodeId): void {
    this.#step((state) => {
      if (peer === state.leader && peer !== NOBODY && peer !== state.self) suspectLeader(state);
    });
  }

  /** Messages to `peer` may have been lost. */
  peerUnreachable(peer: NodeId): void {
    this.#step((state) => state.leadership?.progress.get(peer)?.unreachable());
  }

  /**
   * The Ready whose last entry is `point`, and all before it, are durable: hard state and entries.
   * To be called in order. A point that was overwritten since counts for nothing.
   */
  persisted(point: LogPoint): void {
    this.#step((state) => {
      if (!state.log.acknowledge(point)) return;
      if (state.leadership !== null) advanceCommit(state, state.leadership);
      endRecovery(state);
    });
  }

  /**
   * Entries up to here are on the own disk in their present form: as far as a state machine may
   * flush. Falls when a Ready truncates, for what is on disk above is an older entry until its sync.
   */
  get durableIndex(): LogIndex {
    return logIndex(this.#state.log.unstable.durable);
  }

  /** The state machine has applied everything up to `index`. */
  applied(index: LogIndex): void {
    this.#step((state) => state.log.appliedTo(index));
  }

  /** The stream of a requested snapshot ended: `point` is staged at `peer`, or (null) it failed. */
  snapshotSent(peer: NodeId, point: LogPoint | null): void {
    this.#step((state) => {
      if (state.leadership !== null) snapshotSent(state, state.leadership, { peer, point });
    });
  }

  /** A complete, verified snapshot from `from`, sent in `sentTerm`, is staged at this node. */
  snapshotReady(point: LogPoint, from: NodeId, sentTerm: Term): void {
    this.#step((state) => snapshotReady(state, { point, from, term: sentTerm }));
  }

  /** The snapshot of `Ready.installSnapshot` is the durable state, and the log on disk is empty. */
  snapshotInstalled(point: LogPoint): void {
    this.#step((state) => snapshotInstalled(state, point));
  }

  /** The log on disk was cut up to `base`. */
  compacted(base: LogPoint): void {
    this.#step((state) => state.log.compact(base));
  }

  /** From now on this node never becomes leader: no campaign, TimeoutNow refused. */
  beginStop(): void {
    this.#step(beginStop);
  }

  /** The work since the last call, null where there is none. Call again until it is. */
  takeReady(): Ready | null {
    const state = this.#state;
    this.#step(prepareMessages);
    const hardState = state.outbox.takeHardState({ term: state.term, vote: state.vote });
    const { truncateFrom } = state.log.unstable;
    const entries = state.log.takeUnstable();
    // What is about to be replaced by a snapshot is not applied any more.
    const committed =
      state.installing === null ? state.log.takeCommitted(COMMITTED_ENTRIES_MAX) : [];
    assert(truncateFrom === null || entries.length > 0, 'only a conflicting entry truncates');
    if (hardState === null && entries.length === 0 && committed.length === 0) {
      if (state.outbox.isEmpty) return null;
    }
    return { hardState, truncateFrom, entries, committed, ...state.outbox.take() };
  }

  get leader(): NodeId {
    return this.#state.leader;
  }

  get commit(): LogIndex {
    return this.#state.log.commit;
  }

  /** True where role, term and leader are those of `status`. */
  isLedAs({ role, term, leader }: Pick<RaftStatus, 'role' | 'term' | 'leader'>): boolean {
    const state = this.#state;
    return state.role === role && state.term === term && state.leader === leader;
  }

  status(): RaftStatus {
    const state = this.#state;
    const progress = [...(state.leadership?.progress ?? [])];
    return {
      role: state.role,
      term: state.term,
      vote: state.vote,
      leader: state.leader,
      commit: state.log.commit,
      applied: state.log.applied,
      lastIndex: logIndex(state.log.lastIndex),
      baseIndex: state.log.base.index,
      logBytes: state.log.dataBytes,
      recovering: state.recovering,
      transferTarget: state.leadership?.transfer?.target ?? NOBODY,
      leaderContactTicks: state.role === 'leader' ? 0 : state.leaderContactTicks,
      peers: progress.map(([node, known]) => ({
        node,
        match: logIndex(known.match),
        next: logIndex(known.next),
        state: known.state,
        recentlyActive: known.isLive,
        recovering: known.recovering,
        stopping: known.stopping,
      })),
    };
  }

  #step(input: (state: RaftState) => void): void {
    const before = watermarkOf(this.#state);
    input(this.#state);
    checkInvariants(this.#state, before);
  }
}

/** Makes the messages that wait for the turn's end, so that a busy turn sends few and large ones. */
function prepareMessages(state: RaftState): void {
  const { leadership, forwardedReads } = state;
  if (leadership !== null) {
    closeReadRound(state, leadership);
    sendHeartbeats(state, leadership);
    sendAppends(state, leadership);
  } else if (state.leader !== NOBODY && forwardedReads.isDue) {
    const addressed = envelope(state, state.leader, state.recovering ? 0 : state.term);
    const requestId = forwardedReads.depart();
    state.outbox.send({ kind: 'read-request', ...addressed, requestId });
  }
}
