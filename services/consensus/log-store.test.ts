import { describe, expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import type { Disk } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { Entry } from '../raft/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { PowerCut } from '../testing/power-cut.ts';
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

async function open(
  disk: Disk,
  segmentBytes = 1 << 20,
  metrics: Metrics = createMetrics(),
  isMember = false,
): Promise<LogStore> {
  const parts = { disk, clock: new ManualClock(), random: seededRandom(1), logger: silentLogger };
  return LogStore.open(
    { ...parts, metrics: consensusMetrics(metrics) },
    { path: FOLDER, segmentBytes, isMember },
  );
}

const texts = (store: LogStore): string[] =>
  store.initialState(NONE).entries.map(({ data }) => Buffer.from(data).toString());

const openMember = (disk: MemoryDisk, metrics?: Metrics): Promise<LogStore> =>
  open(disk, undefined, metrics, true);

const point = (index: number, inTerm: number) => ({ index: logIndex(index), term: term(inTerm) });

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

const FIRST = 'log/000000000001.log';
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

  test('S9: cuts a torn tail, keeps it aside and goes on', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 3, 1))]);
    await store.write([write(entries(4, 6, 1))]);
    // No clean close: the witness stands at the beginning of this life's segment.
    disk.crash();
    await damage(disk, FIRST, (bytes) => bytes.subarray(0, bytes.length - 5));
    const again = await open(disk);
    expect(texts(again)).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
    expect(again.recovering).toBe(false);
    const kept = await disk.list(`${FOLDER}/log`);
    expect(kept.some((name) => name.endsWith('.broken'))).toBe(true);
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
    await damage(disk, FIRST, flip(120));
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
    await disk.removeFolder(`${FOLDER}/log`);
    expect((await open(disk)).recovering).toBe(true);
  });

  test('the vote survives the loss of either of its homes', async () => {
    for (const lost of ['log', 'vote'] as const) {
      const disk = new MemoryDisk();
      const store = await open(disk);
      await store.write([vote(7, 3)]);
      await store.close();
      if (lost === 'vote') await disk.remove(`${FOLDER}/vote`);
      else await disk.remove(`${FOLDER}/${FIRST}`);
      await disk.syncFolder(FOLDER);
      expect((await open(disk)).initialState(NONE).hardState).toEqual({ term: 7, vote: 3 });
    }
  });

  test('compaction removes whole segments from the front and replay starts behind them', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    for (let i = 1; i <= 40; i += 1) await store.write([write([entry(i, 1)])]);
    const before = (await disk.list(`${FOLDER}/log`)).length;
    await store.compact({ index: logIndex(30), term: term(1) });
    expect((await disk.list(`${FOLDER}/log`)).length).toBeLessThan(before);
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
    const file = await whole.open(`${FOLDER}/${FIRST}`, 'read');
    const durableBytes = await file.size();
    await store.write([write(entries(3, 4, 1))]);
    const size = await file.size();
    for (let cut = durableBytes; cut < size; cut += 7) {
      const disk = new MemoryDisk();
      const copy = await open(disk);
      await copy.write([write(entries(1, 2, 1))]);
      await copy.write([write(entries(3, 4, 1))]);
      disk.crash();
      await damage(disk, FIRST, (bytes) => bytes.subarray(0, cut));
      const found = texts(await open(disk));
      expect(found.slice(0, 2)).toEqual(['e1', 'e2']);
      expect(['e1', 'e2', 'e3', 'e4'].slice(0, found.length)).toEqual(found);
    }
  });
});

