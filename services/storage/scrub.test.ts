/** What scrub does where the disk refuses to read: it goes on behind it, and tells of what was there. */
import { describe, expect, test } from '@jest/globals';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { PowerCut } from '../testing/power-cut.ts';
import { readAll, StorageRig, turns, type Value } from '../testing/storage-rig.ts';
import { SEGMENT_HEADER_BYTES } from './segment/header.ts';
import type { StorageEngine } from './types.ts';

const FIRST_SEALED = '/data/segments/0000000001.seg';
const SECOND_SEALED = '/data/segments/0000000002.seg';

async function scrubbed(rig: StorageRig, engine: StorageEngine): Promise<unknown> {
  const ended = engine.scrub(1e9, new AbortController().signal).catch((error: unknown) => error);
  for (let i = 0; i < 60; i += 1) {
    await turns(5);
    await rig.clock.advance(1000);
  }
  return ended;
}

/** Three sealed segments of 17 values each, read anew by an engine that loaded its snapshot. */
async function sealed(rig: StorageRig): Promise<{ engine: StorageEngine; values: Value[] }> {
  const before = await rig.open();
  const values: Value[] = [];
  for (let i = 0; i < 60; i += 1) values.push(await rig.whole(before, 850));
  await before.close();
  const engine = await rig.open();
  expect(engine.report).toMatchObject({ fromSnapshot: true, clean: true });
  return { engine, values };
}

/** Decays the first value of a segment. */
const decay = (rig: StorageRig, path: string): void =>
  rig.disk.flipBit(path, SEGMENT_HEADER_BYTES + 400);

const indexesOfUnsound = (engine: StorageEngine, values: readonly Value[]): readonly number[] =>
  values.flatMap(({ id }, at) => (engine.sizeOf(id) === null ? [at] : []));

describe('scrub of a disk that refuses some bytes', () => {
  test('finds what has decayed behind them, and that the copies on their sectors are bad', async () => {
    const rig = new StorageRig({ segmentBytes: 16_384 });
    const { engine, values } = await sealed(rig);
    rig.disk.refuse(FIRST_SEALED, 9000, 100);
    decay(rig, SECOND_SEALED);
    const result = await scrubbed(rig, engine);
    const unsound = indexesOfUnsound(engine, values);
    const inFirst = unsound.filter((at) => at < 16);
    // The sector from 8192 to 12288 holds parts of six records at most.
    expect(inFirst.length).toBeGreaterThanOrEqual(4);
    expect(inFirst.length).toBeLessThanOrEqual(6);
    for (const at of inFirst) expect([7, 8, 9, 10, 11, 12, 13]).toContain(at);
    expect(unsound).toHaveLength(inFirst.length + 1);
    expect(result).toMatchObject({ bad: engine.usage().corruptRecords });
    expect(engine.usage().corruptRecords).toBeGreaterThanOrEqual(2);
    const metrics = await rig.metrics.print();
    expect(metrics).toContain('{kind="corrupt_record"} 1');
    expect(metrics).toMatch(/\{kind="refused_read"\} [1-9]/);
    for (const { id } of values.slice(40)) expect((await readAll(engine, id)).kind).toBe('found');
    await engine.close();
  });

  test('tells of the same bytes once', async () => {
    const rig = new StorageRig({ segmentBytes: 16_384 });
    const { engine, values } = await sealed(rig);
    rig.disk.refuse(FIRST_SEALED, 9000, 100);
    await scrubbed(rig, engine);
    const { corruptRecords } = engine.usage();
    const unsound = indexesOfUnsound(engine, values);
    expect(await scrubbed(rig, engine)).toMatchObject({ bad: corruptRecords });
    expect(engine.usage().corruptRecords).toBe(corruptRecords);
    expect(indexesOfUnsound(engine, values)).toEqual(unsound);
    await engine.close();
  });

  test('takes a read that is refused once for no damage', async () => {
    const rig = new StorageRig({ segmentBytes: 16_384 });
    const { engine, values } = await sealed(rig);
    rig.disk.failNext('read', FIRST_SEALED);
    expect(await scrubbed(rig, engine)).toMatchObject({ bad: 0 });
    expect(engine.usage().corruptRecords).toBe(0);
    expect(indexesOfUnsound(engine, values)).toEqual([]);
    await engine.close();
  });

  test('does not take zeros that cannot be read for the zeros that were written', async () => {
    const rig = new StorageRig();
    let engine = await rig.open();
    const zeros = rig.value(0).end;
    const data = new Uint8Array(20_000);
    await engine.stageWhole({ ...zeros, sizeBytes: data.length, digest: digestOf(data) }, data);
    await engine.close();
    engine = await rig.open();
    rig.disk.refuse('/data/wal/0000000001.seg', 10_000, 10);
    expect(await scrubbed(rig, engine)).toMatchObject({ bad: 1 });
    expect(engine.sizeOf(zeros.copyId)).toBeNull();
    await engine.close();
  });

  test('passes by a segment that cannot be opened, and says nothing of its copies', async () => {
    const rig = new StorageRig({ segmentBytes: 16_384 });
    rig.wrap = (inner) => {
      const { disk } = new PowerCut(inner);
      return {
        ...disk,
        open: (path, mode) =>
          path === FIRST_SEALED
            ? Promise.reject(new KvError('DISK_FAILED', 'the file cannot be opened'))
            : disk.open(path, mode),
      };
    };
    const { engine, values } = await sealed(rig);
    decay(rig, SECOND_SEALED);
    expect(await scrubbed(rig, engine)).toMatchObject({ bad: 2 });
    expect(engine.usage().corruptRecords).toBe(2);
    expect(indexesOfUnsound(engine, values)).toHaveLength(1);
    await engine.close();
  });
});
