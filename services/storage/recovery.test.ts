/** Damage and crashes: each harm is done to a real image, and the next open must know what it was. */
import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { PowerCut } from '../testing/power-cut.ts';
import {
  outcomeOf,
  readAll,
  StorageRig,
  stageChunks,
  turns,
  type Value,
} from '../testing/storage-rig.ts';
import { HEADER_BYTES, KIND } from './record.ts';
import { SEGMENT_HEADER_BYTES } from './segment/header.ts';
import type { StorageEngine } from './types.ts';

const code = (error: string) => expect.objectContaining({ code: error });
const FIRST = '/data/wal/0000000001.seg';
const FIRST_SEALED = '/data/segments/0000000001.seg';

async function expectFound(engine: StorageEngine, value: Value): Promise<void> {
  expect(await outcomeOf(engine, value)).toBe('found');
}

/** Offsets and kinds of the records of a segment file, by their headers. */
function recordsOf(bytes: Uint8Array): { offset: number; kind: number; bytes: number }[] {
  const view = Buffer.from(bytes);
  const records = [];
  for (let at = SEGMENT_HEADER_BYTES; at + HEADER_BYTES <= view.length; ) {
    const size = HEADER_BYTES + view.readUInt16LE(at + 6) + view.readUInt32LE(at + 8);
    records.push({ offset: at, kind: view[at + 4] ?? 0, bytes: size });
    at += size;
  }
  return records;
}

describe('a crash', () => {
  test('S14: keeps all that was acknowledged, with and without a snapshot', async () => {
    for (const stopFirst of [true, false]) {
      const rig = new StorageRig({ segmentBytes: 8192 });
      let engine = await rig.open();
      const early = [await rig.whole(engine, 3000), await rig.chunked(engine, 9000, 2000)];
      if (stopFirst) {
        await engine.close();
        engine = await rig.open();
        expect(engine.report).toMatchObject({ fromSnapshot: true, clean: true });
      }
      const late = [await rig.whole(engine, 3000), await rig.chunked(engine, 9000, 2000)];
      await engine.finalize(early[0]!.id);
      await engine.drop(early[1]!.id);
      rig.disk.crash();
      engine = await rig.open();
      expect(engine.report).toMatchObject({ fromSnapshot: stopFirst, clean: false, tornBytes: 0 });
      for (const value of [early[0]!, ...late]) await expectFound(engine, value);
      expect(await engine.read(early[1]!.id, 0, 1)).toEqual({ kind: 'absent' });
      expect(engine.usage()).toMatchObject({ copies: 3, liveBytes: 15_000 });
      await engine.close();
    }
  });

  test('S9: after which writing goes on behind the cut tail (no write after a bad record)', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    const kept = await rig.whole(engine, 500);
    rig.disk.crash();
    const bytes = await rig.bytesOf(FIRST);
    await rig.replace(FIRST, Buffer.concat([bytes, Buffer.from('half a record, never synced')]));
    engine = await rig.open();
    expect(engine.report.tornBytes).toBe(27);
    const later = await rig.whole(engine, 500);
    rig.disk.crash();
    engine = await rig.open();
    expect(engine.report).toMatchObject({ tornBytes: 0, corruptRecords: [] });
    await expectFound(engine, kept);
    await expectFound(engine, later);
    expect(await rig.disk.list('/data/broken')).toHaveLength(1);
    await engine.close();
  });

  test('S10: replays puts after the last snapshot into index and filter alike', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    await rig.whole(engine, 10);
    await engine.close();
    engine = await rig.open();
    const late = await Promise.all(Array.from({ length: 200 }, () => rig.whole(engine, 20)));
    rig.disk.crash();
    engine = await rig.open();
    expect(engine.report).toMatchObject({ fromSnapshot: true, copies: 201 });
    for (const value of late) await expectFound(engine, value);
    await engine.close();
  });

  test('S11: does not bring back what was dropped when the snapshot is missing', async () => {
    const rig = new StorageRig({ segmentBytes: 4096 });
    let engine = await rig.open();
    const values: Value[] = [];
    for (let i = 0; i < 20; i += 1) values.push(await rig.whole(engine, 900));
    for (const { id } of values.slice(0, 19)) await engine.drop(id);
    while (await engine.compactOnce()) continue;
    await engine.close();
    await rig.disk.remove('/data/index.snapshot');
    engine = await rig.open();
    expect(engine.report).toMatchObject({ fromSnapshot: false, copies: 1 });
    for (const { id } of values.slice(0, 19)) {
      expect(await engine.read(id, 0, 1)).toEqual({ kind: 'absent' });
    }
    await expectFound(engine, values[19]!);
    await engine.close();
  });
});

