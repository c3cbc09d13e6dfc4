/**
 * Raft messages <-> their flat shape on the wire. What a peer sends is checked field by field before
 * the core sees it: a message that no sound peer can have sent is refused, never repaired. Decoding
 * throws KvError `INVALID_ARGUMENT` and nothing else.
 */
import { KvError } from '../../common/errors.ts';
import { type LogIndex, logIndex, type NodeId, nodeId, type Term, term } from '../../common/ids.ts';
import type { Envelope, Message } from '../../raft/messages.ts';
import type { Entry, LogPoint, ProposalRefusal } from '../../raft/types.ts';
import type { RaftEntry, RaftMessage } from '../../rpc/generated/raft.ts';

const KINDS = [
  'vote-request',
  'vote-reply',
  'append-request',
  'append-reply',
  'heartbeat-request',
  'heartbeat-reply',
  'snapshot-staged',
  'timeout-now',
  'propose',
  'propose-refused',
  'read-request',
  'read-reply',
] as const satisfies readonly Message['kind'][];

const REASONS = [
  'no-leader',
  'not-leader',
  'overloaded',
  'transferring',
  'stopping',
] as const satisfies readonly ProposalRefusal[];

/** A term further ahead than this was never reached by elections. */
const TERM_JUMP_MAX = 1_000_000;
/** Wire bytes of a message or an entry beside its data, roughly. */
const OVERHEAD_BYTES = 64;

type KindOf<Kind extends Message['kind']> = Extract<Message, { kind: Kind }>;

/** About how many bytes a message takes on the wire. */
export function messageBytes(message: Message): number {
  let bytes = OVERHEAD_BYTES;
  if (message.kind === 'append-request') {
    for (const entry of message.entries) bytes += entry.data.length + OVERHEAD_BYTES;
  } else if (message.kind === 'propose') {
    for (const command of message.commands) bytes += command.length + OVERHEAD_BYTES;
  }
  return bytes;
}

export function encodeMessage(message: Message): RaftMessage {
  const { from, to, fromBoot, toBoot } = message;
  const kind = KINDS.indexOf(message.kind) + 1;
  return { ...BLANK, kind, from, to, term: message.term, fromBoot, toBoot, ...fieldsOf(message) };
}

/**
 * The message that a peer sent. `knownTerm` is a term that this node trusts (null: none yet).
 * @throws KvError `INVALID_ARGUMENT`.
 */
export function decodeMessage(wire: RaftMessage, knownTerm: number | null): Message {
  const kind = KINDS[wire.kind - 1];
  if (kind === undefined) throw invalid(`message kind ${wire.kind} is unknown`);
  const envelope: Envelope = {
    from: nodeOf(wire.from),
    to: nodeOf(wire.to),
    term: termOf(wire.term),
    fromBoot: counterOf(wire.fromBoot, 'fromBoot'),
    toBoot: counterOf(wire.toBoot, 'toBoot'),
  };
  if (knownTerm !== null && envelope.term > knownTerm + TERM_JUMP_MAX) {
    throw invalid(`term ${envelope.term} is absurdly far ahead of ${knownTerm}`);
  }
  return DECODERS[kind](wire, envelope);
}

const BLANK: RaftMessage = {
  kind: 0,
  from: 0,
  to: 0,
  term: 0,
  fromBoot: 0,
  toBoot: 0,
  pre: false,
  transfer: false,
  leaderSuspected: false,
  granted: false,
  pointIndex: 0,
  pointTerm: 0,
  entries: [],
  commit: 0,
  lastIndex: 0,
  success: false,
  index: 0,
  recovering: false,
  readToken: 0,
  requestId: 0,
  commands: [],
  reason: 0,
  stopping: false,
};

const FIELDS: {
  readonly [Kind in Message['kind']]: (message: KindOf<Kind>) => Partial<RaftMessage>;
} = {
  'vote-request': ({ pre, transfer, leaderSuspected, last }) => ({
    pre,
    transfer,
    leaderSuspected,
    ...pointFields(last),
  }),
  'vote-reply': ({ pre, granted }) => ({ pre, granted }),
  'append-request': ({ commit, lastIndex, previous, entries }) => ({
    commit,
    lastIndex,
    ...pointFields(previous),
    entries: entries.map(encodeEntry),
  }),
  'append-reply': ({ success, index, recovering, stopping, hint }) => ({
    success,
    index,
    recovering,
    stopping,
    ...pointFields(hint),
  }),
  'heartbeat-request': ({ commit, readToken, lastIndex }) => ({ commit, readToken, lastIndex }),
  'heartbeat-reply': ({ readToken, recovering, stopping }) => ({
    readToken,
    recovering,
    stopping,
  }),
  'snapshot-staged': ({ point }) => pointFields(point),
  'timeout-now': () => ({}),
  propose: ({ proposalId, commands }) => ({
    requestId: proposalId,
    commands: [...commands],
  }),
  'propose-refused': ({ proposalId, reason }) => ({
    requestId: proposalId,
    reason: REASONS.indexOf(reason) + 1,
  }),
  'read-request': ({ requestId }) => ({ requestId }),
  'read-reply': ({ requestId, index }) => ({ requestId, index }),
};

