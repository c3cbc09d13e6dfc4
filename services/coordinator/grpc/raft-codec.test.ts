import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KvError } from '../../common/errors.ts';
import { logIndex, nodeId, term } from '../../common/ids.ts';
import type { Envelope, Message } from '../../raft/messages.ts';
import type { Entry, LogPoint } from '../../raft/types.ts';
import { RaftMessage } from '../../rpc/generated/raft.ts';
import { decodeMessage, encodeMessage, messageBytes } from './raft-codec.ts';

const counter = fc.maxSafeNat();
const small = fc.nat(1_000_000_000);
const data = fc.uint8Array({ maxLength: 40 });
const point = fc.record({ index: small.map(logIndex), term: small.map(term) });
const envelope: fc.Arbitrary<Envelope> = fc.record({
  from: fc.integer({ min: 1, max: 2 ** 40 }).map(nodeId),
  to: fc.integer({ min: 1, max: 2 ** 40 }).map(nodeId),
  term: counter.map(term),
  fromBoot: counter,
  toBoot: counter,
});

/** Entries as a leader of the envelope's term sends them: no gaps, terms that never fall. */
const append = fc
  .tuple(envelope, point, fc.array(fc.tuple(fc.nat(3), fc.boolean(), data), { maxLength: 6 }))
  .chain(([head, previous, shapes]) => {
    let before: LogPoint = previous;
    const entries = shapes.map(([rise, isCommand, bytes]): Entry => {
      const kind = isCommand ? 'command' : 'noop';
      before = { index: logIndex(before.index + 1), term: term(before.term + rise) };
      return { ...before, kind, data: bytes };
    });
    const limit = term(Math.max(head.term, before.term));
    return fc.record({
      ...constants({ ...head, term: limit, previous, entries }),
      kind: fc.constant('append-request' as const),
      commit: counter.map(logIndex),
      lastIndex: counter.map(logIndex),
    });
  });

function constants<T extends object>(value: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  const pairs = Object.entries(value).map(([name, part]) => [name, fc.constant(part)]);
  return Object.fromEntries(pairs) as { [K in keyof T]: fc.Arbitrary<T[K]> };
}

const flag = fc.boolean();
const index = counter.map(logIndex);
const bodies: Record<Exclude<Message['kind'], 'append-request'>, fc.Arbitrary<object>> = {
  'vote-request': fc.record({ pre: flag, last: point, transfer: flag, leaderSuspected: flag }),
  'vote-reply': fc.record({ pre: flag, granted: flag }),
  'append-reply': fc.record({
    ...{ success: flag, index, hint: point },
    ...{ recovering: flag, stopping: flag },
  }),
  'heartbeat-request': fc.record({ commit: index, readToken: counter, lastIndex: index }),
  'heartbeat-reply': fc.record({ readToken: counter, recovering: flag, stopping: flag }),
  'snapshot-staged': fc.record({ point }),
  'timeout-now': fc.constant({}),
  propose: fc.record({ proposalId: counter, commands: fc.array(data, { maxLength: 5 }) }),
  'propose-refused': fc.record({
    proposalId: counter,
    reason: fc.constantFrom('no-leader', 'not-leader', 'overloaded', 'transferring', 'stopping'),
  }),
  'read-request': fc.record({ requestId: counter }),
  'read-reply': fc.record({ requestId: counter, index }),
};
const others = Object.entries(bodies).map(([kind, body]): [string, fc.Arbitrary<Message>] => [
  kind,
  fc.tuple(envelope, body).map(([head, rest]) => ({ kind, ...head, ...rest }) as Message),
]);
const kinds: [string, fc.Arbitrary<Message>][] = [['append-request', append], ...others];

/** Plain arrays, so that Buffer and Uint8Array compare by content. */
const plain = (message: Message): unknown =>
  JSON.parse(
    JSON.stringify(message, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    ).replaceAll(/\{"type":"Buffer","data":(\[[\d,]*\])\}/g, '$1'),
  );

const throughWire = (message: Message): Message =>
  decodeMessage(RaftMessage.decode(RaftMessage.encode(encodeMessage(message)).finish()), null);

