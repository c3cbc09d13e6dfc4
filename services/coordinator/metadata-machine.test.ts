/**
 * The bridge on a real disk and a real LevelDB: what a crash keeps and what the log must bring back,
 * snapshots, listings and who is told what.
 */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Level } from 'level';
import { compareBytes, textOf, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { diskId, logIndex, term } from '../common/ids.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import { MARKS_KEY, recordKey, TABLE } from '../metadata/keys.ts';
import { settle } from '../testing/manual-clock.ts';
import { MetadataBench, openBench } from '../testing/metadata-bench.ts';
import { blob, copy, remove } from '../testing/metadata-world.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { ReplicatedMetadata } from './metadata-machine.ts';
import type { ScannedRecord } from './metadata-port.ts';
import { checked, sealed } from './table-rows.ts';

afterEach(removeTempDirs);

const POINTER = 'metadata.current';

describe('records in the order of their rows', () => {
  test('all of them, page by page, once they are on disk', async () => {
    const { b, machine } = await openBench();
    for (let i = 0; i < 25; i += 1) b.put(`k${i}`, i + 1);
    b.commit([remove('k7')]);
    b.feed(machine, false);
    const scan = { after: null, limit: 10, minIndex: b.world.index };
    // The own log does not hold them yet, so no flush can.
    await expect(machine.records(scan)).rejects.toMatchObject({ code: 'NOT_READY' });
    machine.logDurable(b.world.index);
    const found = new Map<string, string>();
    let after: Uint8Array | null = null;
    for (let pages = 0; pages < 3; pages += 1) {
      const page: readonly ScannedRecord[] = await machine.records({ ...scan, after });
      expect(page).toHaveLength(pages < 2 ? 10 : 4);
      for (const { key, value } of page) found.set(textOf(key), value.blobId);
      after = page.at(-1)?.rowKey ?? null;
    }
    const expected = Array.from({ length: 25 }, (_, i) => [`k${i}`, blob(i + 1)] as const);
    expect(found).toEqual(new Map(expected.filter(([key]) => key !== 'k7')));
    await machine.close();
  });
});

describe('applying and flushing', () => {
  test('answers like the state itself and tells its listeners once a turn', async () => {
    const { b, machine } = await openBench();
    const turns: number[] = [];
    machine.onApplied((applied) => turns.push(applied.length));
    b.put('k', 1);
    b.feed(machine);
    b.put('k', 2);
    b.commit([remove('other')]);
    b.feed(machine);
    expect(turns).toEqual([4, 2]);
    expect(machine.record(utf8('k'))?.blobId).toBe(blob(2));
    expect(machine.counters).toEqual(b.world.state.counters);
    expect(machine.digest()).toBe(b.world.state.digest());
    await machine.close();
  });

  test('an entry out of order or of an unknown kind throws', async () => {
    const { b, machine } = await openBench();
    expect(() => machine.apply(b.log.slice(1))).toThrow(/does not follow/);
    const [first] = b.log;
    const data = Uint8Array.of(1, 200);
    expect(() => first && machine.apply([{ ...first, data }])).toThrow(KvError);
    await machine.close();
  });

  test('flushes after the interval and keeps what was flushed, no more', async () => {
    const { b, path, machine } = await openBench();
    b.put('k', 1);
    b.feed(machine);
    await b.clock.advance(100);
    await machine.flush();
    const at = machine.flushed;
    b.put('k', 2);
    b.feed(machine);
    const image = join(await tempDir(), 'state');
    await cp(path, image, { recursive: true });
    await machine.close();
    const again = await b.open(image);
    expect(again.applied).toEqual(at);
    expect(again.record(utf8('k'))?.blobId).toBe(blob(1));
    b.feed(again);
    expect(again.digest()).toBe(b.world.state.digest());
    await again.close();
  });

  test('R31: never flushes ahead of the own log, yet is not starved by it', async () => {
    const { b, machine } = await openBench();
    b.put('k', 1);
    const index = b.world.index;
    b.feed(machine, false);
    await b.clock.advance(1000);
    await machine.flush();
    expect(machine.flushed.index).toBe(0);
    b.put('k', 2);
    b.feed(machine, false);
    machine.logDurable(index);
    await machine.flush();
    expect(machine.flushed.index).toBe(index);
    await machine.close();
  });

  test('flushes nothing that rests on log entries which were voided meanwhile', async () => {
    const { b, machine } = await openBench();
    b.feed(machine);
    await machine.flush();
    const { flushed } = machine;
    b.put('a', 1);
    const durable = b.world.index;
    machine.logDurable(durable);
    // The entry on disk is voided; its successor is applied before it is on disk.
    machine.logDurable(flushed.index);
    b.feed(machine, false);
    await machine.flush();
    expect(machine.flushed.index).toBe(flushed.index);
    machine.logDurable(durable);
    await machine.flush();
    expect(machine.flushed.index).toBe(durable);
  });

  test('a crash at any flush and a replay of the log make the same state', async () => {
    const { b, path, machine } = await openBench();
    const images: string[] = [];
    for (let n = 1; n <= 6; n += 1) {
      b.put(`k${n % 3}`, n);
      if (n % 2 === 0) b.commit([remove(`k${n % 4}`)]);
      b.add({
        kind: 'suspect',
        key: utf8('k1'),
        blobId: blob(n),
        disk: diskId(1),
        copyId: copy(n),
      });
      b.feed(machine);
      if (n % 2 === 1) await machine.flush();
      const image = join(await tempDir(), 'state');
      await cp(path, image, { recursive: true });
      images.push(image);
    }
    await machine.close();
    for (const image of images) {
      const again = await b.open(image);
      b.feed(again);
      expect(again.digest()).toBe(b.world.state.digest());
      expect(again.counters).toEqual(b.world.state.counters);
      await again.close();
    }
  });

  test('idempotent answers and forgotten outcomes survive a restart', async () => {
    const { b, path, machine } = await openBench();
    const idempotency = { principal: 'p', key: 'once', requestHash: 'a'.repeat(64) as never };
    b.add(b.world.commit([b.world.put({ blob: 1 })], { idempotency }));
    b.feed(machine);
    await machine.close();
    const again = await b.open(path);
    b.add(b.world.commit([remove()], { idempotency }));
    b.world.advance({ fence: b.world.index, forget: b.world.index });
    b.log.push({
      index: b.world.index,
      term: term(1),
      kind: 'command',
      data: encodeCommand({
        kind: 'advance',
        fence: logIndex(b.world.index - 1),
        reclaim: logIndex(0),
        forget: logIndex(b.world.index - 1),
        timeMs: 0,
      }),
    });
    b.feed(again);
    expect(again.record(utf8('k'))?.blobId).toBe(blob(1));
    expect(again.digest()).toBe(b.world.state.digest());
    await again.close();
  });
});

test('a row of a newer build stops the start, and all rows stay', async () => {
  const { b, path, machine } = await openBench();
  b.put('k', 1);
  b.feed(machine);
  await machine.close();
  const claim = async (version: number): Promise<void> => {
    const folder = join(path, (await readFile(join(path, POINTER), 'utf8')).trim());
    const db = new Level<Uint8Array, Uint8Array>(folder, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false,
    });
    const row = checked(MARKS_KEY, (await db.get(MARKS_KEY)) ?? new Uint8Array(0));
    const claimed = Uint8Array.of(version, ...row.subarray(1));
    await db.put(MARKS_KEY, sealed(MARKS_KEY, claimed));
    await db.close();
  };
  await claim(2);
  await expect(b.open(path)).rejects.toMatchObject({
    code: 'DISK_FAILED',
    message: expect.stringContaining('this one knows up to 1'),
  });
  await claim(1);
  const again = await b.open(path);
  expect(again.record(utf8('k'))?.blobId).toBe(blob(1));
  await again.close();
});