describe('LogStore in line with its state machine', () => {
  async function written(): Promise<MemoryDisk> {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([vote(2, 1), write(entries(1, 5, 2))]);
    await store.close();
    return disk;
  }

  test('nothing happens where the log reaches over the flushed point', async () => {
    const store = await open(await written());
    await store.align(point(5, 2), false);
    expect(store.recovering).toBe(false);
    expect(texts(store)).toHaveLength(5);
  });

  test('an installed snapshot that the log does not reach ends in a restart, not in recovering', async () => {
    const disk = await written();
    const store = await open(disk);
    await store.align(point(9, 3), true);
    expect(store.recovering).toBe(false);
    const { base, entries: rest, hardState } = store.initialState(logIndex(9));
    expect([base, rest, hardState]).toEqual([point(9, 3), [], { term: 2, vote: 1 }]);
    await store.write([write([entry(10, 3)])]);
    await store.close();
    expect(texts(await open(disk))).toEqual(['e10']);
  });

  test.each([
    ['ends before it', point(6, 2)],
    ['has another term there', point(4, 1)],
  ])('a log that %s has lost something', async (_, flushed) => {
    const disk = await written();
    const store = await open(disk);
    await store.align(flushed, false);
    await store.close();
    const again = await open(disk);
    expect(again.recovering).toBe(true);
    expect(again.initialState(flushed.index).base).toEqual(flushed);
  });

  test('a restart behind a gap is the end of the loss, also for later starts', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    // An index is left out, as no right program would.
    await store.write([vote(2, 1), write([...entries(1, 5, 2), ...entries(7, 8, 2)])]);
    await store.close();
    const again = await open(disk, 400);
    await again.align(point(3, 2), false);
    expect(again.recovering).toBe(true);
    expect(again.initialState(logIndex(3))).toMatchObject({ base: point(3, 2), entries: [] });
    // The leader's log comes, over several segments.
    for (let i = 4; i <= 30; i += 1) await again.write([write([entry(i, 3)])]);
    await again.setRecovered();
    await again.compact(point(20, 3));
    await again.close();
    const healed = await open(disk, 400);
    await healed.align(point(20, 3), false);
    expect(healed.recovering).toBe(false);
    const { base, entries: kept } = healed.initialState(logIndex(20));
    expect(kept.map(({ index }) => index)).toEqual(
      entries(base.index + 1, 30, 3).map((e) => e.index),
    );
  });

  test('a state machine behind the cut log starts over, recovering', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    for (let i = 1; i <= 40; i += 1) await store.write([write([entry(i, 1)])]);
    await store.compact(point(30, 1));
    await store.close();
    const again = await open(disk, 400);
    await again.align(point(0, 0), true);
    expect(again.recovering).toBe(true);
    expect(again.initialState(NONE)).toMatchObject({ base: point(0, 0), entries: [] });
  });
});