describe('a torn tail', () => {
  test('at every byte of the last batch loses that batch and nothing else', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const kept = await rig.whole(engine, 40);
    const start = (await rig.bytesOf(FIRST)).length;
    const last = await Promise.all([rig.whole(engine, 30), rig.whole(engine, 30)]);
    rig.disk.crash();
    const whole = await rig.bytesOf(FIRST);
    const [first, second] = recordsOf(whole).slice(-2);
    for (let length = start; length < whole.length; length += 1) {
      await rig.replace(FIRST, whole.subarray(0, length));
      const again = await rig.open();
      await expectFound(again, kept);
      const firstStays = length >= first!.offset + first!.bytes;
      expect((await again.read(last[0].id, 0, 1)).kind).toBe(firstStays ? 'found' : 'absent');
      expect((await again.read(last[1].id, 0, 1)).kind).toBe('absent');
      const end = firstStays ? second!.offset : start;
      expect(again.report.tornBytes).toBe(length - end);
      expect(again.report.corruptRecords).toEqual([]);
      rig.disk.crash();
    }
  }, 60_000);

  test('whose second half persisted and whose first did not is cut at the first', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const kept = await rig.whole(engine, 100);
    await Promise.all([rig.whole(engine, 600), rig.whole(engine, 600)]);
    rig.disk.crash();
    const bytes = await rig.bytesOf(FIRST);
    const first = recordsOf(bytes).at(-2)!;
    await rig.replace(FIRST, Buffer.from(bytes).fill(0, first.offset, first.offset + 100));
    const again = await rig.open();
    expect(again.report).toMatchObject({ copies: 1, corruptRecords: [] });
    expect(again.report.tornBytes).toBe(bytes.length - first.offset);
    expect(await rig.metrics.print()).toContain('minikv_volume_damage_total{kind="torn_tail"} 1');
    await expectFound(again, kept);
    /* A record of the same size now ends where the cut one ended: nothing old may stand behind it. */
    const later = await rig.whole(again, 600);
    rig.disk.crash();
    const last = await rig.open();
    expect(last.report).toMatchObject({ copies: 2, tornBytes: 0 });
    await expectFound(last, later);
    await last.close();
  });

  test('that a killed process left unsynced is synced before it is served', async () => {
    const rig = new StorageRig({ fsync: { kind: 'never' }, walPath: '/data' });
    const killed = await rig.open();
    const values = [await rig.whole(killed, 500), await rig.chunked(killed, 5000, 1000)];
    const engine = await rig.open();
    expect(engine.usage().unsyncedBytes).toBe(0);
    rig.disk.crash();
    const again = await rig.open();
    for (const value of values) await expectFound(again, value);
    await again.close();
  });

  test('whose sync failed is written again: what is served after the restart stays', async () => {
    const rig = new StorageRig({ walPath: '/data' });
    const engine = await rig.open();
    await rig.whole(engine, 100);
    const value = rig.value(700);
    rig.disk.failNext('sync', '.seg');
    await expect(engine.stageWhole(value.end, value.data)).rejects.toEqual(code('DISK_FAILED'));
    const restarted = await rig.open();
    await expectFound(restarted, value);
    rig.disk.crash();
    const again = await rig.open();
    await expectFound(again, value);
    await again.close();
  });

  test('leaves a prefix of the votes under interval', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const rig = new StorageRig({ fsync: { kind: 'never' }, segmentBytes: 8192 }, seed);
      const engine = await rig.open();
      const values: Value[] = [];
      for (let i = 0; i < 12; i += 1) values.push(await rig.whole(engine, 700));
      rig.disk.crash({ random: rig.random });
      const again = await rig.open();
      const kinds: string[] = [];
      for (const { id } of values) kinds.push((await again.read(id, 0, 700)).kind);
      const found = kinds.filter((kind) => kind === 'found').length;
      expect(kinds).toEqual(kinds.map((_, i) => (i < found ? 'found' : 'absent')));
      await again.close();
    }
  });
});

