/** Compaction beside damage: what lies under bad bytes stays and is told, whatever happens beside it. */
import { expect, test } from '@jest/globals';
import {
  outcomeOf,
  StorageRig,
  stageChunks,
  turns,
  type Value,
} from '../../testing/storage-rig.ts';
import type { StorageEngine } from '../types.ts';

const FIRST = '/data/segments/0000000001.seg';

/** Flips a bit in the head of the record that holds these bytes. */
async function decayHead(rig: StorageRig, data: Uint8Array): Promise<void> {
  const at = Buffer.from(await rig.bytesOf(FIRST)).indexOf(Buffer.from(data));
  rig.disk.flipBit(FIRST, at - 20);
}

test('S12: a drop while it is read hides no record under bad bytes', async () => {
  const options = { segmentBytes: 1024 * 1024, compactionBytesPerSecond: 262_144 };
  const rig = new StorageRig(options);
  let engine: StorageEngine = await rig.open();
  const values: Value[] = [];
  for (const bytes of [700, 150_000, 60_000, 150_000, 500_000, 300_000]) {
    values.push(await rig.whole(engine, bytes));
  }
  const [beside, , bad, , dead] = values;
  if (beside === undefined || bad === undefined || dead === undefined) throw new Error('none');
  await engine.drop(dead.id);
  await engine.close();
  await decayHead(rig, bad.data);
  engine = await rig.open();
  let outcome: boolean | null = null;
  const running = engine.compactOnce().then((worked) => {
    outcome = worked;
  });
  await turns(20);
  /* One window is read, and the scan waits for the next: the first record has been met. */
  await rig.clock.advance(1000);
  await turns(20);
  await engine.drop(beside.id);
  for (let i = 0; i < 20 && outcome === null; i += 1) {
    await rig.clock.advance(1000);
    await turns(20);
  }
  await running;
  expect(outcome).toBe(false);
  expect(await rig.disk.exists(FIRST)).toBe(true);
  expect(engine.usage().corruptRecords).toBe(1);
  expect(await engine.info(bad.id)).toMatchObject({ sound: false });
  await engine.close();
});

test('bad bytes where nobody lives go with their segment', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  let engine = await rig.open();
  const kept = await rig.whole(engine, 700);
  const dead = await rig.whole(engine, 2000);
  await rig.whole(engine, 3000);
  await engine.drop(dead.id);
  await engine.close();
  await decayHead(rig, dead.data);
  engine = await rig.open();
  expect(await engine.compactOnce()).toBe(true);
  expect(await rig.disk.exists(FIRST)).toBe(false);
  expect(await outcomeOf(engine, kept)).toBe('found');
  await engine.close();
});

test.each(['open', 'dropped'])(
  'an unreadable record of an %s copy stops the move too',
  async (kind) => {
    const rig = new StorageRig({ segmentBytes: 4096 });
    let engine = await rig.open();
    const first = await rig.whole(engine, 300);
    const dead = await rig.whole(engine, 2000);
    const open = rig.value(500);
    if (kind === 'open') await stageChunks(engine, open, 500);
    else await engine.drop(first.id);
    await rig.whole(engine, 600);
    await rig.whole(engine, 3000);
    const bytes = Buffer.from(await rig.bytesOf(FIRST));
    const id = Buffer.from(kind === 'open' ? open.id : first.id, 'hex');
    rig.disk.flipBit(FIRST, bytes.lastIndexOf(id) + 3);
    await engine.drop(dead.id);
    expect(await engine.compactOnce()).toBe(false);
    expect(await rig.disk.exists(FIRST)).toBe(true);
    expect(engine.usage().corruptRecords).toBe(1);
    await engine.close();
    engine = await rig.open();
    await engine.close();
  },
);

test('a disk that refuses a read tells no damage of what lies there', async () => {
  const rig = new StorageRig({ segmentBytes: 4096 });
  const engine = await rig.open();
  const kept = await rig.whole(engine, 700);
  const dead = await rig.whole(engine, 2000);
  await rig.whole(engine, 3000);
  await engine.drop(dead.id);
  rig.disk.failNext('read', '0000000001.seg');
  expect(await engine.compactOnce()).toBe(false);
  expect(engine.usage().corruptRecords).toBe(0);
  expect(await engine.info(kept.id)).toMatchObject({ sound: true });
  await engine.close();
});
