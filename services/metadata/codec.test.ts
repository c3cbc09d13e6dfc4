/**
 * Commands and rows read back as they were written, today and from the golden files of each version:
 * a line of those never changes, a new version of a row gets a line in a file of its own. Anything else is refused, never misread.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByteWriter, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { bytesOfHex, clusterId, diskId, hexOf, logIndex, nodeId, session } from '../common/ids.ts';
import { anyCommand } from '../testing/arbitrary-commands.ts';
import { blob, copy, hash, txn } from '../testing/metadata-world.ts';
import { decodeCommand, encodeCommand } from './command-codec.ts';
import type { Command } from './commands.ts';
import * as codec from './record-codec.ts';
import type { TxnOutcome, ValueRecord } from './records.ts';

/** Lines of `name hex`. */
function golden(name: string): ReadonlyMap<string, Uint8Array> {
  const text = readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [label = '', hex = ''] = line.split(' ');
      return [label, bytesOfHex(hex)];
    }),
  );
}

const headers = [['content-type', 'text/plain']] as const;
const value: ValueRecord = {
  blobId: blob(7),
  size: 2 ** 40 + 5,
  digest: hash(9),
  version: { index: logIndex(2 ** 33), ordinal: 3 },
  copies: [
    { disk: diskId(1), copyId: copy(7) },
    { disk: diskId(300), copyId: copy(8) },
  ],
  headers,
  data: null,
};

const inline: ValueRecord = { ...value, size: 5, copies: [], data: utf8('value') };

const COMMANDS: Readonly<Record<string, Command>> = {
  commit: {
    kind: 'commit',
    txnId: txn(65_537, 1),
    need: 2,
    want: 3,
    idempotency: { principal: 'p', key: 'once', requestHash: hash(1) },
    ops: [
      {
        key: utf8('a'),
        condition: { kind: 'none-match', blobIds: [blob(1), blob(2)] },
        body: {
          kind: 'put',
          blobId: blob(3),
          size: 4,
          digest: hash(5),
          copies: [{ disk: diskId(6), session: session(7) }],
          headers,
        },
      },
      { key: utf8('b'), condition: { kind: 'exists' }, body: { kind: 'delete' } },
      { key: utf8('c'), condition: { kind: 'absent' }, body: { kind: 'check' } },
      { key: utf8('d'), condition: { kind: 'match', blobIds: [] }, body: { kind: 'check' } },
      { key: utf8('e'), condition: null, body: { kind: 'delete' } },
    ],
  },
  'commit-inline': {
    kind: 'commit',
    txnId: txn(65_537, 2),
    need: 2,
    want: 3,
    idempotency: null,
    ops: [
      {
        key: utf8('a'),
        condition: null,
        body: { kind: 'inline', blobId: blob(3), digest: hash(5), headers, data: utf8('value') },
      },
    ],
  },
  abort: { kind: 'abort', txnId: txn(1, 2) },
  move: {
    kind: 'move',
    txnId: txn(1, 3),
    key: utf8('k'),
    blobId: blob(1),
    from: { disk: diskId(1), copyId: copy(1) },
    to: { disk: diskId(2), session: session(9), copyId: copy(2) },
    want: 3,
  },
  'move-out': {
    kind: 'move',
    txnId: txn(1, 3),
    key: utf8('k'),
    blobId: blob(1),
    from: { disk: diskId(1), copyId: copy(1) },
    to: null,
    want: 3,
  },
  suspect: {
    kind: 'suspect',
    key: utf8('k'),
    blobId: blob(1),
    disk: diskId(2),
    copyId: copy(3),
  },
  register: {
    kind: 'register',
    disk: diskId(0),
    volume: 'volume-0',
    boots: 1,
    nonce: 'n',
    clean: true,
    zone: null,
    capacityBytes: 2 ** 41,
  },
  'set-disk': { kind: 'set-disk', disk: diskId(4), state: 'draining', zone: 'east' },
  advance: {
    kind: 'advance',
    fence: logIndex(4),
    reclaim: logIndex(3),
    forget: logIndex(2),
    timeMs: 1_700_000_000_000,
  },
  reclaimed: {
    kind: 'reclaimed',
    rows: [{ disk: diskId(1), queuedAt: logIndex(2), copyId: copy(3) }],
  },
  pin: { kind: 'pin', id: 'backup' },
  unpin: { kind: 'unpin', id: 'backup' },
  'init-cluster': {
    kind: 'init-cluster',
    clusterId: clusterId('c'.repeat(32)),
    members: [{ node: nodeId(1), name: 'one', address: 'one:5001' }],
    redirectKey: 'ab',
  },
  'set-operator-epoch': { kind: 'set-operator-epoch', epoch: 2 ** 50 + 1 },
  reconciled: { kind: 'reconciled', disk: diskId(4), session: session(2 ** 33) },
};

const index = logIndex(17);
const OUTCOMES: Readonly<Record<string, TxnOutcome>> = {
  applied: {
    kind: 'applied',
    index,
    results: [
      { effect: 'created', version: { index, ordinal: 0 }, copyCount: 3, blobId: blob(1) },
      { effect: 'absent', version: { index, ordinal: 1 }, copyCount: 0, blobId: '' },
    ],
  },
  'precondition-failed': { kind: 'precondition-failed', index, failedOp: 2 },
  'no-replicas': { kind: 'no-replicas', index, confirmed: 1 },
  'idempotency-mismatch': { kind: 'idempotency-mismatch', index },
  refused: { kind: 'refused', index, reason: 'stale-session' },
  aborted: { kind: 'aborted', index },
};