describe('a flipped bit', () => {
  /** One record of each kind, all of them synced and followed by later ones. */
  async function image(sealed: boolean) {
    const rig = new StorageRig({ segmentBytes: 16 * 1024 });
    const engine = await rig.open();
    const whole = await rig.whole(engine, 300);
    const chunked = await rig.chunked(engine, 900, 300);
    await engine.finalize(whole.id);
    const dropped = await rig.whole(engine, 50);
    await engine.drop(dropped.id);
    const later = await rig.whole(engine, 100);
    const end = (await rig.bytesOf(FIRST)).length;
    if (sealed) while ((await rig.segments()).length < 2) await rig.whole(engine, 900);
    else await rig.whole(engine, 1);
    rig.disk.crash();
    const path = sealed ? FIRST_SEALED : FIRST;
    const records = recordsOf(await rig.bytesOf(path)).filter(({ offset }) => offset < end);
    const all = await Promise.all((await rig.segments()).map((name) => rig.bytesOf(name)));
    const total = all.flatMap(recordsOf).length;
    return { rig, whole, chunked, dropped, later, path, records, total };
  }

  /** What the whole and the chunked copy read as, the bit being in a head or in data. */
  const EXPECTED = {
    chunk: [
      ['found', 'corrupt'],
      ['found', 'corrupt'],
    ],
    end: [['found', 'absent']],
    whole: [
      ['absent', 'found'],
      ['corrupt', 'found'],
    ],
    commit: [['found', 'found']],
    drop: [['found', 'found']],
  };

  test.each(['chunk', 'end', 'whole', 'commit', 'drop'] as const)(
    'S13: in a %s record is found, quarantined and cuts nothing off',
    async (kind) => {
      for (const sealed of [false, true]) {
        for (const inData of kind === 'chunk' || kind === 'whole' ? [false, true] : [false]) {
          const made = await image(sealed);
          const { rig, whole, chunked, later, path } = made;
          const record = made.records.find((one) => one.kind === KIND[kind])!;
          const at = inData ? record.offset + record.bytes - 5 : record.offset + 30;
          rig.disk.flipBit(path, at, 3);
          const engine = await rig.open();
          const { corruptRecords, tornBytes } = engine.report;
          expect(corruptRecords).toMatchObject([{ segment: 1, offset: record.offset }]);
          expect(tornBytes).toBe(0);
          expect(engine.report.replayedRecords).toBe(made.total - (inData ? 0 : 1));
          expect(await rig.metrics.print()).toContain('{kind="corrupt_record"} 1');
          await expectFound(engine, later);
          const kinds = [await readAll(engine, whole.id), await readAll(engine, chunked.id)];
          expect(kinds.map((read) => read.kind)).toEqual(EXPECTED[kind][inData ? 1 : 0]);
          if (kind === 'chunk') {
            expect(await engine.info(chunked.id)).toMatchObject({ state: 'staged', sound: false });
          }
          if (kind === 'commit') {
            expect(await engine.info(whole.id)).toMatchObject({ state: 'staged' });
          }
          await engine.close();
          const again = await rig.open();
          if (kind === 'chunk') {
            expect(await again.info(chunked.id)).toMatchObject({ sound: false });
          }
          await again.close();
        }
      }
    },
  );

  test('in the head of any chunk makes its copy corrupt, and no shorter or empty one', async () => {
    for (const no of [0, 1, 2]) {
      const { rig, chunked, path, records } = await image(false);
      const chunk = records.filter(({ kind }) => kind === KIND.chunk)[no]!;
      rig.disk.flipBit(path, chunk.offset + 30);
      const engine = await rig.open();
      for (const offset of [0, 1, 600, 900]) {
        const read = await engine.read(chunked.id, offset, 300);
        const isBehind = offset < 300 * no || offset >= 300 * (no + 1);
        // Of a chunk that is there the bytes are right; the size tells that the whole is not there.
        if (read.kind === 'found') expect([isBehind, read.sizeBytes]).toEqual([true, 900]);
        else expect(read.kind).toBe('corrupt');
      }
      expect(await readAll(engine, chunked.id)).toMatchObject({ kind: 'corrupt' });
      await engine.close();
    }
  });

  test('under a loaded snapshot is met by the read, and by scrub', async () => {
    for (const by of ['read', 'scrub']) {
      const rig = new StorageRig({ segmentBytes: 4096 });
      let engine = await rig.open();
      const values: Value[] = [];
      for (let i = 0; i < 8; i += 1) values.push(await rig.whole(engine, 900));
      await engine.close();
      rig.disk.flipBit(FIRST_SEALED, SEGMENT_HEADER_BYTES + 400);
      engine = await rig.open();
      expect(engine.report.fromSnapshot).toBe(true);
      if (by === 'read') {
        expect(await engine.read(values[0]!.id, 0, 10)).toMatchObject({ kind: 'corrupt' });
      } else {
        const running = engine.scrub(1e9, new AbortController().signal);
        for (let i = 0; i < 20; i += 1) {
          await turns(5);
          await rig.clock.advance(1_000);
        }
        expect((await running).bad).toBe(1);
      }
      expect(await engine.info(values[0]!.id)).toMatchObject({ sound: false });
      expect(engine.usage().corruptRecords).toBe(1);
      await expectFound(engine, values[1]!);
      await engine.drop(values[0]!.id);
      await engine.close();
    }
  });

  test('under a loaded snapshot is met by scrub in the active segment too, and in a chunk head', async () => {
    for (const at of ['data', 'head'] as const) {
      const rig = new StorageRig();
      let engine = await rig.open();
      const chunked = await rig.chunked(engine, 3000, 1000);
      const later = await rig.whole(engine, 100);
      await engine.close();
      const chunk = recordsOf(await rig.bytesOf(FIRST))[1]!;
      rig.disk.flipBit(FIRST, chunk.offset + (at === 'head' ? 30 : HEADER_BYTES + 200));
      engine = await rig.open();
      expect(engine.report).toMatchObject({ fromSnapshot: true, clean: true });
      const running = engine.scrub(1e9, new AbortController().signal);
      for (let i = 0; i < 20; i += 1) {
        await turns(5);
        await rig.clock.advance(1_000);
      }
      expect((await running).bad).toBe(1);
      expect(await engine.info(chunked.id)).toMatchObject({ sound: false });
      expect(await engine.info(later.id)).toMatchObject({ sound: true });
      await engine.close();
    }
  });

  test('in one copy of a segment head harms nothing; in both the file is kept aside', async () => {
    const rig = new StorageRig({ segmentBytes: 4096 });
    let engine = await rig.open();
    const values: Value[] = [];
    for (let i = 0; i < 8; i += 1) values.push(await rig.whole(engine, 900));
    rig.disk.crash();
    rig.disk.flipBit(FIRST_SEALED, 9);
    engine = await rig.open();
    for (const value of values) await expectFound(engine, value);
    rig.disk.crash();
    rig.disk.flipBit(FIRST_SEALED, 137);
    engine = await rig.open();
    expect(engine.report.corruptRecords).toMatchObject([{ segment: 1, offset: 0 }]);
    expect(await engine.read(values[0]!.id, 0, 1)).toEqual({ kind: 'absent' });
    await expectFound(engine, values[7]!);
    expect(await rig.disk.exists(FIRST_SEALED)).toBe(true);
    await engine.close();
  });

  test('S14: anywhere in the snapshot throws it away', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    const value = await rig.whole(engine, 100);
    await engine.close();
    const snapshot = await rig.bytesOf('/data/index.snapshot');
    for (let i = 0; i < 40; i += 1) {
      const damaged = Buffer.from(snapshot);
      const at = i < 20 ? i * 3 : snapshot.length - 1 - rig.random.below(200);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << rig.random.below(8));
      await rig.replace('/data/index.snapshot', i === 30 ? damaged.subarray(0, 100) : damaged);
      engine = await rig.open();
      expect(engine.report).toMatchObject({ fromSnapshot: false, copies: 1 });
      await expectFound(engine, value);
      rig.disk.crash();
    }
  });
});

