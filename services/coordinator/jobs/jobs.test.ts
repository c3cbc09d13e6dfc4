import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../../common/bytes.ts';
import { copyOfWrite, type DiskId, diskId, logIndex } from '../../common/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../../common/units.ts';
import { preference } from '../../placement/replicas.ts';
import { shardOf } from '../../placement/shard.ts';
import { CoordinatorWorld } from '../../testing/coordinator-world.ts';
import type { VoteResult } from '../volume-port.ts';
import { AdvanceJob } from './advance.ts';
import { PeriodicJob } from './periodic-job.ts';
import { Reaper } from './reaper.ts';
import { Repair } from './repair.ts';
import { Wipe } from './wipe.ts';

const value = utf8('a value');
const key = utf8('k');

describe('a periodic job', () => {
  test('never overlaps with itself, survives failures and stops after its run', async () => {
    const { clock, logger } = new CoordinatorWorld();
    let runs = 0;
    let finish: (error?: Error) => void = () => undefined;
    let signal: AbortSignal | null = null;
    const job = new PeriodicJob(
      { clock, logger },
      {
        name: 'test',
        intervalMs: 100,
        isDue: () => true,
        run: (given) => {
          runs += 1;
          signal = given;
          return new Promise((resolve, reject) => {
            finish = (error) => (error === undefined ? resolve() : reject(error));
          });
        },
      },
    );
    job.start();
    await clock.advance(1000);
    expect(runs).toBe(1);
    finish(new Error('failed'));
    await clock.advance(100);
    expect(runs).toBe(2);
    let hasStopped = false;
    const stopping = job.stop().then(() => {
      hasStopped = true;
    });
    await clock.flush();
    expect([hasStopped, (signal as AbortSignal | null)?.aborted]).toEqual([false, true]);
    finish();
    await stopping;
    await clock.advance(1000);
    expect(runs).toBe(2);
  });
});

describe('advance', () => {
  const options = { fenceMs: MINUTE_MS, graceMs: 10 * MINUTE_MS, outcomesMax: 5 };
  const start = (world: CoordinatorWorld, more = {}): AdvanceJob => {
    const job = new AdvanceJob(world, { ...options, ...more });
    job.start();
    return job;
  };

  test('proposes nothing at rest', async () => {
    const world = new CoordinatorWorld();
    start(world);
    await world.done(world.put('k', value));
    await world.clock.advance(60 * MINUTE_MS);
    expect(world.consensus.commandsOf('advance')).toHaveLength(0);
  });

  test('asked, the fence passes what was asked about after fenceMs and not before', async () => {
    const world = new CoordinatorWorld();
    const job = start(world);
    await world.done(world.put('k', value));
    const birth = world.metadata.appliedIndex;
    await world.clock.advance(SECOND_MS);
    job.hint();
    await world.clock.advance(40 * SECOND_MS);
    expect(world.metadata.marks.fence).toBeLessThanOrEqual(birth);
    await world.clock.advance(60 * SECOND_MS);
    expect(world.metadata.marks.fence).toBeGreaterThan(birth);
    const proposals = world.consensus.commandsOf('advance').length;
    await world.clock.advance(10 * MINUTE_MS);
    expect(world.consensus.commandsOf('advance')).toHaveLength(proposals);
  });

  test('a coordinator that is no leader advances when asked, and only then', async () => {
    const world = new CoordinatorWorld();
    world.consensus.role = 'follower';
    const job = start(world);
    await world.done(world.put('k', value));
    await world.done(world.put('k', value));
    await world.clock.advance(20 * MINUTE_MS);
    expect(world.consensus.commandsOf('advance')).toHaveLength(0);
    job.hint();
    await world.clock.advance(MINUTE_MS);
    expect(world.consensus.commandsOf('advance').length).toBeGreaterThan(0);
  });

  test('garbage may go after the grace, and then it is quiet again', async () => {
    const world = new CoordinatorWorld();
    start(world);
    const reaper = new Reaper(world);
    reaper.start();
    await world.done(world.put('k', value));
    await world.done(world.put('k', utf8('newer')));
    const queuedAt = world.metadata.appliedIndex;
    await world.clock.advance(9 * MINUTE_MS);
    expect(world.metadata.marks.reclaim).toBeLessThanOrEqual(queuedAt);
    expect(world.metadata.counters.garbage).toBe(3);
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.metadata.counters.garbage).toBe(0);
    expect(world.volumes.at(1).states()).toEqual(['dropped', 'committed']);
    const before = world.consensus.proposed.length;
    await world.clock.advance(30 * MINUTE_MS);
    expect(world.consensus.proposed).toHaveLength(before);
  });

  test('outcomes older than the newest few are forgotten, the newest are kept', async () => {
    const world = new CoordinatorWorld();
    start(world);
    const ids = [];
    for (let i = 0; i < 30; i += 1) {
      const { txnId } = await world.done(world.put(`k${i}`, value));
      ids.push(txnId);
      await world.clock.advance(15 * SECOND_MS);
    }
    await world.clock.advance(5 * MINUTE_MS);
    const known = ids.map((id) => world.metadata.outcome(id) !== undefined);
    expect(known.slice(-5)).toEqual([true, true, true, true, true]);
    expect(known[0]).toBe(false);
    expect(world.metadata.marks.forget).toBeLessThanOrEqual(world.metadata.marks.fence);
  });
});

