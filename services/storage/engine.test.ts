/** What the engine promises while nothing goes wrong: states, order, checks, room, group sync. */
import { describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { copyId } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import { readAll, StorageRig, stageChunks, turns } from '../testing/storage-rig.ts';

const code = (error: string) => expect.objectContaining({ code: error });

describe('a copy', () => {
  test('is staged, read, committed, listed and dropped', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = await rig.whole(engine, 1000);
    expect(await engine.info(value.id)).toMatchObject({ state: 'staged', owner: value.end.owner });
    expect(engine.sizeOf(value.id)).toBe(1000);
    expect(await engine.finalize(value.id)).toBe('ok');
    expect(await engine.finalize(value.id)).toBe('ok');
    expect(await engine.info(value.id)).toMatchObject({
      state: 'committed',
      txnId: value.end.txnId,
    });
    expect(await readAll(engine, value.id)).toEqual({
      kind: 'found',
      data: Buffer.from(value.data),
      sizeBytes: 1000,
      crc: crc32(value.data),
    });
    expect(engine.usage()).toMatchObject({ copies: 1, liveBytes: 1000 });
    expect(await engine.drop(value.id)).toBe('ok');
    expect(await engine.drop(value.id)).toBe('ok');
    expect(await engine.finalize(value.id)).toBe('not-found');
    expect(await engine.read(value.id, 0, 10)).toEqual({ kind: 'absent' });
    expect(await engine.info(value.id)).toMatchObject({ state: 'dropped' });
    expect(engine.sizeOf(value.id)).toBeNull();
    expect(engine.usage()).toMatchObject({ copies: 0, liveBytes: 0 });
    await engine.close();
  });

  test('may be empty', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = await rig.whole(engine, 0);
    expect(await engine.read(value.id, 0, 10)).toMatchObject({ kind: 'found', sizeBytes: 0 });
    await engine.close();
  });

  test('in chunks spans segments and is read at any offset', async () => {
    const rig = new StorageRig({ segmentBytes: 16 * 1024 });
    const engine = await rig.open();
    const value = await rig.chunked(engine, 70_000, 5_000);
    expect(engine.usage().segments).toBeGreaterThan(3);
    for (const [offset, length] of [
      [0, 70_000],
      [4_999, 2],
      [12_345, 30_000],
      [69_999, 100],
      [70_000, 1],
    ] as const) {
      const result = await engine.read(value.id, offset, length);
      expect(result).toMatchObject({ kind: 'found', sizeBytes: 70_000 });
      if (result.kind !== 'found') throw new Error('not found');
      expect(result.data).toEqual(Buffer.from(value.data.subarray(offset, offset + length)));
      expect(result.crc).toBeNull();
    }
    const chunk = await engine.read(value.id, 5_000, 5_000);
    expect(chunk).toMatchObject({ crc: crc32(value.data.subarray(5_000, 10_000)) });
    await engine.close();
  });

  test('with chunks of different sizes is read at any offset', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = rig.value(1000);
    await stageChunks(engine, { ...value, data: value.data.subarray(0, 10) }, 10);
    const sizes = [1, 500, 89, 400];
    let at = 10;
    for (const [i, size] of sizes.entries()) {
      const data = value.data.subarray(at, at + size);

      const chunk = { copyId: value.id, chunkNo: i + 1, offset: at, data, crc: crc32(data) };
      await engine.stageChunk({ ...chunk, declaredBytes: 0 });
      at += size;
    }
    await engine.stageEnd(value.end);
    for (let offset = 0; offset < 1000; offset += 37) {
      const result = await engine.read(value.id, offset, 50);
      const data = result.kind === 'found' ? result.data : null;
      expect(data).toEqual(Buffer.from(value.data.subarray(offset, offset + 50)));
    }
    await engine.close();
  });

  test('that was never here is absent, and dropping it is fine', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const id = copyId('f'.repeat(32));
    expect(await engine.read(id, 0, 1)).toEqual({ kind: 'absent' });
    expect(await engine.info(id)).toBeUndefined();
    expect(await engine.drop(id)).toBe('ok');
    expect(await engine.finalize(id)).toBe('not-found');
    await engine.close();
  });
});

