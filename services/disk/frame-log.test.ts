import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { textOf, utf8 } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { type Random, seededRandom, systemRandom } from '../common/random.ts';
import { FrameLog, type FrameLogOptions, type LogDamage } from './frame-log.ts';
import { MemoryDisk } from './memory-disk.ts';

interface Opened {
  readonly log: FrameLog;
  readonly texts: string[];
  readonly damage: LogDamage | null;
}

async function openLog(
  disk: MemoryDisk,
  options: Partial<FrameLogOptions> = {},
  random: Random = seededRandom(1),
): Promise<Opened> {
  const texts: string[] = [];
  let damage: LogDamage | null = null;
  const log = await FrameLog.open(
    { disk, random },
    {
      path: '/log',
      segmentBytes: 1000,
      payloadBytesMax: 4096,
      durableTo: 0,
      head: (position) => utf8(`head@${position}`),
      onFrame: ({ payload }, { head }) => {
        if (!head) texts.push(textOf(payload));
      },
      beforeRepair: async (found) => {
        damage = found;
      },
      ...options,
    },
  );
  return { log, texts, damage };
}

async function write(log: FrameLog, ...texts: string[]): Promise<void> {
  await log.append(texts.map(utf8));
}

/** Bytes of one frame around its payload. */
const OVERHEAD = 24;

describe('a frame log', () => {
  test('gives back what was appended, over segments and reopenings', async () => {
    const disk = new MemoryDisk();
    const expected: string[] = [];
    for (let life = 0; life < 5; life += 1) {
      const { log, texts, damage } = await openLog(disk);
      expect(texts).toEqual(expected);
      expect(damage).toBeNull();
      for (let batch = 0; batch < 10; batch += 1) {
        const added = [`${life}.${batch}.a`, `${life}.${batch}.${'b'.repeat(100)}`];
        await write(log, ...added);
        expected.push(...added);
      }
      disk.crash();
    }
    expect((await disk.list('/log')).length).toBeGreaterThan(3);
  });

  test('one batch is one sync', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    await write(log, 'begin');
    const before = disk.syncCount;
    await write(log, 'a', 'b', 'c');
    expect(disk.syncCount - before).toBe(1);
  });

  test('each segment begins with the head, told its position', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    for (let i = 0; i < 30; i += 1) await write(log, 'x'.repeat(100));
    const heads: string[] = [];
    await openLog(disk, {
      onFrame: ({ payload }, { head, position }) => {
        if (head) heads.push(`${textOf(payload)} ${position - 40}`);
      },
    });
    expect(heads.length).toBeGreaterThan(2);
    for (const head of heads) {
      const [told, found] = head.split(' ');
      expect(told).toBe(`head@${found}`);
    }
  });

  test('cuts whole segments from the front and opens without them', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    const ends: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      await write(log, `${i}${'x'.repeat(100)}`);
      ends.push(log.end);
    }
    const files = (await disk.list('/log')).length;
    await log.cutFront(ends[25] ?? 0);
    expect((await disk.list('/log')).length).toBeLessThan(files);
    disk.crash();
    const again = await openLog(disk, { durableTo: log.end });
    expect(again.damage).toBeNull();
    expect(again.texts.at(-1)).toMatch(/^39x/);
    expect(Number.parseInt(again.texts[0] ?? '', 10)).toBeLessThanOrEqual(25);
    expect(again.log.end).toBe(ends.at(-1));
  });
});

