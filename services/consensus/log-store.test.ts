import { describe, expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { Entry } from '../raft/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LogStore } from './log-store.ts';
import { consensusMetrics } from './metrics.ts';

const FOLDER = '/raft';
const NONE = logIndex(0);

const entry = (index: number, inTerm: number, text = `e${index}`): Entry => ({
  index: logIndex(index),
  term: term(inTerm),
  kind: 'command',
  data: new Uint8Array(Buffer.from(text)),
});
const entries = (from: number, to: number, inTerm: number): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, inTerm));
const write = (list: readonly Entry[]) => ({ hardState: null, truncateFrom: null, entries: list });
const vote = (inTerm: number, forNode: number) => ({
  hardState: { term: term(inTerm), vote: nodeId(forNode) },
  truncateFrom: null,
  entries: [],
});

async function open(disk: MemoryDisk, segmentBytes = 1 << 20): Promise<LogStore> {
  const clock = new ManualClock();
  const metrics = consensusMetrics(createMetrics());
  return LogStore.open(
    { disk, clock, logger: silentLogger, metrics },
    { path: FOLDER, segmentBytes },
  );
}

const texts = (store: LogStore): string[] =>
  store.initialState(NONE).entries.map(({ data }) => Buffer.from(data).toString());

/** Overwrites bytes of a file as decay would, durably. */
async function damage(
  disk: MemoryDisk,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const file = await disk.open(`${FOLDER}/${name}`, 'write');
  const bytes = change((await file.read(0, await file.size())).slice());
  await file.truncate(0);
  await file.write(0, [bytes]);
  await file.sync();
  await file.close();
}

const flip = (at: number) => (bytes: Uint8Array) => {
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  return bytes;
};

describe('LogStore', () => {
  test('gives back entries, term and vote after a restart', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([vote(3, 2), write(entries(1, 5, 3))]);
    await store.close();
    const again = await open(disk);
    expect(texts(again)).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
    expect(again.initialState(NONE).hardState).toEqual({ term: 3, vote: 2 });
    expect(again.recovering).toBe(false);
  });

  test('an entry of an earlier index replaces the conflicting rest', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 5, 1))]);
    await store.write([{ ...write([entry(3, 2, 'new')]), truncateFrom: logIndex(3) }]);
    await store.close();
    expect(texts(await open(disk))).toEqual(['e1', 'e2', 'new']);
  });

  test('cuts a torn tail, keeps it aside and goes on', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 3, 1))]);
    await store.write([write(entries(4, 6, 1))]);
    // No clean close: the witness stands at the beginning of this life's segment.
    disk.crash();
    await damage(disk, '0000000001.log', (bytes) => bytes.subarray(0, bytes.length - 5));
    const again = await open(disk);
    expect(texts(again)).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
    expect(again.recovering).toBe(false);
    expect(await disk.list(FOLDER)).toContain('0000000001.log.broken');
    await again.write([write([entry(6, 2, 'six')])]);
    await again.close();
    expect(texts(await open(disk))).toEqual(['e1', 'e2', 'e3', 'e4', 'e5', 'six']);
  });

  test('a flipped bit below what was durable is corruption: the node recovers and does not vote', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 3, 1))]);
    await store.write([write(entries(4, 6, 1))]);
    disk.crash();
    await damage(disk, '0000000001.log', flip(120));
    const again = await open(disk);
    expect(again.recovering).toBe(true);
    expect(again.initialState(NONE).recovering).toBe(true);
    expect(texts(again).length).toBeLessThan(3);
    await again.setRecovered();
    await again.close();
    expect((await open(disk)).recovering).toBe(false);
  });

  test('a log shorter than its witness is a loss', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 3, 1))]);
    await store.close();
    for (const name of await disk.list(FOLDER)) {
      if (name.endsWith('.log')) await disk.remove(`${FOLDER}/${name}`);
    }
    await disk.syncFolder(FOLDER);
    expect((await open(disk)).recovering).toBe(true);
  });

  test('the vote survives the loss of either of its homes', async () => {
    for (const lost of ['log', 'vote'] as const) {
      const disk = new MemoryDisk();
      const store = await open(disk);
      await store.write([vote(7, 3)]);
      await store.close();
      if (lost === 'vote') await disk.remove(`${FOLDER}/vote`);
      else await disk.remove(`${FOLDER}/0000000001.log`);
      await disk.syncFolder(FOLDER);
      expect((await open(disk)).initialState(NONE).hardState).toEqual({ term: 7, vote: 3 });
    }
  });

  test('compaction removes whole segments from the front and replay starts behind them', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    for (let i = 1; i <= 40; i += 1) await store.write([write([entry(i, 1)])]);
    const before = (await disk.list(FOLDER)).length;
    await store.compact({ index: logIndex(30), term: term(1) });
    expect((await disk.list(FOLDER)).length).toBeLessThan(before);
    await store.close();
    const { base, entries: kept } = (await open(disk)).initialState(logIndex(30));
    expect(base.index).toBeGreaterThan(0);
    expect(base.index).toBeLessThanOrEqual(30);
    expect(kept[0]?.index).toBe(base.index + 1);
    expect(kept.at(-1)?.index).toBe(40);
  });

  test('a restart behind a snapshot leaves an empty log with its base', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 5, 1))]);
    await store.restart({ index: logIndex(100), term: term(4) });
    await store.write([write([entry(101, 4)])]);
    await store.close();
    const again = (await open(disk)).initialState(logIndex(100));
    expect(again.base).toEqual({ index: 100, term: 4 });
    expect(again.entries.map(({ index }) => index)).toEqual([101]);
  });

  test('every cut of the last write gives back the writes before it, whole', async () => {
    const whole = new MemoryDisk();
    const store = await open(whole);
    await store.write([write(entries(1, 2, 1))]);
    const file = await whole.open(`${FOLDER}/0000000001.log`, 'read');
    const durableBytes = await file.size();
    await store.write([write(entries(3, 4, 1))]);
    const size = await file.size();
    for (let cut = durableBytes; cut < size; cut += 7) {
      const disk = new MemoryDisk();
      const copy = await open(disk);
      await copy.write([write(entries(1, 2, 1))]);
      await copy.write([write(entries(3, 4, 1))]);
      disk.crash();
      await damage(disk, '0000000001.log', (bytes) => bytes.subarray(0, cut));
      const found = texts(await open(disk));
      expect(found.slice(0, 2)).toEqual(['e1', 'e2']);
      expect(['e1', 'e2', 'e3', 'e4'].slice(0, found.length)).toEqual(found);
    }
  });
});