describe('staging refuses', () => {
  test('gaps, overlaps, wrong checksums and wrong digests', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = rig.value(300);

    const chunk = (chunkNo: number, offset: number, crc?: number) => {
      const data = value.data.subarray(offset, offset + 100);
      return engine.stageChunk({
        copyId: value.id,
        chunkNo,
        offset,
        data,
        crc: crc ?? crc32(data),
        declaredBytes: 300,
      });
    };
    await expect(chunk(1, 100)).rejects.toEqual(code('OUT_OF_RANGE'));
    await chunk(0, 0);
    await expect(chunk(0, 0)).rejects.toEqual(code('OUT_OF_RANGE'));
    await expect(chunk(2, 200)).rejects.toEqual(code('OUT_OF_RANGE'));
    await expect(chunk(1, 99)).rejects.toEqual(code('OUT_OF_RANGE'));
    await expect(chunk(1, 100, 1)).rejects.toEqual(code('CHECKSUM_MISMATCH'));
    await chunk(1, 100);
    await expect(engine.stageEnd(value.end)).rejects.toEqual(code('CHECKSUM_MISMATCH'));
    await expect(engine.stageEnd(value.end)).rejects.toEqual(code('NOT_FOUND'));
    await expect(chunk(0, 0)).rejects.toEqual(code('NOT_FOUND'));
    const other = rig.value(50);
    const wrong = { ...other.end, digest: digestOf(new Uint8Array(1)) };
    await expect(engine.stageWhole(wrong, other.data)).rejects.toEqual(code('CHECKSUM_MISMATCH'));
    await engine.close();
  });

  test('another digest for the same copy, and repeats vote again', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = rig.value(100);
    const other = rig.value(100, value.id);
    const same = [1, 2, 3].map(() => engine.stageWhole(value.end, value.data));
    await expect(engine.stageWhole(other.end, other.data)).rejects.toEqual(code('ALREADY_EXISTS'));
    await Promise.all(same);
    await engine.stageWhole(value.end, value.data);
    await engine.stageEnd(value.end);
    await expect(engine.stageEnd(other.end)).rejects.toEqual(code('ALREADY_EXISTS'));
    expect(engine.usage().copies).toBe(1);
    await engine.drop(value.id);
    await expect(engine.stageWhole(value.end, value.data)).rejects.toEqual(code('NOT_FOUND'));
    await engine.close();
  });

  test('of many values at once each for itself; repeats among them vote again', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const [first, second, stored] = [rig.value(100), rig.value(200), await rig.whole(engine, 300)];
    const other = rig.value(100, first.id);
    const damaged = { end: rig.value(50).end, data: first.data };
    const syncs = engine.usage().syncs;
    const given = [first, damaged, second, first, other, stored];
    const results = await engine.stageWholes(given.map(({ end, data }) => ({ end, data })));
    expect(results.map((error) => (error instanceof KvError ? error.code : error))).toEqual([
      null,
      'CHECKSUM_MISMATCH',
      null,
      null,
      'ALREADY_EXISTS',
      null,
    ]);
    expect(engine.usage()).toMatchObject({ copies: 3, syncs: syncs + 1 });
    const read = await engine.read(second.id, 0, 200);
    expect(read).toMatchObject({ kind: 'found', sizeBytes: 200 });
    await engine.close();
  });

  test('all of many values when the write fails', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const values = [rig.value(10), rig.value(20)].map(({ end, data }) => ({ end, data }));
    rig.disk.failNext('write');
    const results = await engine.stageWholes(values);
    expect(results).toEqual([code('DISK_FAILED'), code('DISK_FAILED')]);
    await engine.close();
  });

  test('an end that cannot be written now; its copy can still be dropped', async () => {
    const rig = new StorageRig({ segmentBytes: 256 * MIB });
    const engine = await rig.open();
    const doomed = rig.value(3_000);
    await stageChunks(engine, doomed, 1_000);
    const filler = rig.value(MIB);
    const queued = Array.from({ length: 130 }, () =>
      engine.stageWhole({ ...filler.end, copyId: rig.value(0).id }, filler.data),
    );
    await expect(engine.stageEnd(doomed.end)).rejects.toEqual(code('OVERLOADED'));
    await Promise.allSettled(queued);
    await engine.drop(doomed.id);
    expect((await engine.info(doomed.id))?.state).toBe('dropped');
    await engine.close();
  });

  test('what does not fit above the reserve, before anything is written', async () => {
    const rig = new StorageRig({ reserveBytes: 10_000 });
    rig.disk.fill(20_000);
    const engine = await rig.open();
    const value = rig.value(8_000);
    await stageChunks(engine, { ...value, data: value.data.subarray(0, 100) }, 100);
    const big = rig.value(1_000);
    const declared = {
      copyId: big.id,
      chunkNo: 0,
      offset: 0,
      data: big.data.subarray(0, 1),
      crc: 0,
    };
    const wanted = engine.stageChunk({ ...declared, declaredBytes: 12_000 });
    await expect(wanted).rejects.toEqual(code('NO_SPACE'));
    await expect(rig.whole(engine, 9_990)).rejects.toEqual(code('NO_SPACE'));
    await rig.whole(engine, 1_000);
    await engine.dropIfOpen(value.id);
    expect(rig.failures).toEqual([]);
    await engine.close();
  });

  test('nothing any more once a full disk has room again, though nobody dares to stage', async () => {
    const rig = new StorageRig({ reserveBytes: 10_000 });
    rig.disk.fill(5_000);
    const engine = await rig.open();
    expect(engine.usage().freeBytes).toBe(0);
    rig.disk.fill(50_000);
    await rig.clock.advance(2_000);
    // A coordinator stages nothing on a volume that says it is full: the volume must look by itself.
    engine.usage();
    await rig.clock.advance(1);
    expect(engine.usage().freeBytes).toBeGreaterThan(30_000);
    await engine.close();
  });

  test('values beyond the given capacity', async () => {
    const rig = new StorageRig({ capacityBytes: 1_500 });
    const engine = await rig.open();
    const first = await rig.whole(engine, 1_000);
    await expect(rig.whole(engine, 1_000)).rejects.toEqual(code('NO_SPACE'));
    await engine.drop(first.id);
    await rig.whole(engine, 1_000);
    await engine.close();
  });
});