describe('LogStore after faults', () => {
  const twoWrites = async (disk: MemoryDisk, segmentBytes?: number): Promise<void> => {
    const store = await open(disk, segmentBytes);
    await store.write([vote(4, 2), write(entries(1, 3, 1))]);
    await store.write([write(entries(4, 6, 1))]);
    disk.crash();
  };

  test('a crash at any step of a repair does not hide the loss', async () => {
    for (const call of ['write', 'sync', 'syncFolder', 'open'] as const) {
      for (let nth = 0; nth < 12; nth += 1) {
        const disk = new MemoryDisk();
        await twoWrites(disk);
        disk.flipBit(`${FOLDER}/${FIRST}`, 200);
        // The nth such call fails, and the machine with it.
        for (let i = 0; i < nth; i += 1) disk.skipNext(call);
        disk.failNext(call);
        await open(disk).catch(() => undefined);
        disk.crash();
        const again = await open(disk);
        expect({ call, nth, recovering: again.recovering }).toMatchObject({ recovering: true });
        expect(again.initialState(NONE).hardState).toEqual({ term: 4, vote: 2 });
      }
    }
  });

  test('a kill just after a segment was begun leaves a log that opens', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk, 100);
    const next = (await disk.list(`${FOLDER}/log`)).length + 1;
    await (await disk.open(`${FOLDER}/log/00000000000${next}.log`, 'create')).close();
    const again = await open(disk, 100);
    expect(again.recovering).toBe(false);
    await again.write([write([entry(7, 1)])]);
    expect(texts(await open(disk))).toHaveLength(7);
  });

  test('a segment lost from the middle is a loss', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    for (let i = 1; i <= 40; i += 1) await store.write([write([entry(i, 1)])]);
    await store.close();
    await disk.remove(`${FOLDER}/log/000000000002.log`);
    expect((await open(disk)).recovering).toBe(true);
  });

  test('R24: a segment lost from the front is a loss', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk, 400);
    for (let i = 1; i <= 40; i += 1) await store.write([write([entry(i, 1)])]);
    await store.close();
    await disk.remove(`${FOLDER}/log/000000000001.log`);
    const again = await open(disk);
    await again.align(point(20, 1), false);
    expect(again.recovering).toBe(true);
  });

  test('what was read from a tail that no sync covered is durable once the log is open', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await store.write([write(entries(1, 3, 1))]);
    disk.failNext('sync', FIRST);
    await expect(store.write([write(entries(4, 6, 1))])).rejects.toMatchObject({
      code: 'DISK_FAILED',
    });
    // Killed, not crashed: the pages are still there, though a plain sync would not write them.
    expect(texts(await open(disk))).toHaveLength(6);
    disk.crash();
    expect(texts(await open(disk))).toHaveLength(6);
  });

  test('without the vote file the log speaks for term and vote, and the node recovers', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk);
    for (const at of [20, 4096 + 20]) disk.flipBit(`${FOLDER}/vote`, at);
    const metrics = createMetrics();
    const again = await open(disk, 1 << 20, metrics);
    expect(again.initialState(NONE).hardState).toEqual({ term: 4, vote: 2 });
    expect(again.recovering).toBe(true);
    expect(await metrics.print()).toContain('minikv_raft_log_damage_total{kind="vote_file"} 1');
  });

  test('with both homes damaged there is no identity, and nothing is changed', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk);
    for (const at of [20, 4096 + 20]) disk.flipBit(`${FOLDER}/vote`, at);
    disk.flipBit(`${FOLDER}/${FIRST}`, 200);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(open(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
  });

  test('R27: a member whose folder is gone has no identity; a new node has merely not voted yet', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk);
    await disk.removeFolder(FOLDER);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(openMember(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
    const fresh = await open(new MemoryDisk());
    expect(fresh.recovering).toBe(false);
    expect(fresh.initialState(NONE).hardState).toEqual({ term: 0, vote: 0 });
  });

  test('a member that crashed before its first append has lost nothing', async () => {
    const disk = new MemoryDisk();
    await open(disk);
    disk.crash();
    expect((await openMember(disk)).recovering).toBe(false);
  });

  test('a member that lost its log alone recovers with the vote that it gave', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk);
    await disk.removeFolder(`${FOLDER}/log`);
    const metrics = createMetrics();
    const again = await openMember(disk, metrics);
    expect(again.recovering).toBe(true);
    expect(again.initialState(NONE).hardState).toEqual({ term: 4, vote: 2 });
    expect(await metrics.print()).toContain('minikv_raft_log_damage_total{kind="lost"} 1');
  });

  test('a vote file that is gone takes witness and recovering mark with it: the node recovers', async () => {
    const disk = new MemoryDisk();
    await twoWrites(disk);
    await disk.remove(`${FOLDER}/vote`);
    const metrics = createMetrics();
    const again = await open(disk, undefined, metrics);
    expect(again.recovering).toBe(true);
    expect(again.initialState(NONE).hardState).toEqual({ term: 4, vote: 2 });
    expect(await metrics.print()).toContain('minikv_raft_log_damage_total{kind="vote_file"} 1');
  });

  test('a newer slot that decays leaves the vote to the log, and is named', async () => {
    for (const at of [20, 4096 + 20]) {
      const disk = new MemoryDisk();
      await twoWrites(disk);
      disk.flipBit(`${FOLDER}/vote`, at);
      const metrics = createMetrics();
      const again = await openMember(disk, metrics);
      expect(again.recovering).toBe(false);
      expect(again.initialState(NONE).hardState).toEqual({ term: 4, vote: 2 });
      expect(await metrics.print()).toContain('minikv_raft_log_damage_total{kind="vote_slot"} 1');
      await again.close();
      const healed = createMetrics();
      await openMember(disk, healed);
      expect(await healed.print()).toContain('minikv_raft_log_damage_total{kind="vote_slot"} 0');
    }
  });

  test('a vote that may have stood in both damaged homes is never guessed', async () => {
    const tornTail = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length - 5);
    const harms: Record<string, (disk: MemoryDisk) => Promise<void>> = {
      'no vote file and a torn tail': async (disk) => {
        await disk.remove(`${FOLDER}/vote`);
        await damage(disk, FIRST, tornTail);
      },
      'a bad vote file and a torn tail': async (disk) => {
        for (const at of [20, 4096 + 20]) disk.flipBit(`${FOLDER}/vote`, at);
        await damage(disk, FIRST, tornTail);
      },
      'a bad slot and a log cut below what was synced': async (disk) => {
        disk.flipBit(`${FOLDER}/vote`, 20);
        await damage(disk, FIRST, flip(120));
      },
    };
    for (const [name, harm] of Object.entries(harms)) {
      const disk = new MemoryDisk();
      await twoWrites(disk);
      await harm(disk);
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const opened = await openMember(disk).catch((error: unknown) => error);
        expect({ name, opened }).toMatchObject({ name, opened: { code: 'CORRUPT' } });
      }
    }
  });

  test('calls that overlap take effect in their order', async () => {
    const disk = new MemoryDisk();
    const store = await open(disk);
    await Promise.all([
      store.write([write(entries(1, 3, 1))]),
      store.restart(point(10, 2)),
      store.write([write([entry(11, 2)])]),
    ]);
    const { base, entries: rest } = (await open(disk)).initialState(logIndex(10));
    expect([base.index, rest.map(({ index }) => index)]).toEqual([10, [11]]);
  });

  test('any crash keeps every resolved write and never looks like damage', async () => {
    for (let seed = 1; seed <= 80; seed += 1) {
      const random = seededRandom(seed);
      const disk = new MemoryDisk();
      let resolved = 0;
      let next = 1;
      for (let life = 0; life < 4; life += 1) {
        const store = await open(disk, 600, createMetrics(), life > 0);
        const found = texts(store);
        expect({ seed, recovering: store.recovering }).toMatchObject({ recovering: false });
        expect(found.length).toBeGreaterThanOrEqual(resolved);
        next = found.length + 1;
        for (let i = random.below(6); i > 0; i -= 1) {
          const count = 1 + random.below(4);
          await store.write([write(entries(next, next + count - 1, 1))]);
          next += count;
        }
        resolved = next - 1;
        const release = disk.holdSyncs();
        const unfinished = store.write([write(entries(next, next + 3, 1))]).catch(() => 'crashed');
        await new Promise((resolve) => setImmediate(resolve));
        disk.crash({ random });
        release();
        await unfinished;
      }
    }
  });
});