const sample = (change: object): RaftMessage => ({
  ...encodeMessage({
    kind: 'append-request',
    from: nodeId(1),
    to: nodeId(2),
    term: term(5),
    fromBoot: 1,
    toBoot: 1,
    previous: { index: logIndex(10), term: term(4) },
    entries: [
      { index: logIndex(11), term: term(4), kind: 'command', data: new Uint8Array([1]) },
      { index: logIndex(12), term: term(5), kind: 'noop', data: new Uint8Array() },
    ],
    commit: logIndex(9),
    lastIndex: logIndex(12),
  }),
  ...change,
});

const entry = (change: object): object => ({
  index: 11,
  term: 4,
  kind: 1,
  data: Buffer.alloc(0),
  ...change,
});

describe('a raft message', () => {
  test.each(kinds)('%s comes back as it was', (_, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        expect(plain(throughWire(message))).toEqual(plain(message));
      }),
      { numRuns: 50 },
    );
  });

  test('takes about as many bytes as its batch is told', () => {
    fc.assert(
      fc.property(fc.oneof(...kinds.map(([, arbitrary]) => arbitrary)), (message) => {
        const bytes = RaftMessage.encode(encodeMessage(message)).finish().length;
        // Ten varints of 8 bytes is the most that the fields beside data can take.
        expect(bytes).toBeLessThanOrEqual(messageBytes(message) + 100);
      }),
    );
  });
});

describe('a message that no sound peer sends is refused', () => {
  test.each([
    ['unknown kind', { kind: 13 }],
    ['kind zero', { kind: 0 }],
    ['from nobody', { from: 0 }],
    ['to nobody', { to: 0 }],
    ['a negative term', { term: -1 }],
    ['a term that is no number', { term: Number.NaN }],
    ['a term beyond 2^53', { term: 2 ** 53 }],
    ['a negative previous index', { pointIndex: -1 }],
    ['a fractional index', { commit: 0.5 }],
    ['a gap before the entries', { entries: [entry({ index: 12 })] }],
    ['entries that overlap previous', { entries: [entry({ index: 10 })] }],
    ['a gap among entries', { entries: [entry({}), entry({ index: 13 })] }],
    ['entries twice', { entries: [entry({}), entry({})] }],
    ['a term that falls', { entries: [entry({ term: 3 })] }],
    ['an entry of a later term', { entries: [entry({ term: 6 })] }],
    ['an unknown entry kind', { entries: [entry({ kind: 2 })] }],
    ['an unknown reason', { kind: 10, reason: 6 }],
    ['no reason', { kind: 10, reason: 0 }],
  ])('%s', (_, change) => {
    expect(() => decodeMessage(sample(change), 5)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('a term absurdly far ahead of what is known; near ones and first contact pass', () => {
    const wire = sample({ entries: [], term: 1_000_006 });
    expect(() => decodeMessage(wire, 5)).toThrow(KvError);
    expect(decodeMessage(wire, 6).term).toBe(1_000_006);
    expect(decodeMessage(wire, null).term).toBe(1_000_006);
  });

  test('whatever the fields hold, nothing but INVALID_ARGUMENT is thrown', () => {
    const number = fc.oneof(fc.integer(), fc.double(), fc.nat(14), fc.maxSafeNat());
    const wire = fc.record({
      ...Object.fromEntries(Object.keys(sample({})).map((name) => [name, number])),
      pre: flag,
      granted: flag,
      entries: fc.array(
        fc.record({
          index: number,
          term: number,
          kind: number,
          data: data.map((bytes) => Buffer.from(bytes)),
        }),
      ),
      commands: fc.array(data.map((bytes) => Buffer.from(bytes))),
    });
    fc.assert(
      fc.property(wire, fc.option(fc.nat()), (fields, known) => {
        try {
          decodeMessage(fields as unknown as RaftMessage, known);
        } catch (error) {
          expect(error).toMatchObject({ name: 'KvError', code: 'INVALID_ARGUMENT' });
        }
      }),
      { numRuns: 500 },
    );
  });
});