describe('the journal', () => {
  test('writes and syncs the records of one turn once', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    await rig.whole(engine, 10);
    const before = engine.usage().syncs;
    await Promise.all(Array.from({ length: 50 }, () => rig.whole(engine, 100)));
    expect(engine.usage().syncs).toBe(before + 1);
    expect(engine.usage().unsyncedBytes).toBe(0);
    await engine.close();
  });

  test('gathers while a sync runs', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    await rig.whole(engine, 10);
    const release = rig.disk.holdSyncs();
    const first = rig.whole(engine, 100);
    await turns(10);
    let done = 0;
    const more = Array.from({ length: 20 }, () => rig.whole(engine, 100).then(() => (done += 1)));
    await turns(10);
    expect(done).toBe(0);
    const before = engine.usage().syncs;
    release();
    await Promise.all([first, ...more]);
    expect(engine.usage().syncs).toBe(before + 2);
    await engine.close();
  });

  test('waits for the sync under always, for the write under interval and never', async () => {
    for (const [kind, waits] of [
      ['always', true],
      ['interval', false],
      ['never', false],
    ] as const) {
      const rig = new StorageRig();
      const fsync = kind === 'interval' ? { kind, intervalMs: 100 } : { kind };
      const engine = await rig.open({ fsync });
      const opened = await rig.whole(engine, 1);
      const release = rig.disk.holdSyncs();
      let voted = false;
      const vote = rig.whole(engine, 100).then(() => {
        voted = true;
      });
      await turns(10);
      expect(voted).toBe(!waits);
      let forced = false;
      const value = rig.value(10);
      const force = engine.stageWhole(value.end, value.data, true).then(() => {
        forced = true;
      });
      let dropped = false;
      const drop = engine.drop(opened.id).then(() => {
        dropped = true;
      });
      await turns(10);
      expect([forced, dropped]).toEqual([false, false]);
      release();
      await Promise.all([vote, force, drop]);
      await engine.close();
    }
  });

  test('asks about a copy with bad bytes as long as its record says whose it is', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = await rig.whole(engine, 5_000);
    const [file] = await rig.segments();
    const at = Buffer.from(await rig.bytesOf(file ?? '')).indexOf(Buffer.from(value.data));
    rig.disk.flipBit(file ?? '', at + 9);
    expect((await engine.read(value.id, 0, 5_000)).kind).toBe('corrupt');
    expect(await engine.staged(0, 10)).toMatchObject([
      { copyId: value.id, txnId: value.end.txnId, sound: false },
    ]);
    await engine.finalize(value.id);
    expect(await engine.info(value.id)).toMatchObject({ state: 'committed', sound: false });
    expect(engine.sizeOf(value.id)).toBeNull();
    const unreadable = await rig.whole(engine, 6_000);
    const bytes = Buffer.from(await rig.bytesOf(file ?? ''));
    rig.disk.flipBit(file ?? '', bytes.indexOf(Buffer.from(unreadable.end.owner)) + 1);
    expect(await engine.staged(0, 10)).toEqual([]);
    await engine.close();
  });

  test('tells apart what is open, staged and live', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const held = async () =>
      Object.fromEntries(
        [...(await rig.metrics.print()).matchAll(/_(open|staged|live)_(\w+) (\d+)/g)].map(
          ([, state, unit, count]) => [`${state} ${unit}`, Number(count)],
        ),
      );
    const value = rig.value(3_000);
    await stageChunks(engine, value, 1_000);
    const none = { 'staged copies': 0, 'staged bytes': 0, 'live copies': 0, 'live bytes': 0 };
    expect(await held()).toEqual({ 'open copies': 1, 'open bytes': 3_000, ...none });
    await engine.stageEnd(value.end);
    const small = await rig.whole(engine, 10);
    const live = { 'open copies': 0, 'open bytes': 0, 'live copies': 2, 'live bytes': 3_010 };
    expect(await held()).toEqual({ 'staged copies': 2, 'staged bytes': 3_010, ...live });
    await engine.finalize(value.id);
    expect(await held()).toEqual({ 'staged copies': 1, 'staged bytes': 10, ...live });
    await engine.drop(small.id);
    await engine.drop(value.id);
    expect(await held()).toEqual({ 'open copies': 0, 'open bytes': 0, ...none });
    await engine.close();
  });

  test('S14: syncs by the clock under interval and tells what is unsynced', async () => {
    const rig = new StorageRig({ fsync: { kind: 'interval', intervalMs: 200 } });
    const engine = await rig.open();
    const value = await rig.whole(engine, 1_000);
    expect(engine.usage().unsyncedBytes).toBeGreaterThan(1_000);
    rig.clock.nowMs += 150;
    expect(await rig.metrics.print()).toContain('minikv_volume_unsynced_age_seconds 0.15');
    await rig.clock.advance(50);
    expect(engine.usage().unsyncedBytes).toBe(0);
    rig.disk.crash();
    const again = await rig.open();
    expect(await again.read(value.id, 0, 1)).toMatchObject({ kind: 'found' });
    await again.close();
  });
});