describe('damage', () => {
  test('a corrupt row stops the process, and the next start begins anew', async () => {
    const { b, path, machine } = await openBench();
    b.put('k', 1);
    b.feed(machine);
    await machine.close();
    const db = new Level<Uint8Array, Uint8Array>(join(path, 'metadata-1'), {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false,
    });
    const stored = await db.get(recordKey(utf8('k')));
    stored[5] = (stored[5] ?? 0) ^ 1;
    await db.put(recordKey(utf8('k')), stored);
    await db.close();
    const damaged = await b.open(path);
    expect(() => damaged.record(utf8('k'))).toThrow(/checksum/);
    await b.stopped.promise;
    expect(b.fatal[0]).toMatchObject({ code: 'CORRUPT' });
    await damaged.close();
    expect(b.damage).toEqual([]);
    const anew = await b.open(path);
    expect(b.damage).toEqual([['missing', 1]]);
    expect(anew.applied.index).toBe(0);
    b.feed(anew);
    expect(anew.digest()).toBe(b.world.state.digest());
    await anew.close();
  });
});

describe('outcomes', () => {
  test('come to those who wait, at once to those who come late, and not to those who left', async () => {
    const { b, machine } = await openBench();
    const heard: string[] = [];
    const command = b.world.commit([b.world.put({ blob: 1 })]);
    b.add(command);
    machine.awaitOutcome(command.txnId, ({ kind }) => heard.push(`first ${kind}`));
    machine.awaitOutcome(command.txnId, ({ kind }) => heard.push(`left ${kind}`))();
    b.feed(machine);
    machine.awaitOutcome(command.txnId, ({ kind }) => heard.push(`late ${kind}`));
    expect(heard).toEqual(['first applied', 'late applied']);
    await machine.close();
  });

  test('R32: the outcome of a transaction that nobody waits for is told to nobody', async () => {
    const { b, machine } = await openBench();
    const heard: string[] = [];
    const [lost, other] = [1, 2].map((blob) => b.world.commit([b.world.put({ blob })]));
    machine.awaitOutcome(lost!.txnId, ({ kind }) => heard.push(`lost ${kind}`));
    // The command that is waited for was overwritten; another one stands at its index.
    b.add(other!);
    b.feed(machine);
    expect(heard).toEqual([]);
    b.add(lost!);
    b.feed(machine);
    expect(heard).toEqual(['lost applied']);
    await machine.close();
  });
});