describe('a failed write or sync', () => {
  test.each(['write', 'sync'] as const)(
    '(%s) is final: nothing is acknowledged any more',
    async (call) => {
      const rig = new StorageRig();
      const engine = await rig.open();
      const kept = await rig.whole(engine, 100);
      rig.disk.failNext(call, '.seg');
      const lost = [rig.whole(engine, 100), rig.whole(engine, 100)];
      for (const one of lost) await expect(one).rejects.toEqual(code('DISK_FAILED'));
      expect(rig.failures).toHaveLength(1);
      await expect(rig.whole(engine, 1)).rejects.toEqual(code('DISK_FAILED'));
      await expect(engine.read(kept.id, 0, 1)).rejects.toEqual(code('DISK_FAILED'));
      await expect(engine.drop(kept.id)).rejects.toEqual(code('DISK_FAILED'));
      await engine.close();
      expect(rig.failures).toHaveLength(1);
      rig.disk.crash();
      const again = await rig.open();
      await expectFound(again, kept);
      expect(again.report.copies).toBe(1);
      await again.close();
    },
  );

  test('a disk that fills up in spite of the reserve is such a failure', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const kept = await rig.whole(engine, 100);
    rig.disk.fill(50);
    await expect(rig.whole(engine, 1000)).rejects.toEqual(code('DISK_FAILED'));
    rig.disk.crash();
    rig.disk.fill(1e9);
    const again = await rig.open();
    await expectFound(again, kept);
    await again.close();
  });
});

