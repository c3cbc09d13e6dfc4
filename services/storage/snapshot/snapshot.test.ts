/** The snapshot as a file larger than one window: read back alike, refused for any harm. */
import { beforeAll, expect, test } from '@jest/globals';
import { mintCopyId, seededRandom } from '../../common/random.ts';
import { MIB } from '../../common/units.ts';
import { MemoryDisk } from '../../disk/memory-disk.ts';
import { Catalog } from '../index/catalog.ts';
import { KIND } from '../record.ts';
import { type FrozenCatalog, freezeCatalog, loadSnapshot, writeSnapshot } from './file.ts';
import { bytesOf } from './format.ts';

const PATH = '/index.snapshot';
const random = seededRandom(3);
const disk = new MemoryDisk();
let sound: Buffer;
const catalog = new Catalog();

beforeAll(async () => {
  catalog.segments.add(1, 9).bytes = 2 ** 30;
  for (let i = 0; catalog.indexBytes < 2.2 * MIB; i += 1) {
    const record = { flags: 0, copyId: mintCopyId(random), segment: 1, offset: 64 * i };
    const size = { meta: new Uint8Array(48), dataBytes: 4, recordBytes: 100 };
    catalog.apply({ ...record, ...size, kind: KIND.whole }, true, 0);
  }
  await writeSnapshot(disk, PATH, freezeCatalog(catalog, true));
  const file = await disk.open(PATH, 'read');
  sound = Buffer.from(await file.read(0, await file.size()));
  await file.close();
});

async function loaded(bytes: Uint8Array) {
  await disk.remove(PATH);
  const file = await disk.open(PATH, 'create');
  await file.write(0, [bytes]);
  await file.close();
  return loadSnapshot(disk, PATH);
}

/** All words of both tables: compared as bytes, for there are many. */
const wordsOf = ({ images }: FrozenCatalog): Buffer =>
  Buffer.concat(images.flatMap(({ words }) => words.map(bytesOf)));

test('says again all that it was told', async () => {
  const again = await loaded(sound);
  if (typeof again !== 'object') throw new Error(again);
  expect(again.description.clean).toBe(true);
  const [told, said] = [freezeCatalog(catalog, true), freezeCatalog(again.catalog, true)];
  const { staged, ...rest } = said.description;
  expect({ ...rest, staged: [] }).toEqual({ ...told.description, staged: [] });
  expect(staged.join() === told.description.staged.join()).toBe(true);
  expect(wordsOf(said).equals(wordsOf(told))).toBe(true);
  const ids = [...catalog.stagedAt.keys()];
  expect(ids.length).toBeGreaterThan(40_000);
  for (const id of ids) {
    const copy = again.catalog.copy(id);
    if (copy?.offset !== catalog.copy(id)?.offset) throw new Error(`${id} is elsewhere`);
  }
  expect(again.catalog.copy(mintCopyId(random))).toBeUndefined();
});

test('goes on growing after it was read, and leaves what was frozen alone', async () => {
  const again = await loaded(sound);
  if (typeof again !== 'object') throw new Error(again);
  const frozen = freezeCatalog(again.catalog, true);
  const before = wordsOf(frozen);
  const ids = Array.from({ length: 8000 }, () => mintCopyId(random));
  for (const copyId of ids) {
    const record = { flags: 0, copyId, segment: 1, offset: 7, meta: new Uint8Array(48) };
    const size = { dataBytes: 4, recordBytes: 100 };
    again.catalog.apply({ ...record, ...size, kind: KIND.whole }, true, 0);
  }
  for (const id of ids) if (again.catalog.copy(id)?.offset !== 7) throw new Error(`${id} is lost`);
  expect(again.catalog.copyCount).toBe(catalog.copyCount + ids.length);
  expect(wordsOf(frozen).equals(before)).toBe(true);
  expect(wordsOf(freezeCatalog(again.catalog, true)).equals(before)).toBe(false);
});

test('S14: a flipped bit in any window, and any other length, is damage', async () => {
  const flips = [0, 12, 60, 64, MIB - 1, MIB, 2 * MIB, sound.length - 1];
  for (const at of flips) {
    const damaged = Buffer.from(sound);
    damaged[at] = (damaged[at] ?? 0) ^ 64;
    expect([at, await loaded(damaged)]).toEqual([at, 'damaged']);
  }
  for (const length of [0, 3, 4, 63, 64, 1000, MIB, 2 * MIB, sound.length - 4, sound.length - 1]) {
    expect([length, await loaded(sound.subarray(0, length))]).toEqual([length, 'damaged']);
  }
  for (const more of [1, 4, MIB]) {
    expect(await loaded(Buffer.concat([sound, Buffer.alloc(more)]))).toBe('damaged');
  }
});

test('no file is no damage, and a disk that fails is not taken for one', async () => {
  await disk.remove(PATH);
  expect(await loadSnapshot(disk, PATH)).toBe('absent');
  await loaded(sound);
  disk.skipNext('read');
  disk.skipNext('read');
  disk.failNext('read');
  await expect(loadSnapshot(disk, PATH)).rejects.toMatchObject({ code: 'DISK_FAILED' });
});