const disk = {
  disk: diskId(4),
  volume: 'volume-3',
  boots: 5,
  nonce: 'n',
  session: session(6),
  state: 'draining' as const,
  zone: 'east',
  capacityBytes: 2 ** 41,
  refs: 12,
  reconciled: false,
};
const marks = {
  fence: logIndex(4),
  reclaim: logIndex(3),
  forget: logIndex(2),
  timeMs: 1_700_000_000_000,
};
const cluster = {
  clusterId: clusterId('c'.repeat(32)),
  members: [{ node: nodeId(1), name: 'one', address: 'one:5001' }],
  redirectKey: 'ab',
  operatorEpoch: 2 ** 50 + 1,
  nextDisk: 9,
};
const counters = { keys: 1, bytes: 2, underReplicated: 3, lost: 4, garbage: 5 };
const thin = { blobId: blob(1), suspects: [{ disk: diskId(2), copyId: copy(3) }] };
const answer = { requestHash: hash(1), txnId: txn(1, 2), outcome: OUTCOMES['aborted']! };

/** What is written and how it is read back, by name. */
const out = new ByteWriter(16);
const ROWS: Readonly<
  Record<string, [bytes: Uint8Array, decode: (b: Uint8Array) => unknown, unknown]>
> = {
  record: [
    codec.encodeRecord(out, { value, thin: true }),
    codec.decodeRecord,
    { value, thin: true },
  ],
  'record-inline': [
    codec.encodeRecord(out, { value: inline, thin: false }),
    codec.decodeRecord,
    { value: inline, thin: false },
  ],
  thin: [
    codec.encodeThin(out, thin),
    (bytes) => codec.decodeThin(utf8('k'), bytes),
    { key: utf8('k'), ...thin },
  ],
  index: [codec.encodeIndex(out, index), codec.decodeIndex, index],
  answer: [codec.encodeAnswer(out, answer), codec.decodeAnswer, answer],
  disk: [codec.encodeDisk(out, disk), codec.decodeDisk, disk],
  marks: [codec.encodeMarks(out, marks), codec.decodeMarks, marks],
  cluster: [codec.encodeCluster(out, cluster), codec.decodeCluster, cluster],
  counters: [codec.encodeCounters(out, counters), codec.decodeCounters, counters],
  ...Object.fromEntries(
    Object.entries(OUTCOMES).map(([name, outcome]) => {
      const stored = { loggedAt: logIndex(20), outcome };
      return [`outcome-${name}`, [codec.encodeOutcome(out, stored), codec.decodeOutcome, stored]];
    }),
  ),
};

describe('commands', () => {
  test('read back as they were written', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
      { numRuns: 300 },
    );
  });

  const files = golden('commands-v1.txt');
  test.each(Object.entries(COMMANDS))('%s has the bytes of version 1', (name, command) => {
    expect(hexOf(encodeCommand(command))).toBe(hexOf(files.get(name) ?? new Uint8Array(0)));
    expect(decodeCommand(files.get(name) ?? new Uint8Array(0))).toEqual(command);
  });

  test('an unknown version, an unknown kind and left-over bytes are refused', () => {
    const pin = encodeCommand({ kind: 'pin', id: 'x' });
    expect(() => decodeCommand(Uint8Array.of(2, ...pin.subarray(1)))).toThrow(/version 2/);
    expect(() => decodeCommand(Uint8Array.of(1, 13, ...pin.subarray(2)))).toThrow(/code 13/);
    expect(() => decodeCommand(Uint8Array.of(...pin, 0))).toThrow(/left over/);
  });

  test('any bytes are a command or CORRUPT', () => {
    const headed = fc
      .tuple(fc.nat({ max: 13 }), fc.uint8Array({ maxLength: 200 }))
      .map(([kind, rest]) => Uint8Array.of(1, kind, ...rest));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), headed), (bytes) => {
        try {
          decodeCommand(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(KvError);
          expect(error).toMatchObject({ code: 'CORRUPT' });
        }
      }),
      { numRuns: 500 },
    );
  });

  test('every prefix of a command is refused', () => {
    for (const command of Object.values(COMMANDS)) {
      const bytes = encodeCommand(command);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(() => decodeCommand(bytes.subarray(0, length))).toThrow(KvError);
      }
    }
  });
});

describe('rows', () => {
  const files = new Map([...golden('rows-v1.txt'), ...golden('rows-v2.txt')]);
  test.each(Object.entries(ROWS))(
    '%s has the bytes of its newest version',
    (name, [bytes, decode, read]) => {
      expect(hexOf(bytes)).toBe(hexOf(files.get(name) ?? new Uint8Array(0)));
      expect(decode(files.get(name) ?? new Uint8Array(0))).toEqual(read);
    },
  );

  test('a disk of version 1 owes no reconcile', () => {
    const old = golden('rows-v1.txt').get('disk') ?? new Uint8Array(0);
    expect(codec.decodeDisk(old)).toEqual({ ...disk, reconciled: true });
  });

  test.each(Object.entries(ROWS))('%s of another version is refused', (_name, [bytes, decode]) => {
    const other = bytes.slice();
    other[0] = 3;
    expect(() => decode(other)).toThrow(/format 3/);
    expect(() => decode(bytes.subarray(0, -1))).toThrow(KvError);
    expect(() => decode(Uint8Array.of(...bytes, 0))).toThrow(/left over/);
  });
});