test('power cut at every step of sealing keeps every vote and every later write', async () => {
  const story = async (cutAt: number, seed: number) => {
    const snapshotRecordsMin = seed % 2 === 0 ? 1 : 65_536;
    const rig = new StorageRig({ segmentBytes: 4096, snapshotRecordsMin }, seed);
    const cut = new PowerCut(rig.disk, cutAt);
    rig.wrap = () => cut.disk;
    const voted: Value[] = [];
    try {
      const engine = await rig.open();
      for (let i = 0; i < 6; i += 1) voted.push(await rig.whole(engine, 1500));
      const big = rig.value(5000);
      await stageChunks(engine, big, 2000);
      await engine.stageEnd(big.end);
      voted.push(big);
      await engine.close();
    } catch (error) {
      expect(error).toEqual(code('DISK_FAILED'));
    }
    rig.disk.crash({ random: rig.random });
    rig.wrap = (disk) => disk;
    let engine = await rig.open();
    expect(engine.report.corruptRecords).toEqual([]);
    for (const value of voted) await expectFound(engine, value);
    const later = await rig.whole(engine, 1500);
    rig.disk.crash({ random: rig.random });
    engine = await rig.open();
    for (const value of [...voted, later]) await expectFound(engine, value);
    await engine.close();
    return cut.changes;
  };
  const plain = await story(Number.POSITIVE_INFINITY, 1);
  expect(plain).toBeGreaterThan(40);
  for (let cutAt = 1; cutAt <= plain; cutAt += 1) await story(cutAt, 2 * cutAt + 1);
  /* The same with snapshots on the way, as often as the records allow. */
  const steps = await story(Number.POSITIVE_INFINITY, 2);
  expect(steps).toBeGreaterThan(plain + 10);
  for (let cutAt = 1; cutAt <= steps; cutAt += 1) await story(cutAt, 2 * cutAt);
}, 60_000);