function fieldsOf<Kind extends Message['kind']>(message: KindOf<Kind>): Partial<RaftMessage> {
  return FIELDS[message.kind](message);
}

const pointFields = (point: LogPoint): Pick<RaftMessage, 'pointIndex' | 'pointTerm'> => ({
  pointIndex: point.index,
  pointTerm: point.term,
});

const encodeEntry = ({ index, term, kind, data }: Entry): RaftEntry => ({
  index,
  term,
  kind: kind === 'command' ? 1 : 0,
  data,
});

const DECODERS: {
  readonly [Kind in Message['kind']]: (wire: RaftMessage, envelope: Envelope) => KindOf<Kind>;
} = {
  'vote-request': (wire, envelope) => ({
    kind: 'vote-request',
    ...envelope,
    pre: wire.pre,
    transfer: wire.transfer,
    leaderSuspected: wire.leaderSuspected,
    last: pointOf(wire),
  }),
  'vote-reply': (wire, envelope) => ({
    kind: 'vote-reply',
    ...envelope,
    pre: wire.pre,
    granted: wire.granted,
  }),
  'append-request': (wire, envelope) => {
    const previous = pointOf(wire);
    return {
      kind: 'append-request',
      ...envelope,
      previous,
      entries: entriesOf(wire.entries, previous, envelope.term),
      commit: indexOf(wire.commit, 'commit'),
      lastIndex: indexOf(wire.lastIndex, 'lastIndex'),
    };
  },
  'append-reply': (wire, envelope) => ({
    kind: 'append-reply',
    ...envelope,
    success: wire.success,
    index: indexOf(wire.index, 'index'),
    hint: pointOf(wire),
    recovering: wire.recovering,
    stopping: wire.stopping,
  }),
  'heartbeat-request': (wire, envelope) => ({
    kind: 'heartbeat-request',
    ...envelope,
    commit: indexOf(wire.commit, 'commit'),
    readToken: counterOf(wire.readToken, 'readToken'),
    lastIndex: indexOf(wire.lastIndex, 'lastIndex'),
  }),
  'heartbeat-reply': (wire, envelope) => ({
    kind: 'heartbeat-reply',
    ...envelope,
    readToken: counterOf(wire.readToken, 'readToken'),
    recovering: wire.recovering,
    stopping: wire.stopping,
  }),
  'snapshot-staged': (wire, envelope) => ({
    kind: 'snapshot-staged',
    ...envelope,
    point: pointOf(wire),
  }),
  'timeout-now': (_, envelope) => ({ kind: 'timeout-now', ...envelope }),
  propose: (wire, envelope) => ({
    kind: 'propose',
    ...envelope,
    proposalId: counterOf(wire.requestId, 'requestId'),
    commands: wire.commands,
  }),
  'propose-refused': (wire, envelope) => ({
    kind: 'propose-refused',
    ...envelope,
    proposalId: counterOf(wire.requestId, 'requestId'),
    reason: reasonOf(wire.reason),
  }),
  'read-request': (wire, envelope) => ({
    kind: 'read-request',
    ...envelope,
    requestId: counterOf(wire.requestId, 'requestId'),
  }),
  'read-reply': (wire, envelope) => ({
    kind: 'read-reply',
    ...envelope,
    requestId: counterOf(wire.requestId, 'requestId'),
    index: indexOf(wire.index, 'index'),
  }),
};

/** Entries follow `previous` without a gap; their terms never fall and never pass the message's. */
function entriesOf(wires: readonly RaftEntry[], previous: LogPoint, limit: Term): Entry[] {
  let before: LogPoint = previous;
  return wires.map((wire) => {
    const entry = entryOf(wire);
    if (entry.index !== before.index + 1) {
      throw invalid(`entry ${entry.index} does not follow ${before.index}`);
    }
    if (entry.term < before.term || entry.term > limit) {
      throw invalid(`entry ${entry.index} has term ${entry.term} in a message of term ${limit}`);
    }
    before = entry;
    return entry;
  });
}

function entryOf(wire: RaftEntry): Entry {
  if (wire.kind !== 0 && wire.kind !== 1) throw invalid(`entry kind ${wire.kind} is unknown`);
  return {
    index: indexOf(wire.index, 'entry index'),
    term: termOf(wire.term),
    kind: wire.kind === 1 ? 'command' : 'noop',
    data: wire.data,
  };
}

const pointOf = (wire: RaftMessage): LogPoint => ({
  index: indexOf(wire.pointIndex, 'pointIndex'),
  term: termOf(wire.pointTerm),
});

function reasonOf(number: number): ProposalRefusal {
  const reason = REASONS[number - 1];
  if (reason === undefined) throw invalid(`refusal reason ${number} is unknown`);
  return reason;
}

function counterOf(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${name} is no counter`);
  return value;
}

const indexOf = (value: number, name: string): LogIndex => logIndex(counterOf(value, name));
const termOf = (value: number): Term => term(counterOf(value, 'term'));

function nodeOf(value: number): NodeId {
  if (counterOf(value, 'node id') === 0) throw invalid('a message is from or to nobody');
  return nodeId(value);
}

const invalid = (sentence: string): KvError => new KvError('INVALID_ARGUMENT', sentence);