describe('a frame log after a crash', () => {
  test('drops an unsynced tail, keeps a copy of it and appends after the cut', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    await write(log, 'kept');
    const end = log.end;
    const file = await disk.open('/log/000000000001.log', 'write');
    await file.write(end, [utf8('half a frame of which no sync was ever asked')]);
    await file.sync();
    const again = await openLog(disk, { durableTo: end });
    expect(again.damage).toMatchObject({ kind: 'torn', position: end });
    expect(await disk.list('/log')).toContain(`000000000001.log.${end}.broken`);
    await write(again.log, 'after');
    disk.crash();
    const last = await openLog(disk);
    expect([last.texts, last.damage]).toEqual([['kept', 'after'], null]);
  });

  test('any mixture of lost and torn sectors of the last batch loses no earlier one', async () => {
    const kinds = new Set<string>();
    for (let seed = 0; seed < 120; seed += 1) {
      const disk = new MemoryDisk();
      const { log } = await openLog(disk, { segmentBytes: 100_000 });
      for (let i = 0; i < 3; i += 1) await write(log, `s${i}`);
      const durableTo = log.end;
      const release = disk.holdSyncs();
      const last = write(log, ...[0, 1, 2, 3].map((i) => `${i}${'u'.repeat(700)}`));
      const fails = last.catch(() => 'crashed');
      await new Promise((resolve) => setImmediate(resolve));
      disk.crash({ random: seededRandom(seed) });
      release();
      await fails;
      const { texts, damage } = await openLog(disk, { durableTo });
      expect(texts.slice(0, 3)).toEqual(['s0', 's1', 's2']);
      expect(damage?.kind ?? 'whole').toMatch(/torn|whole/);
      kinds.add(`${damage?.kind ?? 'whole'} ${texts.length}`);
    }
    expect(kinds.size).toBeGreaterThan(3);
  });

  test('a segment that was only begun is no damage to what came before', async () => {
    for (const bytes of [0, 20, 40]) {
      const disk = new MemoryDisk();
      const { log } = await openLog(disk);
      await write(log, 'kept');
      const file = await disk.open('/log/000000000002.log', 'create');
      await file.write(0, [new Uint8Array(bytes)]);
      const again = await openLog(disk, { durableTo: log.end });
      expect(again.texts).toEqual(['kept']);
      expect(again.damage).toMatchObject({ kind: 'torn' });
      await write(again.log, 'more');
      expect((await openLog(disk)).texts).toEqual(['kept', 'more']);
    }
  });
});

describe('a frame log with decay', () => {
  async function threeBatches(): Promise<{ disk: MemoryDisk; ends: number[] }> {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    const ends: number[] = [];
    for (const text of ['one', 'two', 'three']) {
      await write(log, text);
      ends.push(log.end);
    }
    return { disk, ends };
  }

  test('every flipped bit below the last synced batch is corruption, never a torn tail', async () => {
    const { ends } = await threeBatches();
    const lastSynced = ends[1] ?? 0;
    for (let at = 40; at < lastSynced; at += 1) {
      const { disk } = await threeBatches();
      disk.flipBit('/log/000000000001.log', at, at % 8);
      const { damage, texts } = await openLog(disk);
      expect({ at, kind: damage?.kind }).toEqual({ at, kind: 'corrupt' });
      expect(texts.length).toBeLessThan(2);
    }
  });

  test('a flipped bit in the last batch is corruption only where it is known durable', async () => {
    for (const [known, kind] of [
      [false, 'torn'],
      [true, 'corrupt'],
    ] as const) {
      const { disk, ends } = await threeBatches();
      disk.flipBit('/log/000000000001.log', (ends[2] ?? 0) - 1);
      const { damage, texts } = await openLog(disk, { durableTo: known ? (ends[2] ?? 0) : 0 });
      expect(damage?.kind).toBe(kind);
      expect(texts).toEqual(['one', 'two']);
    }
  });

  test('damage in an old segment gives up all later ones, with copies', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    for (let i = 0; i < 30; i += 1) await write(log, `${i}.${'x'.repeat(100)}`);
    disk.flipBit('/log/000000000002.log', 700);
    const again = await openLog(disk);
    expect(again.damage).toMatchObject({ kind: 'corrupt', file: '000000000002.log' });
    const names = await disk.list('/log');
    expect(names).toContain('000000000003.log.broken');
    expect(names.filter((name) => name.endsWith('.log'))).toHaveLength(2);
    await write(again.log, 'after');
    const last = await openLog(disk);
    expect(last.damage).toBeNull();
    expect(last.texts).toEqual([...again.texts, 'after']);
  });

  test('a bad header over frames is corruption', async () => {
    const { disk } = await threeBatches();
    disk.flipBit('/log/000000000001.log', 9);
    const { damage, texts, log } = await openLog(disk);
    expect(damage).toMatchObject({ kind: 'corrupt', position: 0 });
    expect(texts).toEqual([]);
    await write(log, 'anew');
    expect((await openLog(disk)).texts).toEqual(['anew']);
  });

  test('a missing segment in the middle is corruption', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    for (let i = 0; i < 30; i += 1) await write(log, `${i}.${'x'.repeat(100)}`);
    await disk.remove('/log/000000000002.log');
    expect((await openLog(disk)).damage?.kind).toBe('corrupt');
  });

  test('a file that ends early is loss when more was known durable', async () => {
    const { disk, ends } = await threeBatches();
    const file = await disk.open('/log/000000000001.log', 'write');
    await file.truncate(ends[1] ?? 0);
    const { damage } = await openLog(disk, { durableTo: ends[2] ?? 0 });
    expect(damage).toMatchObject({ kind: 'lost', position: ends[1] });
  });

  test('an absent log is loss when something was known durable', async () => {
    const { damage } = await openLog(new MemoryDisk(), { durableTo: 1 });
    expect(damage).toMatchObject({ kind: 'lost', position: 0 });
  });

  test('a region of zeros is no frame', async () => {
    const { disk, ends } = await threeBatches();
    const file = await disk.open('/log/000000000001.log', 'write');
    await file.write(ends[2] ?? 0, [new Uint8Array(4096)]);
    const { damage, texts } = await openLog(disk, { durableTo: ends[2] ?? 0 });
    expect(damage?.kind).toBe('torn');
    expect(texts).toEqual(['one', 'two', 'three']);
  });
});