describe('the reaper', () => {
  /** Garbage of one overwrite that may go at once. */
  async function garbage(): Promise<CoordinatorWorld> {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', value));
    await world.done(world.put('k', utf8('newer')));
    const reclaim = logIndex(world.metadata.appliedIndex + 1);
    world.consensus.apply({
      kind: 'advance',
      fence: reclaim,
      reclaim,
      forget: logIndex(0),
      timeMs: 0,
    });
    return world;
  }

  test('drops on live disks; a disk that is away keeps its rows until it is back', async () => {
    const world = await garbage();
    world.volumes.at(2).isHeard = false;
    new Reaper(world).start();
    await world.clock.advance(3 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(1);
    expect(world.volumes.at(2).states()).toEqual(['committed', 'committed']);
    world.volumes.at(2).isHeard = true;
    await world.clock.advance(3 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(0);
    expect(world.volumes.at(2).states()).toEqual(['dropped', 'committed']);
  });

  test('a drop that is not acknowledged keeps its row', async () => {
    const world = await garbage();
    world.volumes.at(2).mood = 'failing';
    new Reaper(world).start();
    await world.clock.advance(10 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(1);
  });

  test('a gone disk loses its rows', async () => {
    const world = await garbage();
    world.volumes.at(2).isHeard = false;
    world.consensus.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
    new Reaper(world).start();
    await world.clock.advance(3 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(0);
  });

  test('rows that were proposed and lost are proposed again', async () => {
    const world = await garbage();
    world.consensus.mode = 'lose';
    new Reaper(world).start();
    await world.clock.advance(2 * SECOND_MS);
    world.consensus.mode = 'apply';
    await world.clock.advance(5 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(0);
  });

  test('stops at once while a disk does not answer', async () => {
    const world = await garbage();
    for (const volume of world.volumes.all()) volume.mood = 'silent';
    const reaper = new Reaper(world);
    reaper.start();
    await world.clock.advance(SECOND_MS);
    expect(world.volumes.at(2).calls.at(-1)).toBe('drop');
    await world.done(reaper.stop());
  });

  test('one that is no leader does nothing', async () => {
    const world = await garbage();
    world.consensus.role = 'follower';
    new Reaper(world).start();
    await world.clock.advance(10 * SECOND_MS);
    expect(world.metadata.counters.garbage).toBe(3);
  });
});

describe('repair', () => {
  const start = (world: CoordinatorWorld, replicas = 3): Repair => {
    const repair = new Repair({ ...worldParts(world), registry: world.volumes }, { replicas });
    repair.start();
    return repair;
  };
  const worldParts = (world: CoordinatorWorld) => {
    const { clock, random, logger, consensus, metadata, volumes, metrics } = world;
    return { clock, random, logger, consensus, metadata, volumes, metrics };
  };
  const disksOf = (world: CoordinatorWorld, name = 'k') =>
    (world.metadata.record(utf8(name))?.copies ?? []).map(({ disk }) => disk as number).sort();

  /** A key written while `down` was away. */
  async function thinWorld(down: number, volumes = 3): Promise<CoordinatorWorld> {
    const world = new CoordinatorWorld({ volumes });
    world.volumes.at(down).isHeard = false;
    await world.done(world.put('k', value));
    return world;
  }

  test('fills a thin key as soon as its volume is back', async () => {
    const world = await thinWorld(2);
    start(world);
    await world.clock.advance(MINUTE_MS);
    expect(disksOf(world)).toEqual([1, 3]);
    world.volumes.at(2).isHeard = true;
    world.volumes.changed();
    await world.settle();
    expect(disksOf(world)).toEqual([1, 2, 3]);
    expect(world.metadata.counters.underReplicated).toBe(0);
    world.cache.resize(0);
    for (const disk of [1, 3]) world.volumes.at(disk).isHeard = false;
    expect(await world.done(world.get('k'))).toEqual(value);
  });

  test('a repaired copy has a fresh id, and the value keeps its own', async () => {
    const world = await thinWorld(2);
    const before = world.metadata.record(key);
    world.volumes.at(2).isHeard = true;
    start(world);
    await world.clock.advance(2 * SECOND_MS);
    const after = world.metadata.record(key);
    expect(after?.blobId).toBe(before?.blobId);
    expect(after?.copies.find(({ disk }) => disk === 2)?.copyId).not.toBe(after?.blobId);
  });

  test('keeps the place of a volume that left, for as long as it is awaited', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    const [left, other] = preference(
      shardOf(key),
      [3, 4].map((disk) => ({ disk: diskId(disk), zone: '', capacityBytes: 2 ** 40 })),
    ).map(({ disk }) => disk as number);
    if (left === undefined || other === undefined) throw new Error('no preference');
    for (const disk of [left, other]) world.volumes.at(disk).isHeard = false;
    await world.done(world.put('k', value));
    world.volumes.await(left, true);
    world.volumes.at(other).isHeard = true;
    start(world);
    await world.clock.advance(MINUTE_MS);
    expect(disksOf(world)).toEqual([1, 2]);
    world.volumes.await(left, false);
    await world.clock.advance(2 * SECOND_MS);
    expect(disksOf(world)).toEqual([1, 2, other]);
  });

  test('replaces a bad copy, on its own disk where there is none other', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', value));
    const bad = world.metadata.record(key)?.copies[0];
    if (bad === undefined) throw new Error('no copy');
    for (const copy of world.volumes.at(bad.disk).copies.values()) copy.isBad = true;
    const blobId = world.metadata.record(key)?.blobId;
    world.consensus.apply({ kind: 'suspect', key, blobId: blobId!, ...bad });
    start(world);
    await world.clock.advance(3 * SECOND_MS);
    expect(disksOf(world)).toEqual([1, 2, 3]);
    expect(world.metadata.record(key)?.copies).not.toContainEqual(bad);
    expect(world.metadata.counters.underReplicated).toBe(0);
  });

  test('a corrupt source is reported and the next one is used', async () => {
    const world = await thinWorld(3);
    for (const copy of world.volumes.at(1).copies.values()) copy.isBad = true;
    world.volumes.at(3).isHeard = true;
    start(world);
    await world.clock.advance(5 * SECOND_MS);
    expect(world.consensus.commandsOf('suspect').every(({ disk }) => disk === 1)).toBe(true);
    expect(world.volumes.at(3).states()).toContain('staged');
    expect(world.metadata.counters.underReplicated).toBe(0);
  });

  test('overwritten while it was copied: the move is refused and nothing is harmed', async () => {
    const world = await thinWorld(2);
    world.volumes.at(2).isHeard = true;
    world.consensus.mode = 'hold';
    start(world);
    await world.clock.advance(SECOND_MS);
    world.consensus.mode = 'apply';
    await world.done(world.put('k', utf8('newer')));
    world.consensus.release();
    await world.clock.advance(3 * SECOND_MS);
    world.cache.resize(0);
    expect(await world.done(world.get('k'))).toEqual(utf8('newer'));
  });

  test('a volume restart between pull and apply strikes the new copy', async () => {
    const world = await thinWorld(2);
    world.volumes.at(2).isHeard = true;
    world.consensus.mode = 'hold';
    start(world);
    await world.clock.advance(SECOND_MS);
    world.register(2);
    world.consensus.release();
    expect(disksOf(world)).toEqual([1, 3]);
    world.consensus.mode = 'apply';
    await world.clock.advance(15 * SECOND_MS);
    expect(disksOf(world)).toEqual([1, 2, 3]);
  });

  const pulls = (world: CoordinatorWorld): number =>
    world.volumes
      .all()
      .flatMap(({ calls }) => calls)
      .filter((call) => call === 'pull').length;

  test('stops at once while a pull hangs, asks no other source and moves nothing', async () => {
    const world = await thinWorld(2);
    const pulled = Promise.withResolvers<VoteResult>();
    const asked: DiskId[] = [];
    world.volumes.pull = (_disk, { sourceDisk }) => {
      asked.push(sourceDisk);
      return pulled.promise;
    };
    world.volumes.at(2).isHeard = true;
    const repair = start(world);
    await world.clock.advance(SECOND_MS);
    expect(asked).toHaveLength(1);
    await world.done(repair.stop());
    pulled.resolve({ disk: diskId(2), session: world.volumes.at(2).session });
    await world.clock.advance(MINUTE_MS);
    expect(asked).toHaveLength(1);
    expect(world.consensus.commandsOf('move')).toHaveLength(0);
  });

  test('stops at once while the outcome of a move is awaited', async () => {
    const world = await thinWorld(2);
    world.volumes.at(2).isHeard = true;
    world.consensus.mode = 'lose';
    const repair = start(world);
    await world.clock.advance(SECOND_MS);
    expect(world.consensus.commandsOf('move')).toHaveLength(1);
    await world.done(repair.stop());
  });

  test('stops at once while it looks at the copies that stay', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    await world.done(world.put('k', value));
    const repair = start(world, 2);
    const { blobId, copies } = world.metadata.record(key)!;
    const [bad] = copies;
    world.consensus.apply({ kind: 'suspect', key, blobId, ...bad! });
    for (const volume of world.volumes.all()) volume.mood = 'silent';
    await world.clock.advance(SECOND_MS);
    expect(world.volumes.all().flatMap(({ calls }) => calls)).toContain('fetch');
    await world.done(repair.stop());
  });

  test('ends its walk when it leads no longer', async () => {
    const world = new CoordinatorWorld();
    world.volumes.at(2).isHeard = false;
    for (let i = 0; i < 20; i += 1) await world.done(world.put(`k${i}`, value));
    world.volumes.at(2).isHeard = true;
    world.consensus.mode = 'hold';
    const repair = start(world);
    await world.clock.advance(SECOND_MS);
    const begun = pulls(world);
    expect(begun).toBeGreaterThan(0);
    expect(begun).toBeLessThan(20);
    world.consensus.role = 'follower';
    world.consensus.release();
    await world.clock.advance(MINUTE_MS);
    expect(pulls(world)).toBe(begun);
    await world.done(repair.stop());
  });

  test('a disk declared gone: its keys are found and repaired elsewhere', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    for (let i = 0; i < 20; i += 1) await world.done(world.put(`k${i}`, value));
    world.volumes.at(2).isHeard = false;
    world.consensus.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
    new Wipe(world).start();
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    for (let i = 0; i < 20; i += 1) {
      expect(disksOf(world, `k${i}`)).toEqual([1, 3, 4]);
    }
    expect(world.metadata.disk(diskId(2))?.refs).toBe(0);
    const before = world.consensus.proposed.length;
    await world.clock.advance(5 * MINUTE_MS);
    expect(world.consensus.proposed).toHaveLength(before);
  });

  test('the search for keys of a gone disk stops at once while a barrier hangs', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    await world.done(world.put('k', value));
    const disk = world.metadata.record(key)!.copies[0]!.disk;
    world.consensus.apply({ kind: 'set-disk', disk, state: 'gone', zone: null });
    world.consensus.readBarrier = () => new Promise(() => undefined);
    const wipe = new Wipe(world);
    wipe.start();
    await world.clock.advance(SECOND_MS);
    expect(world.consensus.commandsOf('suspect')).toHaveLength(1);
    await world.done(wipe.stop());
  });

  test('the search for keys of a gone disk ends when it is led no longer, and is made anew', async () => {
    const world = new CoordinatorWorld({ volumes: 4 });
    for (let i = 0; i < 20; i += 1) await world.done(world.put(`k${i}`, value));
    const disk = world.metadata.record(utf8('k0'))!.copies[0]!.disk;
    const list = world.metadata.list.bind(world.metadata);
    world.metadata.list = (request) => list({ ...request, limit: 1 });
    const named = world.metadata.disk(disk)?.refs ?? 0;
    world.consensus.apply({ kind: 'set-disk', disk, state: 'gone', zone: null });
    world.consensus.onBarrier = () => {
      world.consensus.role = 'follower';
    };
    new Wipe(world).start();
    await world.clock.advance(10 * SECOND_MS);
    const reported = world.consensus.commandsOf('suspect').length;
    expect(reported).toBeGreaterThan(0);
    expect(reported).toBeLessThan(named);
    world.consensus.onBarrier = () => undefined;
    world.consensus.role = 'leader';
    await world.clock.advance(2 * SECOND_MS);
    expect(world.consensus.commandsOf('suspect').length).toBeGreaterThan(reported);
  });

  test('without a good copy it waits, and reports nothing more', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', value));
    world.cache.resize(0);
    for (const volume of world.volumes.all()) volume.copies.clear();
    expect(await world.code(world.get('k'))).toBe('DATA_LOSS');
    await world.settle();
    const before = world.consensus.proposed.length;
    start(world);
    await world.clock.advance(MINUTE_MS);
    expect(world.consensus.proposed).toHaveLength(before);
    expect(world.metadata.counters.lost).toBe(1);
  });
});