test('a running engine bounds what the next open replays, within one segment too', async () => {
  const rig = new StorageRig({ segmentBytes: 2 ** 24, snapshotRecordsMin: 50 });
  let snapshots = 0;
  const count = async (change: string, _path: string, to: string): Promise<void> => {
    if (change === 'rename' && to === '/data/index.snapshot') snapshots += 1;
  };
  rig.wrap = (disk) => new PowerCut(disk, Number.POSITIVE_INFINITY, count).disk;
  let engine = await rig.open();
  const values: Value[] = [];
  for (let i = 0; i < 400; i += 1) values.push(await rig.whole(engine, 10));
  expect(await rig.segments()).toEqual([FIRST]);
  expect(snapshots).toBeGreaterThan(3);
  expect(snapshots).toBeLessThan(9);
  rig.disk.crash();
  engine = await rig.open();
  expect(engine.report).toMatchObject({ fromSnapshot: true, copies: 400, clean: false });
  /* A quarter of the copies, and what came while the snapshot was written. */
  expect(engine.report.replayedRecords).toBeLessThan(130);
  for (const value of values) await expectFound(engine, value);
  await engine.close();
});

test('a snapshot on the way knows nothing that a crash can take back', async () => {
  const rig = new StorageRig({ fsync: { kind: 'never' }, snapshotRecordsMin: 1 });
  let engine = await rig.open();
  const unsynced = await rig.whole(engine, 100);
  await turns(20);
  expect(await rig.disk.exists('/data/index.snapshot')).toBe(false);
  /* A drop is synced in every mode, and with it all that was written before. */
  await engine.drop((await rig.whole(engine, 100)).id);
  await turns(20);
  expect(await rig.disk.exists('/data/index.snapshot')).toBe(true);
  const late = await rig.whole(engine, 100);
  rig.disk.crash();
  engine = await rig.open();
  expect(engine.report).toMatchObject({ fromSnapshot: true, copies: 1, replayedRecords: 0 });
  await expectFound(engine, unsynced);
  expect(await engine.read(late.id, 0, 1)).toEqual({ kind: 'absent' });
  await engine.close();
});

test('a snapshot waits while a write that went ahead of the sync is not synced itself', async () => {
  const rig = new StorageRig({ segmentBytes: 2 ** 22, snapshotRecordsMin: 1 });
  const engine = await rig.open();
  await rig.whole(engine, 10);
  await turns(30);
  await rig.disk.remove('/data/index.snapshot');
  const snapshotBegun = async (): Promise<boolean> => {
    await turns(30);
    const names = await rig.disk.list('/data');
    return names.some((name) => name.startsWith('index.snapshot'));
  };
  const releaseFirst = rig.disk.holdSyncs();
  // A chunk is written and not synced, so that what comes after it is synced apart from its write.
  await stageChunks(engine, rig.value(10), 10);
  const small = rig.whole(engine, 10);
  await turns(10);
  const large = rig.whole(engine, 600 * 1024);
  await turns(10);
  releaseFirst();
  const releaseSecond = rig.disk.holdSyncs();
  await small;
  expect(await snapshotBegun()).toBe(false);
  releaseSecond();
  await large;
  expect(await snapshotBegun()).toBe(true);
  await engine.close();
});

test('a wal folder on another device is copied from, not renamed', async () => {
  const rig = new StorageRig({ segmentBytes: 4096, walPath: '/fast/wal' });
  const refuse = (change: string, from: string, to: string): Promise<void> => {
    if (change !== 'rename' || from.startsWith('/fast') === to.startsWith('/fast')) {
      return Promise.resolve();
    }
    const cause = Object.assign(new Error('cross-device link'), { code: 'EXDEV' });
    return Promise.reject(new KvError('DISK_FAILED', 'rename failed', { cause }));
  };
  rig.wrap = (disk) => new PowerCut(disk, Number.POSITIVE_INFINITY, refuse).disk;
  let engine = await rig.open();
  const values: Value[] = [];
  for (let i = 0; i < 6; i += 1) values.push(await rig.whole(engine, 1500));
  rig.disk.crash();
  expect(await rig.disk.list('/fast/wal')).toHaveLength(1);
  engine = await rig.open();
  for (const value of values) await expectFound(engine, value);
  await engine.close();
});