describe('listing', () => {
  test('gives pages in the order of ids, by state', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const all = await Promise.all(Array.from({ length: 60 }, () => rig.whole(engine, 10)));
    for (const [i, { id }] of all.entries()) {
      if (i % 3 === 0) await engine.finalize(id);
      if (i % 3 === 1) await engine.drop(id);
    }
    const listed: string[] = [];
    for (let after = null as (typeof all)[0]['id'] | null; ; ) {
      const page = await engine.list(after, 7, ['committed', 'staged']);
      listed.push(...page.map((info) => info.copyId));
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.copyId;
      expect(last.owner).toEqual(all.find(({ id }) => id === last.copyId)?.end.owner);
    }
    const expected = all.filter((_, i) => i % 3 !== 1).map(({ id }) => id);
    expect(listed).toEqual(expected.sort());
    expect(await engine.list(null, 100, ['dropped'])).toHaveLength(20);
    await engine.close();
  });

  test('finds staged copies by age, oldest first; those from before a restart are oldest', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    const before = await rig.whole(engine, 10);
    await engine.close();
    engine = await rig.open();
    const first = await rig.whole(engine, 10);
    rig.clock.nowMs += 1_000;
    const second = await rig.whole(engine, 10);
    const ids = async (age: number) => (await engine.staged(age, 10)).map((info) => info.copyId);
    expect(await ids(0)).toEqual([before.id, first.id, second.id]);
    expect(await ids(500)).toEqual([before.id, first.id]);
    expect(await ids(1e9)).toEqual([before.id]);
    await engine.finalize(before.id);
    expect(await ids(1e9)).toEqual([]);
    await engine.close();
  });
});

describe('open copies', () => {
  test('are dropped when their stream breaks, when idle, and at a restart', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    const [broken, idle, left] = [rig.value(100), rig.value(100), rig.value(100)] as const;
    await stageChunks(engine, broken, 60);
    await engine.dropIfOpen(broken.id);
    expect(await engine.info(broken.id)).toMatchObject({ state: 'dropped' });
    await stageChunks(engine, idle, 60);
    rig.clock.nowMs += 11 * 60_000;
    await stageChunks(engine, left, 60);
    await engine.compactOnce();
    expect(await engine.info(idle.id)).toMatchObject({ state: 'dropped' });
    expect(await engine.info(left.id)).toMatchObject({ state: 'open', sizeBytes: 100 });
    expect(engine.sizeOf(left.id)).toBeNull();
    await engine.close();
    engine = await rig.open();
    expect(await engine.info(left.id)).toMatchObject({ state: 'dropped' });
    await expect(engine.stageEnd(left.end)).rejects.toEqual(code('NOT_FOUND'));
    const staged = await rig.whole(engine, 5);
    await engine.dropIfOpen(staged.id);
    expect(await engine.info(staged.id)).toMatchObject({ state: 'staged' });
    await engine.close();
  });
});

test('a stopped engine refuses, and closing twice is fine', async () => {
  const rig = new StorageRig();
  const engine = await rig.open();
  await engine.close();
  await engine.close();
  await expect(rig.whole(engine, 1)).rejects.toEqual(code('STOPPING'));
  await expect(rig.open({ segmentBytes: 10 })).rejects.toEqual(code('INVALID_ARGUMENT'));
});

test('the wal folder is locked while an engine uses it', async () => {
  const rig = new StorageRig();
  const engine = await rig.open();
  await expect(rig.open()).rejects.toEqual(code('LOCKED'));
  await engine.close();
  await (await rig.open()).close();
});
