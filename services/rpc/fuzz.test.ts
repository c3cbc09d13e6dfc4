/** What an unknown peer may send: bytes in, a value or a `KvError` out, and no more memory than the limits say. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ERRORS, type ErrorCode, KvError } from '../common/errors.ts';
import { hostile, valueOr } from '../testing/arbitrary-damage.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { formatHostPort, parseHostPort } from './address.ts';
import {
  decodeFailure,
  encodeFailure,
  FrameReader,
  frameOf,
  parsePreface,
  prefaceOf,
} from './frames.ts';
import { RaftFrame, SnapshotChunkRequest } from './generated/raft.ts';
import { CoordinatorFrame, VolumeFrame } from './generated/registry.ts';
import { DataReplies, DataRequests } from './generated/volume.ts';
import { checkHello } from './hello.ts';
import { StreamEnd } from './stream-end.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];
const text = fc.string({ unit: 'binary', maxLength: 40 });
const name = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });

test('a preface is one, is not whole yet, or is refused', () => {
  const preface = name.map(prefaceOf);
  fc.assert(
    fc.property(hostile(preface), (bytes) => {
      const parsed = valueOr(['INVALID_ARGUMENT'], () => parsePreface(bytes));
      if (parsed == null) return;
      expect(prefaceOf(parsed.path).length + parsed.rest.length).toBeGreaterThanOrEqual(5);
      expect(parsed.rest.length).toBeLessThan(bytes.length);
    }),
  );
  fc.assert(
    fc.property(name, (path) => {
      expect(parsePreface(prefaceOf(path))?.path).toBe(path);
    }),
  );
});

test('frames of any bytes, cut anywhere, are given whole, or refused before they are kept', () => {
  const frames = fc
    .array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 })
    .map((payloads) => Buffer.concat(payloads.map((payload) => frameOf(1, payload))));
  fc.assert(
    fc.property(hostile(frames), fc.array(fc.integer({ min: 1, max: 30 })), (bytes, cuts) => {
      let given = 0;
      const reader = new FrameReader((_, payload) => {
        given += payload.length + 5;
      });
      let at = 0;
      valueOr(['TOO_LARGE'], () => {
        for (const cut of [...cuts, bytes.length]) {
          reader.push(bytes.subarray(at, at + cut));
          at += cut;
        }
      });
      expect(given).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 300 },
  );
});

test('a failure comes back as it was; of any bytes it is some error with a known code', () => {
  const failure = fc.record({
    code: fc.constantFrom(...CODES),
    message: text,
    detail: fc.dictionary(text, fc.oneof(text, fc.integer(), fc.boolean()), { maxKeys: 4 }),
  });
  const encoded = failure.map(({ code, message, detail }) =>
    encodeFailure(new KvError(code, message, { detail })),
  );
  fc.assert(
    fc.property(failure, ({ code, message, detail }) => {
      const bytes = encodeFailure(new KvError(code, message, { detail }));
      const back = decodeFailure(Buffer.from(bytes));
      expect([back.code, back.message]).toEqual([code, message.toWellFormed()]);
    }),
  );
  const json = fc
    .record(
      {
        code: fc.oneof(fc.constantFrom(...CODES), fc.jsonValue()),
        message: fc.jsonValue(),
        detail: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) => Buffer.from(JSON.stringify(value)));
  fc.assert(
    fc.property(fc.oneof(hostile(encoded), json), (bytes) => {
      expect(CODES).toContain(decodeFailure(bytes).code);
    }),
    { numRuns: 300 },
  );
});

test('a hello of any content is taken or refused', () => {
  const number = fc.oneof(fc.nat(3), fc.maxSafeNat());
  const hello = fc.record({
    protocol: number,
    role: fc.oneof(fc.constantFrom('coordinator', 'volume'), text),
    clusterId: fc.oneof(fc.constantFrom('', 'c1', '__proto__'), text),
    from: number,
    to: number,
    name: text,
    version: text,
    address: text,
    httpAddress: text,
    stateFormat: number,
    bootId: number,
  });
  const expected = { role: 'volume', clusterId: 'c1', to: 1, from: 2, name: null } as const;
  fc.assert(
    fc.property(fc.option(hello, { nil: undefined }), (said) => {
      const refusal = checkHello(expected, said);
      if (refusal !== null || said === undefined) return;
      expect([1, 0]).toContain(said.to);
      expect(said).toMatchObject({ protocol: 1, role: 'volume', from: 2 });
    }),
  );
});

test('text is host:port or refused, and comes back', () => {
  const likely = fc.stringMatching(/^(\[[0-9a-f:.]{0,9}\]|[a-z.:[\] ]{0,9}):?\d{0,6}$/);
  fc.assert(
    fc.property(fc.oneof(likely, text), (address) => {
      const parsed = valueOr(['INVALID_ARGUMENT'], () => parseHostPort(address));
      if (parsed === undefined) return;
      expect(parsed.port).toBeLessThanOrEqual(65_535);
      expect(parseHostPort(formatHostPort(parsed))).toEqual(parsed);
    }),
    { numRuns: 300 },
  );
});

describe('a message that cannot be decoded ends its stream and nothing else', () => {
  const bytes16 = Buffer.alloc(16, 7);
  const hello = {
    protocol: 1,
    role: 'volume',
    clusterId: 'c'.repeat(32),
    from: 1,
    to: 2,
    name: 'v1',
    version: '1',
    address: 'a:1',
    httpAddress: 'a:2',
    stateFormat: 3,
    bootId: 3,
  };
  const settle = { action: 1, copyIds: [bytes16, bytes16] };
  const whole = {
    copyId: bytes16,
    txnId: bytes16,
    owner: Buffer.from('key'),
    digest: Buffer.alloc(32, 3),
    data: Buffer.from('some data'),
  };
  const sound = {
    RaftFrame: [RaftFrame, RaftFrame.encode({ hello, messages: [], digests: [] }).finish()],
    SnapshotChunkRequest: [
      SnapshotChunkRequest,
      SnapshotChunkRequest.encode({
        ...SnapshotChunkRequest.decode(new Uint8Array(0)),
        hello,
      }).finish(),
    ],
    VolumeFrame: [
      VolumeFrame,
      VolumeFrame.encode({
        body: {
          $case: 'questions',
          value: { questions: [{ copyId: bytes16, txnId: bytes16, owner: whole.owner }] },
        },
      }).finish(),
    ],
    CoordinatorFrame: [
      CoordinatorFrame,
      CoordinatorFrame.encode({
        body: { $case: 'answers', value: { answers: [{ copyId: bytes16, verdict: 2 }] } },
      }).finish(),
    ],
    DataRequests: [
      DataRequests,
      DataRequests.encode({
        hello,
        requests: [
          { requestId: 1, body: { $case: 'settle', value: settle } },
          { requestId: 2, body: { $case: 'stageWhole', value: whole } },
        ],
      }).finish(),
    ],
    DataReplies: [
      DataReplies,
      DataReplies.encode({
        hello: undefined,
        replies: [{ requestId: 1, body: { $case: 'vote', value: { disk: 1, session: 2 } } }],
      }).finish(),
    ],
  } as const;

  test.each(Object.entries(sound))('%s', (_, [codec, bytes]) => {
    fc.assert(
      fc.property(hostile(fc.constant(bytes)), (arrived) => {
        const reasons: unknown[] = [];
        const messages: unknown[] = [];
        const wire = {
          remote: 'far:1',
          write: () => undefined,
          finish: (reason: KvError | undefined) => reasons.push(reason?.code),
          cut: () => undefined,
        };
        const end = new StreamEnd<unknown, unknown>(new ManualClock(), wire, {
          encode: () => [],
          decode: (received) => codec.decode(received),
        });
        end.open(() => ({
          onMessage: (message) => messages.push(message),
          onClosed: () => undefined,
        }));
        end.received(arrived);
        expect(messages.length === 1 ? [] : ['INVALID_ARGUMENT']).toEqual(reasons);
      }),
      { numRuns: 200 },
    );
  });
});