describe('a vote while the log restarts behind a snapshot', () => {
  const SNAPSHOT = point(50, 4);

  /** What was called, in this order and at once; the power fails at a change of the disk. */
  async function story(order: 'vote first' | 'restart first', cutAt: number) {
    const disk = new MemoryDisk();
    const store = await open(disk, 300);
    await store.write([vote(3, 2), write(entries(1, 30, 3))]);
    await store.close();
    const cut = new PowerCut(disk, cutAt);
    const again = await open(cut.disk, 300);
    const resolved = new Set<string>();
    const call = (name: string, done: Promise<void>): Promise<void> =>
      done.then(
        () => void resolved.add(name),
        () => undefined,
      );
    const calls: Promise<void>[] = [];
    const giveVote = (): void => void calls.push(call('vote', again.write([vote(5, 1)])));
    const restart = (): void => void calls.push(call('restart', again.restart(SNAPSHOT)));
    if (order === 'vote first') giveVote();
    restart();
    if (order === 'restart first') giveVote();
    calls.push(call('entries', again.write([write([entry(51, 5)])])));
    await Promise.all(calls);
    return { disk, resolved, changes: cut.changes };
  }

  test.each(['vote first', 'restart first'] as const)(
    'both take effect, whatever a power cut leaves: %s',
    async (order) => {
      const { changes } = await story(order, Number.POSITIVE_INFINITY);
      const opening = (await story(order, Number.POSITIVE_INFINITY)).changes;
      expect(opening).toBe(changes);
      const seen = new Set<string>();
      for (let cutAt = 1; cutAt <= changes + 1; cutAt += 1) {
        let told: Awaited<ReturnType<typeof story>>;
        try {
          told = await story(order, cutAt);
        } catch {
          // The power failed while the log was still being opened.
          continue;
        }
        const { disk, resolved } = told;
        seen.add([...resolved].join());
        disk.crash({ random: seededRandom(cutAt) });
        const after = await open(disk, 300, createMetrics(), true);
        await after.align(SNAPSHOT, true);
        const { hardState, base, entries: kept } = after.initialState(SNAPSHOT.index);
        const votes = resolved.has('vote') ? ['5 1'] : ['3 2', '5 1'];
        expect(votes).toContain(`${hardState.term} ${hardState.vote}`);
        expect([base.index, after.recovering]).toEqual([50, false]);
        if (resolved.has('entries')) expect(kept.map(({ index }) => index)).toEqual([51]);
      }
      // Cuts fell before, between and behind the calls.
      expect(seen.size).toBeGreaterThan(2);
    },
  );

  test('the vote is in the log itself, though the segment that it was written to is gone', async () => {
    for (const order of ['vote first', 'restart first'] as const) {
      const { disk } = await story(order, Number.POSITIVE_INFINITY);
      const held = await disk.list(`${FOLDER}/log`);
      const store = await open(disk, 300, createMetrics(), true);
      await store.align(SNAPSHOT, true);
      for (let i = 52; i <= 70; i += 1) await store.write([write([entry(i, 5)])]);
      await store.restart(point(80, 5));
      await store.write([write(entries(81, 82, 5))]);
      const left = await disk.list(`${FOLDER}/log`);
      expect(held.filter((name) => left.includes(name))).toEqual([]);
      disk.crash();
      await damage(disk, 'vote', (bytes) => bytes.fill(0xff));
      const after = await open(disk, 300, createMetrics(), true);
      expect(after.initialState(logIndex(80)).hardState).toEqual({ term: 5, vote: 1 });
    }
  });
});