describe('what a clean stop had vouched for', () => {
  const folder = { endedCleanly: true, damagedSlots: 0 };
  const lost = '{kind="lost_bytes"} 1';

  /** Closed cleanly: sealed segments, an active one, a snapshot. */
  async function closed(): Promise<{ rig: StorageRig; values: Value[] }> {
    const rig = new StorageRig({ segmentBytes: 4096 });
    const engine = await rig.open();
    const values: Value[] = [];
    for (let i = 0; i < 6; i += 1) values.push(await rig.whole(engine, 900));
    await engine.close();
    return { rig, values };
  }

  test('is there: nothing is said', async () => {
    const { rig } = await closed();
    const engine = await rig.open({ folder });
    expect(engine.report.clean).toBe(true);
    expect(await rig.metrics.print()).not.toMatch(/damage_total.*[1-9]$/m);
    await engine.close();
  });

  test.each(['sealed', 'active'] as const)(
    'and is gone with its %s segment is loss',
    async (which) => {
      const { rig, values } = await closed();
      const paths = await rig.segments();
      await rig.disk.remove(which === 'sealed' ? FIRST_SEALED : (paths.at(-1) ?? ''));
      const engine = await rig.open({ folder });
      expect(engine.report.clean).toBe(false);
      expect(await rig.metrics.print()).toContain(lost);
      const missing = which === 'sealed' ? values[0]! : values[5]!;
      expect(await engine.read(missing.id, 0, 1)).toEqual({ kind: 'absent' });
      await engine.close();
    },
  );

  test('and is cut off at a record is loss, and no torn tail', async () => {
    const { rig, values } = await closed();
    const path = (await rig.segments()).at(-1)!;
    const bytes = await rig.bytesOf(path);
    await rig.replace(path, bytes.subarray(0, recordsOf(bytes).at(-1)!.offset));
    const engine = await rig.open({ folder });
    expect(engine.report).toMatchObject({ clean: false, tornBytes: 0 });
    expect(await rig.metrics.print()).toContain(lost);
    expect(await engine.read(values[5]!.id, 0, 1)).toEqual({ kind: 'absent' });
    await expectFound(engine, values[4]!);
    await engine.close();
  });

  test('and has no snapshot any more is not clean, with segments or without', async () => {
    for (const withSegments of [true, false]) {
      const { rig } = await closed();
      await rig.disk.remove('/data/index.snapshot');
      if (!withSegments) for (const path of await rig.segments()) await rig.disk.remove(path);
      const engine = await rig.open({ folder });
      expect(engine.report.clean).toBe(false);
      expect(await rig.metrics.print()).toContain('{kind="snapshot"} 1');
      await engine.close();
    }
  });

  test('says nothing of segments that a compaction removed in a life that crashed', async () => {
    const { rig, values } = await closed();
    const engine = await rig.open({ folder });
    for (const { id } of values.slice(0, 5)) await engine.drop(id);
    while (await engine.compactOnce()) continue;
    rig.disk.crash();
    const again = await rig.open({ folder: { ...folder, endedCleanly: false } });
    expect(await rig.metrics.print()).toContain('{kind="lost_bytes"} 0');
    await expectFound(again, values[5]!);
    await again.close();
  });

  test('a damaged slot of the identity is counted', async () => {
    const { rig } = await closed();
    const engine = await rig.open({ folder: { ...folder, damagedSlots: 1 } });
    expect(await rig.metrics.print()).toContain('{kind="identity_slot"} 1');
    expect(engine.report.clean).toBe(true);
    await engine.close();
  });
});
