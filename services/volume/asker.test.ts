/** What becomes of copies whose outcome a volume does not know. */
import { describe, expect, test } from '@jest/globals';
import type { CopyId } from '../common/ids.ts';
import type { CopyInfo, StorageEngine } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { StorageRig, turns } from '../testing/storage-rig.ts';
import { Asker } from './asker.ts';

/** Lets the rig's time pass and the reads of the asker end. */
async function pass(rig: StorageRig, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    await rig.clock.advance(1000);
    await turns(10);
  }
}

function askerOf(
  rig: StorageRig,
  engine: StorageEngine,
  options: { reconcile: boolean; connected?: () => boolean },
): { asker: Asker; asked: CopyId[] } {
  const asked: CopyId[] = [];
  const ask = (copies: readonly CopyInfo[]): boolean => {
    if (options.connected?.() === false) return false;
    asked.push(...copies.map(({ copyId }) => copyId));
    return true;
  };
  const asker = new Asker({ clock: rig.clock, logger: silentLogger, engine, ask }, options);
  return { asker, asked };
}

describe('Asker', () => {
  test('asks about staged copies after a courtesy age, again until they are settled', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const { id } = await rig.whole(engine, 10);
    const { asker, asked } = askerOf(rig, engine, { reconcile: false });
    asker.start();
    await pass(rig, 3);
    expect(asked).toEqual([]);
    await pass(rig, 4);
    expect(asked.length).toBeGreaterThanOrEqual(2);
    await asker.answered(id, 'LATER');
    expect((await engine.info(id))?.state).toBe('staged');
    await asker.answered(id, 'KEEP');
    expect((await engine.info(id))?.state).toBe('committed');
    asked.length = 0;
    await pass(rig, 10);
    expect(asked).toEqual([]);
    asker.stop();
  });

  test('DROP frees the bytes', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const { id } = await rig.whole(engine, 10);
    const { asker } = askerOf(rig, engine, { reconcile: false });
    await asker.answered(id, 'DROP');
    expect((await engine.read(id, 0, 10)).kind).toBe('absent');
  });

  test('after an unclean stop every copy is asked about once, also when nobody listens at first', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const ids: CopyId[] = [];
    for (let i = 0; i < 5; i += 1) {
      const { id } = await rig.whole(engine, 10);
      await engine.finalize(id);
      ids.push(id);
    }
    let isConnected = false;
    const connected = (): boolean => isConnected;
    const { asker, asked } = askerOf(rig, engine, { reconcile: true, connected });
    asker.start();
    await pass(rig, 3);
    expect(asked).toEqual([]);
    isConnected = true;
    await pass(rig, 5);
    expect([...asked].sort()).toEqual([...ids].sort());
    asker.stop();
  });

  test('after an unclean stop staged copies are asked about for it, whatever finalizes them meanwhile', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const { id } = await rig.whole(engine, 10);
    const { asker, asked } = askerOf(rig, engine, { reconcile: true });
    asker.start();
    await pass(rig, 1);
    expect(asked).toEqual([id]);
    // A gateway that lags behind may believe in a copy that was dropped before this disk was put back.
    await engine.finalize(id);
    await pass(rig, 6);
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asker.isReconciled).toBe(false);
    await asker.answered(id, 'DROP');
    expect(await engine.list(null, 10, ['staged', 'committed'])).toEqual([]);
    asker.stop();
  });

  test('a part of the walk that was not answered is asked again, and only then is it done', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    for (let i = 0; i < 3; i += 1) await engine.finalize((await rig.whole(engine, 10)).id);
    const { asker, asked } = askerOf(rig, engine, { reconcile: false });
    asker.start();
    expect(asker.isReconciled).toBe(true);
    asker.reconcile();
    await pass(rig, 3);
    expect(asked).toHaveLength(3);
    await asker.answered(asked[0]!, 'KEEP');
    await asker.answered(asked[1]!, 'LATER');
    // The answer to the third went down with its stream.
    await pass(rig, 6);
    expect(asked.length).toBeGreaterThanOrEqual(6);
    expect(new Set(asked).size).toBe(3);
    expect(asker.isReconciled).toBe(false);
    for (const id of new Set(asked)) await asker.answered(id, 'DROP');
    await pass(rig, 3);
    expect(asker.isReconciled).toBe(true);
    expect(await engine.list(null, 10, ['committed'])).toEqual([]);
    asker.stop();
  });

  test('the walk goes over more copies than one part holds', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    for (let i = 0; i < 1200; i += 1) await engine.finalize((await rig.whole(engine, 1)).id);
    const { asker, asked } = askerOf(rig, engine, { reconcile: true });
    asker.start();
    for (let i = 0; i < 20 && !asker.isReconciled; i += 1) {
      await pass(rig, 1);
      for (const id of asked) await asker.answered(id, 'KEEP');
    }
    expect(new Set(asked).size).toBe(1200);
    expect(asked).toHaveLength(1200);
    asker.stop();
  });

  test('a copy whose owner cannot be read is not asked about', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const lost = await rig.whole(engine, 10);
    await engine.finalize(lost.id);
    const asked: CopyId[] = [];
    const ask = (copies: readonly CopyInfo[]): boolean => asked.push(...copies.map(idOf)) > 0;
    const unread: Pick<StorageEngine, 'list'> = {
      list: async (after) =>
        after === null
          ? [{ ...(await engine.info(lost.id))!, owner: new Uint8Array(0), sound: false }]
          : [],
    };
    const blind = Object.assign(Object.create(engine) as StorageEngine, unread, {
      staged: async () => [],
    });
    const asker = new Asker(
      { clock: rig.clock, logger: silentLogger, engine: blind, ask },
      { reconcile: true },
    );
    asker.start();
    await pass(rig, 3);
    expect(asked).toEqual([]);
    expect(asker.isReconciled).toBe(true);
    asker.stop();
  });

  test('a copy whose record the disk refuses to read holds up no other', async () => {
    const rig = new StorageRig();
    const engine = await rig.open();
    const refused = await rig.whole(engine, 900);
    const staged = await rig.whole(engine, 900);
    const committed = await rig.whole(engine, 900);
    await engine.finalize(committed.id);
    const [file = ''] = await rig.segments();
    rig.disk.refuse(file, Buffer.from(await rig.bytesOf(file)).indexOf(refused.end.owner), 1);
    const { asker, asked } = askerOf(rig, engine, { reconcile: true });
    asker.start();
    await pass(rig, 1);
    expect([...asked].sort()).toEqual([staged.id, committed.id].sort());
    await asker.answered(committed.id, 'KEEP');
    await asker.answered(staged.id, 'LATER');
    asked.length = 0;
    await pass(rig, 7);
    expect(new Set(asked)).toEqual(new Set([staged.id]));
    await asker.answered(staged.id, 'KEEP');
    await pass(rig, 3);
    expect(asker.isReconciled).toBe(true);
    asker.stop();
  });
});

const idOf = ({ copyId }: CopyInfo): CopyId => copyId;
