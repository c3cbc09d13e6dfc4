/** Files of a volume that anything may have happened to: what is read is what was written, or is not there. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bloomAdd, bloomMayHave, bloomWords } from '../common/bloom.ts';
import { seededRandom } from '../common/random.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { silentLogger } from '../telemetry/logger.ts';
import {
  anyDamage,
  awaitedOr,
  damaged,
  harmed,
  hostile,
  valueOr,
} from '../testing/arbitrary-damage.ts';
import { outcomeOf, StorageRig } from '../testing/storage-rig.ts';
import { VICTIMS_MAX } from './limits.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from './segment/header.ts';
import { segmentName, segmentOf } from './segment/names.ts';
import { decodeFront } from './snapshot/format.ts';
import { VolumeFolder } from './volume-folder.ts';

const word = fc.nat(2 ** 32 - 1);

test('the head of a segment comes back, and a harmed one is its own again or none', () => {
  const header = fc.record({
    segment: word,
    salt: word,
    replaces: fc.array(word, { maxLength: VICTIMS_MAX }),
  });
  fc.assert(
    fc.property(header, (own) => {
      expect(decodeSegmentHeader(encodeSegmentHeader(own), own.segment)).toEqual(own);
    }),
  );
  fc.assert(
    fc.property(header, fc.nat(), fc.nat(7), (own, at, bit) => {
      const bytes = Buffer.from(encodeSegmentHeader(own));
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
      expect(decodeSegmentHeader(bytes, own.segment)).toEqual(own);
    }),
  );
  fc.assert(
    fc.property(hostile(header.map(encodeSegmentHeader)), word, (bytes, segment) => {
      const read = decodeSegmentHeader(bytes, segment);
      if (read !== null) expect(read.segment).toBe(segment);
    }),
    { numRuns: 300 },
  );
});

test('names of segments are read as they are written, and no other name is one', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), fc.string({ unit: 'binary' }), (segment, other) => {
      expect(segmentOf(segmentName(segment))).toBe(segment);
      const read = segmentOf(other);
      if (read !== null) expect(segmentName(read)).toBe(other);
    }),
  );
});

test('a bloom filter of any size never denies what was added to it', () => {
  const key = fc.record({ hash: fc.integer(), step: fc.integer().map((n) => n | 1) });
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 200 }), fc.nat(300), (keys, size) => {
      const words = new Int32Array(Math.max(1, bloomWords(size)));
      for (const { hash, step } of keys) bloomAdd(words, hash, step);
      for (const { hash, step } of keys) expect(bloomMayHave(words, hash, step)).toBe(true);
    }),
  );
});

/** A volume with some values, and its files. */
async function written() {
  const rig = new StorageRig({ segmentBytes: 4096, snapshotRecordsMin: 1 }, 3);
  const engine = await rig.open();
  const values = [];
  for (let i = 0; i < 8; i += 1) values.push(await rig.whole(engine, 700));
  values.push(await rig.chunked(engine, 3000, 900));
  for (const { id } of values) await engine.finalize(id);
  await engine.close();
  const paths = [...(await rig.segments()), '/data/index.snapshot'];
  const files = new Map<string, Uint8Array>();
  for (const path of paths) files.set(path, await rig.bytesOf(path));
  return { values, files };
}

test('whatever happens to one file of a stopped volume, no read gives bytes that were not written', async () => {
  const { values, files } = await written();
  expect(files.size).toBeGreaterThan(3);
  const path = fc.constantFrom(...files.keys());
  await fc.assert(
    fc.asyncProperty(path, anyDamage, async (target, damage) => {
      const rig = new StorageRig({ segmentBytes: 4096 }, 4);
      for (const folder of ['/data', '/data/segments', '/data/wal'])
        await rig.disk.makeFolder(folder);
      for (const [name, content] of files) {
        const file = await rig.disk.open(name, 'create');
        await file.write(0, [name === target ? harmed(content, damage) : content]);
        await file.sync();
        await file.close();
      }
      const engine = await rig.open();
      let lost = 0;
      for (const value of values) {
        const outcome = await outcomeOf(engine, value);
        expect(['found', 'absent', 'torn', 'corrupt']).toContain(outcome);
        lost += outcome === 'found' ? 0 : 1;
      }
      // The index is derived: whatever happens to it, all is found.
      if (target === '/data/index.snapshot') expect(lost).toBe(0);
      const later = await rig.whole(engine, 500);
      expect(await outcomeOf(engine, later)).toBe('found');
      await engine.close();
    }),
    { numRuns: 150 },
  );
  const snapshot = files.get('/data/index.snapshot') ?? new Uint8Array(0);
  fc.assert(
    fc.property(hostile(fc.constant(snapshot)), (bytes) => {
      const front = valueOr(['CORRUPT'], () => decodeFront(bytes));
      if (front != null) expect(front.bodyStart).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 100 },
  );
});

test('a volume identity of any bytes opens the folder it belongs to, or is refused', async () => {
  const options = { dataPath: '/data', name: 'v1', clusterId: null };
  const parts = (disk: MemoryDisk) => ({ disk, random: seededRandom(1), logger: silentLogger });
  const disk = new MemoryDisk();
  await (await VolumeFolder.open(parts(disk), options)).close();
  const file = await disk.open('/data/volume.identity', 'read');
  const sound = await file.read(0, await file.size());
  await file.close();
  await fc.assert(
    fc.asyncProperty(damaged(fc.constant(sound)), async (bytes) => {
      const other = new MemoryDisk();
      await other.makeFolder('/data');
      const held = await other.open('/data/volume.identity', 'create');
      await held.write(0, [bytes]);
      await held.close();
      const open = () => VolumeFolder.open(parts(other), options);
      const folder = await awaitedOr(['CORRUPT', 'DISK_FAILED', 'IDENTITY_MISMATCH'], open);
      if (folder !== undefined) expect(folder.identity.boots).toBe(2);
    }),
    { numRuns: 150 },
  );
});
