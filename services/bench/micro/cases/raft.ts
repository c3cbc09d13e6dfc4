/** The pure core: what an entry costs a leader and a follower of three, disk and network left out. */
import { logIndex, nodeId, term } from '../../../common/ids.ts';
import { KIB, MIB } from '../../../common/units.ts';
import { RaftCore } from '../../../raft/core.ts';
import type { AppendReply, AppendRequest, Message } from '../../../raft/messages.ts';
import { NO_POINT } from '../../../raft/types.ts';
import { append, at, from } from '../../../testing/raft-probe.ts';
import { type MicroCase, mustHold, type Work } from '../micro-case.ts';
import { COMMAND_BYTES, entriesAfter } from '../samples.ts';

const TERM = 1;
const FOLLOWERS = [2, 3];
/** Those of a coordinator. */
const LIMITS = {
  uncommittedBytesMax: 64 * MIB,
  appendBytesMax: 512 * KIB,
  inflightMessagesMax: 64,
  inflightBytesMax: 8 * MIB,
};

export const RAFT_CASES: readonly MicroCase[] = [1, 64].flatMap((batch) => {
  const entries = batch === 1 ? 'one entry at a time' : `${batch} entries at once`;
  const shared = { of: 'entry', perStep: batch, onDisk: false };
  return [
    { ...shared, name: `raft: a leader, ${entries}`, open: () => leaderWork(batch) },
    { ...shared, name: `raft: a follower, ${entries}`, open: () => followerWork(batch) },
  ];
});

/** Proposes, hands out, hears both followers and commits. */
function leaderWork(batch: number): Work {
  const node = new Node();
  node.lead();
  const commands = Array.from({ length: batch }, () => COMMAND_BYTES);
  return {
    prepare: () => node.compact(),
    run(steps) {
      const before = node.applied;
      for (let i = 0; i < steps; i += 1) {
        node.core.propose(1, commands);
        node.settle();
      }
      mustHold(node.applied === before + steps * batch, 'a leader has not committed all');
    },
  };
}

/** Takes an append, which commits the one before it, and acknowledges it once it is durable. */
function followerWork(batch: number): Work {
  const node = new Node();
  let last = 0;
  return {
    prepare: () => node.compact(),
    run(steps) {
      for (let i = 0; i < steps; i += 1) {
        const previous = at(last, last === 0 ? 0 : TERM);
        const entries = entriesAfter(last, batch);
        node.core.receive(append(2, TERM, previous, { entries, commit: last }));
        const acknowledged = node.acknowledged();
        last += batch;
        mustHold(acknowledged === last, 'a follower has not acknowledged an append');
      }
    },
  };
}

/** Node 1, whose disk is as quick as it can be. */
class Node {
  applied = 0;
  readonly core = new RaftCore(
    {
      self: nodeId(1),
      voters: [1, ...FOLLOWERS].map(nodeId),
      bootId: 1,
      heartbeatTicks: 2,
      electionTicksMin: 10,
      randomBelow: () => 0,
      limits: LIMITS,
    },
    {
      hardState: { term: term(0), vote: nodeId(0) },
      base: NO_POINT,
      entries: [],
      applied: logIndex(0),
      recovering: false,
    },
  );

  /** Campaigns and wins. */
  lead(): void {
    for (let ticks = 0; ticks < 10; ticks += 1) this.core.tick();
    for (const pre of [true, false]) {
      this.#takeAll(() => undefined);
      this.core.receive({ ...from(2, TERM), kind: 'vote-reply', pre, granted: true });
    }
    this.settle();
    mustHold(this.core.status().role === 'leader', 'nobody was elected');
  }

  /** Carries out all work, with followers that acknowledge at once. */
  settle(): void {
    const replies: AppendReply[] = [];
    do {
      for (const reply of replies.splice(0)) this.core.receive(reply);
      this.#takeAll((message) => {
        if (message.kind === 'append-request') replies.push(replyTo(message));
      });
    } while (replies.length > 0);
  }

  /** Carries out all work; answers up to where it was acknowledged. */
  acknowledged(): number {
    let index = 0;
    this.#takeAll((message) => {
      if (message.kind === 'append-reply' && message.success) index = message.index;
    });
    return index;
  }

  compact(): void {
    this.core.compacted(this.applied === 0 ? NO_POINT : at(this.applied, TERM));
  }

  #takeAll(sent: (message: Message) => void): void {
    for (let ready = this.core.takeReady(); ready !== null; ready = this.core.takeReady()) {
      for (const message of ready.messages) sent(message);
      const last = ready.entries.at(-1);
      if (last !== undefined) this.core.persisted({ index: last.index, term: last.term });
      for (const message of ready.messagesAfterPersist) sent(message);
      const applied = ready.committed.at(-1);
      if (applied === undefined) continue;
      this.core.applied(applied.index);
      this.applied = applied.index;
    }
  }
}

const replyTo = ({ to, previous, entries }: AppendRequest): AppendReply => ({
  ...from(to, TERM),
  kind: 'append-reply',
  success: true,
  index: logIndex(previous.index + entries.length),
  hint: NO_POINT,
  recovering: false,
  stopping: false,
});
