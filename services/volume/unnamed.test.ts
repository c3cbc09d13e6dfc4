/** Copies whose owner nobody can read any more, over the real engine on a disk in memory. */
import { describe, expect, test } from '@jest/globals';
import type { CopyId } from '../common/ids.ts';
import type { StorageEngine } from '../storage/types.ts';
import { StorageRig, type Value } from '../testing/storage-rig.ts';
import { Unnamed } from './unnamed.ts';

/** Destroys the heads of the records that staged these copies, as they stand on the disk. */
async function destroy(rig: StorageRig, values: readonly Value[]): Promise<void> {
  const written: { file: string; bytes: Buffer }[] = [];
  for (const file of await rig.segments()) {
    written.push({ file, bytes: Buffer.from(await rig.bytesOf(file)) });
  }
  for (const { end } of values) {
    const owner = Buffer.from(end.owner);
    const found = written
      .map(({ file, bytes }) => ({ file, at: bytes.indexOf(owner) }))
      .find(({ at }) => at >= 0);
    if (found === undefined) throw new Error('no such record');
    rig.disk.flipBit(found.file, found.at);
  }
}

/** Copies that one life staged, and the next one, which finds their records destroyed or whole. */
async function inherited(
  count: number,
  as: 'destroyed' | 'whole' = 'destroyed',
): Promise<{ readonly engine: StorageEngine; readonly ids: readonly CopyId[] }> {
  const rig = new StorageRig();
  const before = await rig.open();
  const values: Value[] = [];
  for (let i = 0; i < count; i += 1) values.push(await rig.whole(before, 500));
  await before.close();
  if (as === 'destroyed') await destroy(rig, values);
  return { engine: await rig.open(), ids: values.map(({ id }) => id) };
}

const stateOf = async (engine: StorageEngine, id: CopyId): Promise<string | undefined> =>
  (await engine.info(id))?.state;

async function name(unnamed: Unnamed, engine: StorageEngine, id: CopyId): Promise<void> {
  const info = await engine.info(id);
  if (info === undefined) throw new Error('no such copy');
  unnamed.name(info);
}

describe('a copy of an earlier life, whose record is destroyed', () => {
  test('goes once all that is named was named', async () => {
    const { engine, ids } = await inherited(3);
    const [a, b, c] = ids as [CopyId, CopyId, CopyId];
    expect(await engine.info(a)).toMatchObject({ state: 'staged', sound: false });
    expect((await engine.info(a))?.owner).toHaveLength(0);
    const unnamed = new Unnamed(engine);
    await name(unnamed, engine, b);
    await unnamed.walkEnded();
    expect(await stateOf(engine, a)).toBe('dropped');
    expect(await stateOf(engine, b)).toBe('staged');
    expect(await stateOf(engine, c)).toBe('dropped');
  });

  test('goes among more of them than one page holds', async () => {
    const { engine } = await inherited(1100);
    await new Unnamed(engine).walkEnded();
    expect(await engine.list(null, 1000, ['staged'])).toEqual([]);
  });
});

test('a copy whose owner can be read stays: it is asked about', async () => {
  const { engine, ids } = await inherited(1, 'whole');
  const [id] = ids as [CopyId];
  await new Unnamed(engine).walkEnded();
  expect(await stateOf(engine, id)).toBe('staged');
});

test('a read that fails later takes nothing from a copy that was named', async () => {
  const { engine, ids } = await inherited(1, 'whole');
  const [id] = ids as [CopyId];
  const unnamed = new Unnamed(engine);
  await name(unnamed, engine, id);
  const list = engine.list.bind(engine);
  engine.list = async (...asked) =>
    (await list(...asked)).map((copy) => ({ ...copy, owner: new Uint8Array(0) }));
  await unnamed.walkEnded();
  expect(await stateOf(engine, id)).toBe('staged');
});

test('what this life staged stays: a record may name it after the walk was there', async () => {
  const rig = new StorageRig();
  const engine = await rig.open();
  const value = await rig.whole(engine, 500);
  await destroy(rig, [value]);
  expect((await engine.info(value.id))?.owner).toHaveLength(0);
  await new Unnamed(engine).walkEnded();
  expect(await stateOf(engine, value.id)).toBe('staged');
});
