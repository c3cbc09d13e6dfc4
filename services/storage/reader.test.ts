/** What is told of copies whose record the disk refuses to read: one of them holds up no other. */
import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import type { DiskFile } from '../disk/disk.ts';
import { PowerCut } from '../testing/power-cut.ts';
import { StorageRig, type Value } from '../testing/storage-rig.ts';
import type { StorageEngine } from './types.ts';

const FIRST = '/data/wal/0000000001.seg';
const BOTH = ['staged', 'committed'] as const;

/** Three copies, of which the disk refuses to read the second one's head. */
async function refused(): Promise<{ rig: StorageRig; engine: StorageEngine; values: Value[] }> {
  const rig = new StorageRig();
  const engine = await rig.open();
  const values = [await rig.whole(engine, 900)];
  const { length: offset } = await rig.bytesOf(FIRST);
  values.push(await rig.whole(engine, 900), await rig.whole(engine, 900));
  rig.disk.refuse(FIRST, offset, 20);
  return { rig, engine, values };
}

describe('a copy whose head the disk refuses to read', () => {
  test('is told of without its owner, and counted once as a refused read', async () => {
    const { rig, engine, values } = await refused();
    const owner = new Uint8Array(0);
    const told = { state: 'staged', owner, sizeBytes: 900, sound: true, refused: true };
    expect(await engine.info(values[1]!.id)).toMatchObject(told);
    expect(await engine.info(values[1]!.id)).toMatchObject(told);
    expect(await rig.metrics.print()).toContain('{kind="refused_read"} 1');
    // Nothing is known of its bytes.
    expect(engine.usage().corruptRecords).toBe(0);
    expect(engine.sizeOf(values[1]!.id)).toBe(900);
    await engine.close();
  });

  test('keeps no other out of a list or of those that are asked about', async () => {
    const { engine, values } = await refused();
    const [first, second, third] = values;
    const listed = await engine.list(null, 10, BOTH);
    expect(listed.map(({ copyId }) => copyId)).toEqual(values.map(({ id }) => id).sort());
    const owners = new Map(listed.map(({ copyId, owner }) => [copyId, owner]));
    expect(owners.get(first!.id)).toEqual(first!.end.owner);
    expect(owners.get(second!.id)).toHaveLength(0);
    expect(owners.get(third!.id)).toEqual(third!.end.owner);
    expect(listed.filter((copy) => copy.refused).map(({ copyId }) => copyId)).toEqual([second!.id]);
    const asked = await engine.staged(0, 10);
    expect(asked.map(({ copyId }) => copyId)).toEqual([first!.id, third!.id]);
    await engine.close();
  });

  test('is read again before anything is said of it', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const value = await rig.whole(engine, 900);
    rig.disk.failNext('read', '.seg');
    expect(await engine.info(value.id)).toMatchObject({ owner: value.end.owner, sound: true });
    expect(await rig.metrics.print()).toContain('{kind="refused_read"} 0');
    await engine.close();
  });

  test('is not judged while the process lacks file handles', async () => {
    const rig = new StorageRig();
    let lacking = false;
    const read =
      (file: DiskFile): DiskFile['read'] =>
      async (offset, length) => {
        const detail = { system: 'EMFILE' };
        if (lacking) throw new KvError('DISK_FAILED', 'the disk failed (EMFILE)', { detail });
        return file.read(offset, length);
      };
    rig.wrap = (inner) => {
      const { disk } = new PowerCut(inner);
      const open: typeof disk.open = async (path, mode) => {
        const file = await disk.open(path, mode);
        return { ...file, read: read(file) };
      };
      return { ...disk, open };
    };
    const engine = await rig.open();
    const value = await rig.whole(engine, 900);
    lacking = true;
    await expect(engine.info(value.id)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    lacking = false;
    expect(await engine.info(value.id)).toMatchObject({ sound: true });
    await engine.close();
  });
});