describe('a frame log on a failing disk', () => {
  test('is dead after a failed sync, and repeats the error', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    await write(log, 'one');
    disk.failNext('sync');
    await expect(write(log, 'two')).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await expect(write(log, 'three')).rejects.toMatchObject({ code: 'DISK_FAILED' });
  });

  test('a full disk stops it, and nothing half-written is read later', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog(disk);
    await write(log, 'one');
    disk.fill(OVERHEAD + 2);
    await expect(write(log, 'does not fit')).rejects.toMatchObject({ code: 'NO_SPACE' });
    disk.fill(1e9);
    const again = await openLog(disk);
    expect(again.texts).toEqual(['one']);
    expect(again.damage?.kind).toBe('torn');
  });
});

test('each segment draws a salt of its own, also from a random that hands out views of a pool', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog(disk, {}, systemRandom);
  for (let i = 0; i < 30; i += 1) await write(log, 'x'.repeat(100));
  const salts = new Set<string>();
  for (const name of await disk.list('/log')) {
    const file = await disk.open(`/log/${name}`, 'read');
    salts.add(Buffer.from(await file.read(32, 4)).toString('hex'));
  }
  expect(salts.size).toBe((await disk.list('/log')).length);
});

test('a segment of a newer build stops the open: nothing is judged, cut or repaired', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog(disk);
  await write(log, 'kept');
  disk.crash();
  const file = await disk.open('/log/000000000001.log', 'write');
  const bytes = (await file.read(0, await file.size())).slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(4, 2, true);
  view.setUint32(36, crc32(bytes.subarray(0, 36)), true);
  await file.write(0, [bytes]);
  await file.sync();
  const beforeRepair = (): never => {
    throw new Error('it was judged to be damaged');
  };
  await expect(openLog(disk, { beforeRepair })).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(Buffer.from(await file.read(0, await file.size())).equals(bytes)).toBe(true);
});

test('writes the bytes of the format page', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog(disk);
  await write(log, 'one', 'two');
  await write(log, 'three');
  const written = await (await disk.open('/log/000000000001.log', 'read')).read(0, 9000);
  const golden = await readFile(join(import.meta.dirname, 'testdata/frame-log-v1.bin'));
  expect(Buffer.from(written).equals(golden)).toBe(true);
});
