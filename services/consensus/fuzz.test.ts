/** Records of the log, of the vote file and of a node's folder: written ones read back, others are refused. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clusterId, logIndex, nodeId, term } from '../common/ids.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { TwoSlotFile } from '../disk/two-slot-file.ts';
import { awaitedOr, hostile, valueOr } from '../testing/arbitrary-damage.ts';
import { decodeLogRecord, encodeLogRecord, type LogRecord } from './log-codec.ts';
import { NodeFolder } from './node-folder.ts';
import { VoteFile } from './vote-file.ts';

const counter = fc.maxSafeNat();
const point = fc.record({ index: counter.map(logIndex), term: counter.map(term) });
const hardState = fc.record({ term: counter.map(term), vote: counter.map(nodeId) });
const logRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('head' as const),
    head: fc.record({ hardState, base: point, last: counter.map(logIndex) }),
  }),
  fc.record({
    kind: fc.constant('entry' as const),
    entry: fc.record({
      index: counter.map(logIndex),
      term: counter.map(term),
      kind: fc.constantFrom('command' as const, 'noop' as const),
      data: fc.uint8Array({ maxLength: 40 }),
    }),
  }),
  fc.record({ kind: fc.constant('hard-state' as const), hardState }),
  fc.record({ kind: fc.constant('truncate' as const), from: counter.map(logIndex) }),
  fc.record({ kind: fc.constantFrom('base' as const, 'restart' as const), point }),
);

test('a log record comes back as it was, and any bytes are one or refused', () => {
  fc.assert(
    fc.property(logRecord, (record) => {
      expect(decodeLogRecord(encodeLogRecord(record))).toEqual(record);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(hostile(logRecord.map(encodeLogRecord)), (bytes) => {
      valueOr(['CORRUPT', 'DISK_FAILED'], () => decodeLogRecord(bytes));
    }),
    { numRuns: 500 },
  );
});

/** The record of a two-slot file, and a disk whose file holds another one, sealed as it should be. */
async function recordOf(disk: MemoryDisk, path: string, slotBytes: number): Promise<Uint8Array> {
  const file = await TwoSlotFile.open(disk, { path, slotBytes });
  await file.close();
  return file.found.kind === 'record' ? file.found.record : new Uint8Array(0);
}

async function diskWith(path: string, slotBytes: number, record: Uint8Array): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeFolder(path.slice(0, path.lastIndexOf('/')));
  const file = await TwoSlotFile.open(disk, { path, slotBytes });
  await file.writeBoth(record);
  await file.close();
  return disk;
}

test('a vote comes back as it was, and a record that is sealed and wrong is refused', async () => {
  const path = '/raft/vote';
  const vote = fc.record({ hardState, witness: counter, recovering: fc.boolean() });
  const disk = new MemoryDisk();
  await disk.makeFolder('/raft');
  await fc.assert(
    fc.asyncProperty(vote, async (record) => {
      const file = await VoteFile.open(disk, path);
      await file.update(record);
      await file.close();
      const again = await VoteFile.open(disk, path);
      await again.close();
      expect(again.record).toEqual(record);
    }),
    { numRuns: 50 },
  );
  const sound = await recordOf(disk, path, 4096);
  await fc.assert(
    fc.asyncProperty(hostile(fc.constant(sound)), async (bytes) => {
      const other = await diskWith(path, 4096, bytes);
      await awaitedOr(['CORRUPT', 'DISK_FAILED'], () => VoteFile.open(other, path));
    }),
    { numRuns: 200 },
  );
});

test('an identity that is sealed and wrong, or another one, is refused', async () => {
  const path = '/node/identity';
  const options = { path: '/node', name: 'c1', clusterId: clusterId('c'.repeat(32)) };
  const disk = new MemoryDisk();
  const folder = await NodeFolder.open(disk, options);
  const members = [1, 2, 3].map((n) => ({ node: nodeId(n), name: `c${n}`, address: `c${n}:1` }));
  await folder.arm({ clusterId: options.clusterId, node: nodeId(1), name: 'c1', members });
  await folder.close();
  const sound = await recordOf(disk, path, 16 * 1024);
  await fc.assert(
    fc.asyncProperty(hostile(fc.constant(sound)), async (bytes) => {
      const other = await diskWith(path, 16 * 1024, bytes);
      const open = () => NodeFolder.open(other, options);
      await awaitedOr(['CORRUPT', 'DISK_FAILED', 'IDENTITY_MISMATCH'], open);
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['the vote file', '/raft/vote', 4096, (disk: MemoryDisk) => VoteFile.open(disk, '/raft/vote')],
  [
    'the identity',
    '/node/identity',
    16 * 1024,
    (disk: MemoryDisk) => NodeFolder.open(disk, { path: '/node', name: 'c1', clusterId: null }),
  ],
])('%s of a newer build is no damage', async (_name, path, slotBytes, open) => {
  const disk = await diskWith(path, slotBytes, Uint8Array.of(2, 0));
  await expect(open(disk)).rejects.toMatchObject({ code: 'DISK_FAILED' });
});

test('a log whose segment begins as a newer build has it is no damage', () => {
  const none = { index: logIndex(0), term: term(0) };
  const head = { hardState: { term: term(1), vote: nodeId(1) }, base: none, last: logIndex(0) };
  const bytes = encodeLogRecord({ kind: 'head', head });
  bytes[1] = 2;
  expect(() => decodeLogRecord(bytes)).toThrow(expect.objectContaining({ code: 'DISK_FAILED' }));
});
