/**
 * One Raft core under the hands of a test: messages are written to it, and everything that it says is
 * kept. Node 1 is the core; the others exist as senders only.
 */
import { utf8 } from '../common/bytes.ts';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { RaftCore } from '../raft/core.ts';
import type { AppendRequest, Envelope, Message, VoteRequest } from '../raft/messages.ts';
import type { Entry, LogPoint, Ready } from '../raft/types.ts';

export const LIMITS = {
  uncommittedBytesMax: 1000,
  appendBytesMax: 1000,
  inflightMessagesMax: 8,
  inflightBytesMax: 8000,
};
export const at = (index: number, ofTerm: number): LogPoint => ({
  index: logIndex(index),
  term: term(ofTerm),
});
export const entry = (index: number, ofTerm: number, text = ''): Entry => ({
  ...at(index, ofTerm),
  kind: 'command',
  data: utf8(text),
});

/** One core among `size` voters, and everything that it said. */
export class Probe {
  readonly core: RaftCore;
  readonly readies: Ready[] = [];

  constructor(
    size = 3,
    entries: readonly Entry[] = [],
    now = entries.at(-1)?.term ?? 0,
    recovering = false,
  ) {
    this.core = new RaftCore(
      {
        self: nodeId(1),
        voters: Array.from({ length: size }, (_, i) => nodeId(i + 1)),
        bootId: 1,
        heartbeatTicks: 2,
        electionTicksMin: 10,
        randomBelow: () => 0,
        limits: LIMITS,
      },
      {
        hardState: { term: term(now), vote: nodeId(0) },
        base: at(0, 0),
        entries,
        applied: logIndex(0),
        recovering,
      },
    );
  }

  /** Takes and persists everything; answers the messages of this step. */
  drain(): readonly Message[] {
    const messages: Message[] = [];
    for (let ready = this.core.takeReady(); ready !== null; ready = this.core.takeReady()) {
      this.readies.push(ready);
      messages.push(...ready.messages, ...ready.messagesAfterPersist);
      const last = ready.entries.at(-1);
      if (last !== undefined) this.core.persisted({ index: last.index, term: last.term });
    }
    return messages;
  }

  receive(message: Message): readonly Message[] {
    this.core.receive(message);
    return this.drain();
  }

  tick(count: number): readonly Message[] {
    for (let i = 0; i < count; i += 1) this.core.tick();
    return this.drain();
  }

  /** Campaigns and wins with the votes of a majority. */
  lead(): this {
    this.tick(10);
    const { term: before } = this.core.status();
    for (const pre of [true, false]) {
      for (let node = 2; this.core.status().role !== (pre ? 'candidate' : 'leader'); node += 1) {
        this.receive({ ...from(node, before + 1), kind: 'vote-reply', pre, granted: true });
      }
    }
    this.drain();
    return this;
  }

  accept(node: number, index: number): readonly Message[] {
    return this.receive({
      ...from(node, this.core.status().term),
      kind: 'append-reply',
      success: true,
      index: logIndex(index),
      hint: at(0, 0),
      recovering: false,
      stopping: false,
    });
  }
}

export const from = (node: number, ofTerm: number): Envelope => ({
  from: nodeId(node),
  to: nodeId(1),
  term: term(ofTerm),
  fromBoot: 1,
  toBoot: 1,
});
export const vote = (node: number, ofTerm: number, last: LogPoint): VoteRequest => ({
  ...from(node, ofTerm),
  kind: 'vote-request',
  pre: false,
  last,
  transfer: false,
  leaderSuspected: false,
});
export const append = (
  node: number,
  ofTerm: number,
  previous: LogPoint,
  rest: { readonly entries?: readonly Entry[]; readonly commit?: number } = {},
): AppendRequest => ({
  ...from(node, ofTerm),
  kind: 'append-request',
  previous,
  entries: rest.entries ?? [],
  commit: logIndex(rest.commit ?? 0),
  lastIndex: logIndex(previous.index + (rest.entries?.length ?? 0)),
});
export const kinds = (messages: readonly Message[]): readonly string[] =>
  messages.map((m) => m.kind);
export const to = (messages: readonly Message[], node: number): readonly Message[] =>
  messages.filter((message) => message.to === node);