describe('while the state may be wrong', () => {
  test('nothing is dropped, repaired or reported, and nothing is served', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', value));
    await world.done(world.put('k', utf8('newer')));
    await world.done(world.put('thin', value));
    const { blobId } = world.metadata.record(utf8('thin'))!;
    const thin = { kind: 'suspect', key: utf8('thin'), disk: diskId(1) } as const;
    world.consensus.apply({ ...thin, blobId, copyId: copyOfWrite(blobId) });
    const fence = world.metadata.appliedIndex;
    world.consensus.apply({
      kind: 'advance',
      fence,
      reclaim: fence,
      forget: logIndex(0),
      timeMs: 0,
    });
    world.consensus.apply({ kind: 'set-disk', disk: diskId(3), state: 'gone', zone: null });
    world.metadata.isTrusted = false;
    new Reaper(world).start();
    new Wipe(world).start();
    const { clock, random, logger, consensus, metadata, volumes, metrics } = world;
    const parts = { clock, random, logger, consensus, metadata, volumes, metrics };
    new Repair({ ...parts, registry: volumes }, { replicas: 3 }).start();
    const proposals = world.consensus.proposed.length;
    const calls = world.volumes.all().flatMap((volume) => volume.calls).length;
    await world.clock.advance(MINUTE_MS);
    expect(world.consensus.proposed).toHaveLength(proposals);
    expect(world.volumes.all().flatMap((volume) => volume.calls)).toHaveLength(calls);
    expect(await world.code(world.put('k', value))).toBe('STATE_IN_DOUBT');
    expect(await world.code(world.get('k'))).toBe('STATE_IN_DOUBT');
    world.metadata.isTrusted = true;
    await world.clock.advance(MINUTE_MS);
    expect(world.consensus.proposed.length).toBeGreaterThan(proposals);
    expect(await world.done(world.get('k'))).toEqual(utf8('newer'));
  });
});