describe('snapshots', () => {
  async function taken(source: ReplicatedMetadata) {
    const snapshot = await source.openSnapshot();
    const chunks: Uint8Array[] = [];
    for await (const chunk of snapshot.chunks) chunks.push(chunk.slice());
    await snapshot.close();
    return { point: snapshot.point, chunks };
  }

  async function* inPieces(chunks: readonly Uint8Array[], size: number) {
    const all = Buffer.concat(chunks);
    for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
  }

  test('replace the whole state, durably, and decide for those who wait', async () => {
    const { b, machine } = await openBench();
    for (let n = 1; n <= 30; n += 1) b.put(`k${n}`, n);
    b.commit([remove('k1')]);
    const late = b.world.commit([b.world.put({ blob: 99 })]);
    b.add(late);
    b.feed(machine);
    const { point, chunks } = await taken(machine);
    expect(point).toEqual(machine.applied);

    const other = new MetadataBench();
    const path = join(await tempDir(), 'state');
    const target = await other.open(path);
    other.put('stranger', 1);
    other.feed(target);
    const heard: string[] = [];
    target.onInstalled(() => heard.push('installed'));
    target.awaitOutcome(late.txnId, ({ kind }) => heard.push(kind));
    await target.installSnapshot(point, inPieces(chunks, 777));
    expect(heard).toEqual(['applied', 'installed']);
    expect(target.record(utf8('stranger'))).toBeUndefined();
    expect(target.digest()).toBe(machine.digest());
    expect(target.installed).toBe(true);

    b.put('after', 5);
    b.feed(target);
    b.feed(machine);
    await target.close();
    const again = await b.open(path);
    expect(again.digest()).toBe(machine.digest());
    expect(again.installed).toBe(false);
    await again.close();
    await machine.close();
  });

  test('one that does not verify changes nothing', async () => {
    const { b, machine } = await openBench();
    b.put('k', 1);
    b.feed(machine);
    const { point, chunks } = await taken(machine);
    const whole = Buffer.concat(chunks);
    const path = join(await tempDir(), 'state');
    const target = await b.open(path);
    const damaged = Buffer.from(whole);
    damaged[whole.length >>> 1] = (damaged[whole.length >>> 1] ?? 0) ^ 1;
    const bad = [damaged, whole.subarray(0, -5), whole.subarray(0, 60)];
    for (const bytes of bad) {
      const install = target.installSnapshot(point, inPieces([bytes], 100));
      await expect(install).rejects.toMatchObject({ code: 'CORRUPT' });
    }
    const elsewhere = { ...point, index: logIndex(point.index + 1) };
    const install = target.installSnapshot(elsewhere, inPieces(chunks, 100));
    await expect(install).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(target.applied.index).toBe(0);
    b.feed(target);
    await target.close();
    const again = await b.open(path);
    expect(again.digest()).toBe(machine.digest());
    await again.close();
    await machine.close();
    expect(b.fatal).toEqual([]);
  });

  test('reads go on while one is installed', async () => {
    const { b, machine } = await openBench();
    b.put('k', 1);
    b.feed(machine);
    const { point, chunks } = await taken(machine);
    const target = await b.open(join(await tempDir(), 'state'));
    const installing = target.installSnapshot(point, inPieces(chunks, 10_000));
    let isDone = false;
    installing.then(
      () => {
        isDone = true;
      },
      () => undefined,
    );
    const seen = new Set<string>();
    while (!isDone) {
      seen.add(target.record(utf8('k'))?.blobId ?? 'none');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await installing;
    expect([...seen][0]).toBe('none');
    expect(target.record(utf8('k'))?.blobId).toBe(blob(1));
    expect(b.fatal).toEqual([]);
    await target.close();
    await machine.close();
  });

  test('is what was flushed while more is applied', async () => {
    const { b, machine } = await openBench();
    b.put('k', 1);
    b.feed(machine);
    const snapshot = await machine.openSnapshot();
    b.put('k', 2);
    b.feed(machine);
    await machine.flush();
    const chunks: Uint8Array[] = [];
    for await (const chunk of snapshot.chunks) chunks.push(chunk.slice());
    await snapshot.close();
    const target = await b.open(join(await tempDir(), 'state'));
    await target.installSnapshot(snapshot.point, inPieces(chunks, 5000));
    expect(target.record(utf8('k'))?.blobId).toBe(blob(1));
    await target.close();
    await machine.close();
  });
});

describe('listings', () => {
  const everything = {
    prefix: utf8(''),
    start: utf8(''),
    end: utf8(''),
    after: null,
    limit: 1000,
  };

  test('pages equal those of a sorted list, over stored and young rows', async () => {
    const { b, machine } = await openBench();
    const keys = new Set<string>();
    for (let n = 0; n < 300; n += 1) {
      const key = `${'abc'[n % 3] ?? ''}/${(n * 7919) % 1000}`;
      keys.add(key);
      b.put(key, n + 1);
      if (n === 150) {
        b.feed(machine);
        await machine.flush();
      }
      if (n % 5 === 0) {
        b.commit([remove(key)]);
        keys.delete(key);
      }
    }
    b.feed(machine);
    const sorted = [...keys].map(utf8).sort(compareBytes);
    const key = fc.constantFrom('', 'a', 'a/', 'a/5', 'b/', 'b/77', 'c', 'c/999', 'd');
    await fc.assert(
      fc.asyncProperty(
        key,
        key,
        key,
        fc.option(key),
        fc.integer({ min: 1, max: 400 }),
        async (...r) => {
          const [prefix, start, end, after, limit] = r;
          const expected = sorted.filter((name) => {
            const text = textOf(name);
            return (
              text.startsWith(prefix) &&
              text >= start &&
              (end === '' || text < end) &&
              (after === null || text > after)
            );
          });
          const page = await machine.list({
            prefix: utf8(prefix),
            start: utf8(start),
            end: utf8(end),
            after: after === null ? null : utf8(after),
            limit,
          });
          expect(page.entries.map((entry) => textOf(entry.key))).toEqual(
            expected.slice(0, limit).map(textOf),
          );
          expect(page.more).toBe(expected.length > limit);
        },
      ),
      { numRuns: 40 },
    );
    await machine.close();
  });

  test('a page shows one state, whatever is applied meanwhile', async () => {
    const { b, machine } = await openBench();
    for (let n = 0; n < 40; n += 1) b.put(`k${n}`, n + 1);
    b.feed(machine);
    const asked = machine.list(everything);
    await settle();
    b.commit([remove('k7')]);
    b.feed(machine);
    await machine.flush();
    const page = await asked;
    expect(page.entries).toHaveLength(40);
    expect(page.readIndex).toBe(b.world.index - 1);
    await machine.close();
  });

  test('garbage comes oldest first below the reclaim mark, thin keys in order', async () => {
    const { b, machine } = await openBench();
    b.put('a', 1);
    b.commit([remove('a')]);
    const first = b.world.index;
    b.put('b', 2);
    b.commit([remove('b')]);
    b.commit([b.world.put({ key: 'y', blob: 3, disks: [1, 2] })]);
    b.commit([b.world.put({ key: 'x', blob: 4, disks: [1, 2] })]);
    b.feed(machine);
    expect(await machine.reclaimable(diskId(1), 10)).toEqual([]);
    const marks = { fence: logIndex(0), forget: logIndex(0), timeMs: 0 };
    b.add({ kind: 'advance', ...marks, reclaim: logIndex(first + 1) });
    b.feed(machine);
    expect(await machine.reclaimable(diskId(1), 10)).toEqual([
      { disk: 1, queuedAt: first, copyId: copy(1) },
    ]);
    const names = async (after: Uint8Array | null, limit: number) =>
      (await machine.thin(after, limit)).map((row) => textOf(row.key));
    expect(await names(null, 10)).toEqual(['x', 'y']);
    expect(await names(utf8('x'), 10)).toEqual(['y']);
    expect(await names(null, 1)).toEqual(['x']);
    await machine.close();
  });
});

describe('damage at start', () => {
  /** A folder with flushes in a table file and in LevelDB's own log. */
  async function written(): Promise<{ b: MetadataBench; path: string; table: string }> {
    const { b, path, machine } = await openBench();
    const flushed = async (open: ReplicatedMetadata, from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 1) {
        b.put(`key-${i}`, i);
        b.feed(open);
        await open.flush();
      }
      await open.close();
    };
    await flushed(machine, 0, 40);
    // More than a block of LevelDB's log.
    await flushed(await b.open(path), 40, 140);
    return { b, path, table: join(path, 'metadata-1') };
  }

  async function change(path: string, how: (bytes: Buffer) => unknown): Promise<void> {
    const bytes = await readFile(path);
    how(bytes);
    await writeFile(path, bytes);
  }

  const flip =
    (at: number) =>
    (bytes: Buffer): void => {
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    };
  const fileOf = async (table: string, part: string): Promise<string> =>
    join(table, (await readdir(table)).find((name) => name.includes(part)) ?? part);

  const harms: readonly [string, string, (path: string, table: string) => Promise<void>][] = [
    ['a pointer without a name', 'pointer', (path) => change(join(path, POINTER), flip(0))],
    [
      'a pointer to another table',
      'missing',
      (path) => change(join(path, POINTER), (bytes) => bytes.write('3', 9)),
    ],
    ['no table', 'missing', (_, table) => rm(table, { recursive: true })],
    [
      'a key in a table file',
      'table_file',
      async (_, table) => {
        const file = await fileOf(table, '.ldb');
        await change(file, (bytes) => flip(bytes.indexOf('key-7'))(bytes));
      },
    ],
    [
      'a manifest',
      'unopenable',
      async (_, table) => {
        await change(await fileOf(table, 'MANIFEST'), flip(20));
      },
    ],
    [
      'an earlier flush in the log of LevelDB',
      'flush_chain',
      async (_, table) => {
        const file = await fileOf(table, '.log');
        // The first of two blocks: what LevelDB reads of the second one is a chain with a hole.
        await change(file, flip(2000));
      },
    ],
    [
      'a row that is loaded',
      'row',
      async (_, table) => {
        const db = new Level<Uint8Array, Uint8Array>(table, {
          keyEncoding: 'view',
          valueEncoding: 'view',
          compression: false,
        });
        const marks = Uint8Array.of(TABLE.marks);
        const value = await db.get(marks);
        await db.put(marks, value?.map((byte) => byte ^ 1) ?? marks);
        await db.close();
      },
    ],
  ];

  test.each(harms)('%s is named %s, and the log rebuilds the state', async (_, kind, harm) => {
    const { b, path, table } = await written();
    await harm(path, table);
    const machine = await b.open(path);
    expect(b.damage).toEqual([[kind, 1]]);
    expect(machine.applied.index).toBe(0);
    b.feed(machine);
    expect(machine.digest()).toBe(b.world.state.digest());
    expect(machine.record(utf8('key-7'))?.blobId).toBe(blob(7));
    await machine.close();
    const again = await b.open(path);
    expect(b.damage).toHaveLength(1);
    expect(again.digest()).toBe(b.world.state.digest());
    await again.close();
    expect(b.fatal).toEqual([]);
  });

  test('a folder that was never damaged names nothing', async () => {
    const { b, path } = await written();
    await (await b.open(path)).close();
    expect(b.damage).toEqual([]);
  });
});
