/**
 * What is looked for after an unclean start of a disk, over volumes in memory. The oracle: however the
 * walk is cut short, in the end every copy that a record names is there, and the disk is reconciled.
 */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { utf8 } from '../../common/bytes.ts';
import { copyId, type DiskId, diskId } from '../../common/ids.ts';
import { SECOND_MS } from '../../common/units.ts';
import { CoordinatorWorld } from '../../testing/coordinator-world.ts';
import type { FakeVolume } from '../../testing/fake-volumes.ts';
import { Reconcile } from './reconcile.ts';
import { Repair } from './repair.ts';

const D2 = diskId(2);

/** Puts `count` keys, whose copies stand on disks 1, 2 and 3. */
async function filled(world: CoordinatorWorld, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await world.done(world.put(`k${i}`, utf8(`value ${i}`)));
}

/** Disk 2, or another one, starts anew after a crash. */
function restart(
  world: CoordinatorWorld,
  change: { clean?: boolean; boots?: number; disk?: DiskId } = {},
): void {
  const disk = change.disk ?? D2;
  const known = world.metadata.disk(disk);
  world.consensus.apply({
    kind: 'register',
    disk,
    volume: `volume-${disk}`,
    boots: change.boots ?? (known?.boots ?? 0) + 1,
    nonce: `nonce-after-${world.metadata.appliedIndex}`,
    clean: change.clean ?? false,
    zone: null,
    capacityBytes: 2 ** 40,
  });
  const session = world.metadata.disk(disk)?.session;
  if (session !== undefined) world.volumes.at(disk).session = session;
}

function start(world: CoordinatorWorld): Reconcile {
  const job = new Reconcile(world);
  job.start();
  return job;
}

const isReconciled = (world: CoordinatorWorld, disk: DiskId = D2): boolean | undefined =>
  world.metadata.disk(disk)?.reconciled;

const blobOf = (world: CoordinatorWorld, key: string) => {
  const record = world.metadata.record(utf8(key));
  if (record === undefined) throw new Error(`no ${key}`);
  return copyId(record.blobId);
};

const suspectsOf = (world: CoordinatorWorld, key: string): readonly number[] =>
  world.metadata.suspects(utf8(key)).map(({ disk }) => disk);

const checks = (volume: FakeVolume): number =>
  volume.calls.filter((call) => call === 'check').length;

describe('reconcile', () => {
  let world: CoordinatorWorld;
  beforeEach(async () => {
    world = new CoordinatorWorld();
    await filled(world, 10);
  });

  test('after an expected clean start nothing is asked', async () => {
    restart(world, { clean: true });
    start(world);
    await world.clock.advance(30 * SECOND_MS);
    expect(isReconciled(world)).toBe(true);
    expect(checks(world.volumes.at(2))).toBe(0);
  });

  test('after an unclean one absent and bad copies become suspect, and no others', async () => {
    const volume = world.volumes.at(2);
    volume.copies.delete(blobOf(world, 'k3'));
    const bad = volume.copies.get(blobOf(world, 'k5'));
    if (bad !== undefined) bad.isBad = true;
    restart(world);
    expect(isReconciled(world)).toBe(false);
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(isReconciled(world)).toBe(true);
    const thin = await world.metadata.thin(null, 100);
    expect(thin.map(({ key }) => Buffer.from(key).toString()).sort()).toEqual(['k3', 'k5']);
    expect(suspectsOf(world, 'k3')).toEqual([2]);
    const proposals = world.consensus.proposed.length;
    await world.clock.advance(60 * SECOND_MS);
    expect(world.consensus.proposed).toHaveLength(proposals);
  });

  test('repair then makes the copies anew, and they are readable from that disk alone', async () => {
    world.volumes.at(2).copies.clear();
    restart(world);
    start(world);
    const { clock, random, logger, consensus, metadata, volumes, metrics } = world;
    const parts = { clock, random, logger, consensus, metadata, volumes, metrics };
    new Repair({ ...parts, registry: volumes }, { replicas: 3 }).start();
    await world.clock.advance(20 * SECOND_MS);
    expect(world.metadata.counters.underReplicated).toBe(0);
    world.cache.resize(0);
    for (const disk of [1, 3]) world.volumes.at(disk).isHeard = false;
    for (let i = 0; i < 10; i += 1) {
      expect(await world.done(world.get(`k${i}`))).toEqual(utf8(`value ${i}`));
    }
  });

  test('more records than one page: each is asked about', async () => {
    await filled(world, 700);
    for (const i of [0, 255, 256, 511, 699])
      world.volumes.at(2).copies.delete(blobOf(world, `k${i}`));
    restart(world);
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(world.metadata.counters.underReplicated).toBe(5);
    expect(isReconciled(world)).toBe(true);
  });

  test('the disk is told where the walk ends, behind all that is named', async () => {
    await filled(world, 256);
    restart(world);
    start(world);
    const volume = world.volumes.at(2);
    const ends: number[] = [];
    for (let ms = 0; ms < 10_000; ms += 10) {
      await world.clock.advance(10);
      ends[checks(volume)] = volume.walksEnded;
    }
    expect(ends).toEqual([0, 0, 1]);
  });

  test('the disk is told where the walk ends even if nothing on it is named', async () => {
    const other = new CoordinatorWorld();
    restart(other);
    start(other);
    await other.clock.advance(10 * SECOND_MS);
    expect(other.volumes.at(2).walksEnded).toBe(1);
  });

  test('only the leader asks; one that takes over in the middle begins again', async () => {
    await filled(world, 700);
    world.volumes.at(2).copies.clear();
    restart(world);
    world.consensus.role = 'follower';
    const first = start(world);
    await world.clock.advance(5 * SECOND_MS);
    expect(checks(world.volumes.at(2))).toBe(0);
    world.consensus.role = 'leader';
    await world.clock.advance(1000 + 20);
    expect(checks(world.volumes.at(2))).toBe(1);
    await first.stop();
    expect(isReconciled(world)).toBe(false);
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(isReconciled(world)).toBe(true);
    expect(world.metadata.counters.underReplicated).toBe(700);
  });

  test('a disk that is away, silent or failing is waited for, and nothing of it is concluded', async () => {
    const volume = world.volumes.at(2);
    restart(world);
    volume.isHeard = false;
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(checks(volume)).toBe(0);
    volume.isHeard = true;
    for (const mood of ['failing', 'silent'] as const) {
      volume.mood = mood;
      await world.clock.advance(40 * SECOND_MS);
    }
    expect(checks(volume)).toBeGreaterThan(3);
    expect(checks(volume)).toBeLessThan(20);
    expect(world.consensus.commandsOf('suspect')).toHaveLength(0);
    expect(isReconciled(world)).toBe(false);
    volume.mood = 'well';
    await world.clock.advance(20 * SECOND_MS);
    expect(isReconciled(world)).toBe(true);
  });

  test('stops at once while a disk does not answer, and asks no other one', async () => {
    for (const disk of [1, 2, 3]) {
      restart(world, { disk: diskId(disk) });
      world.volumes.at(disk).mood = 'silent';
    }
    const job = start(world);
    await world.clock.advance(SECOND_MS);
    await world.done(job.stop());
    await world.clock.advance(60 * SECOND_MS);
    expect(world.volumes.all().map(checks)).toEqual([1, 0, 0]);
  });

  test('stops at once while what is missing is not seen suspect', async () => {
    world.volumes.at(2).copies.clear();
    restart(world);
    world.consensus.mode = 'lose';
    const job = start(world);
    await world.clock.advance(SECOND_MS);
    const proposals = world.consensus.commandsOf('suspect').length;
    expect(proposals).toBeGreaterThan(0);
    await world.done(job.stop());
    await world.clock.advance(60 * SECOND_MS);
    expect(world.consensus.commandsOf('suspect')).toHaveLength(proposals);
  });

  test('goes on to no other disk when it leads no longer', async () => {
    for (const disk of [1, 2, 3]) restart(world, { disk: diskId(disk) });
    world.volumes.at(1).mood = 'silent';
    start(world);
    await world.clock.advance(SECOND_MS);
    world.consensus.role = 'follower';
    await world.clock.advance(60 * SECOND_MS);
    expect(world.volumes.all().map(checks)).toEqual([1, 0, 0]);
  });

  test('the word of another session does not count', async () => {
    const volume = world.volumes.at(2);
    const before = volume.session;
    volume.copies.clear();
    restart(world);
    // The directory shows the new session; the process that answers is still the old one.
    const now = volume.session;
    const answers = world.volumes.check.bind(world.volumes);
    world.volumes.check = async (...asked) => ({ ...(await answers(...asked)), session: before });
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(now).not.toBe(before);
    expect(world.consensus.commandsOf('suspect')).toHaveLength(0);
    expect(isReconciled(world)).toBe(false);
  });

  test('a start in the middle of the walk: the new session is walked from its beginning', async () => {
    await filled(world, 700);
    restart(world);
    start(world);
    await world.clock.advance(1000 + 20);
    expect(checks(world.volumes.at(2))).toBe(1);
    // What was found in the first page is lost by the crash that follows.
    world.volumes.at(2).copies.clear();
    restart(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(world.metadata.counters.underReplicated).toBe(700);
    expect(isReconciled(world)).toBe(true);
  });

  test('a reconciled word of an older session changes nothing', async () => {
    restart(world);
    const older = world.volumes.at(2).session;
    restart(world);
    world.consensus.apply({ kind: 'reconciled', disk: D2, session: older });
    expect(isReconciled(world)).toBe(false);
  });

  test('reports that get lost are made again before the walk goes on', async () => {
    world.volumes.at(2).copies.clear();
    restart(world);
    start(world);
    world.consensus.mode = 'lose';
    await world.clock.advance(30 * SECOND_MS);
    expect(isReconciled(world)).toBe(false);
    expect(world.consensus.commandsOf('reconciled')).toHaveLength(0);
    world.consensus.mode = 'apply';
    await world.clock.advance(20 * SECOND_MS);
    expect(world.metadata.counters.underReplicated).toBe(10);
    expect(isReconciled(world)).toBe(true);
  });

  test('a lost word that it is done is said again', async () => {
    restart(world);
    world.consensus.mode = 'lose';
    start(world);
    await world.clock.advance(5 * SECOND_MS);
    expect(world.consensus.commandsOf('reconciled').length).toBeGreaterThan(0);
    world.consensus.mode = 'apply';
    await world.clock.advance(5 * SECOND_MS);
    expect(isReconciled(world)).toBe(true);
  });

  test('a key overwritten while it was asked about is left alone', async () => {
    const volume = world.volumes.at(2);
    const old = blobOf(world, 'k1');
    volume.copies.delete(old);
    restart(world);
    const answers = world.volumes.check.bind(world.volumes);
    world.volumes.check = async (...asked) => {
      const said = await answers(...asked);
      if (asked[1].includes(old)) await world.put('k1', utf8('newer'));
      return said;
    };
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(blobOf(world, 'k1')).not.toBe(old);
    expect(suspectsOf(world, 'k1')).toEqual([]);
    expect(isReconciled(world)).toBe(true);
  });

  test('damage that a disk has met since is looked for, each time once', async () => {
    const volume = world.volumes.at(2);
    start(world);
    for (const [damage, key] of [
      [1, 'k3'],
      [4, 'k7'],
    ] as const) {
      const bad = volume.copies.get(blobOf(world, key));
      if (bad !== undefined) bad.isBad = true;
      await world.clock.advance(10 * SECOND_MS);
      expect(suspectsOf(world, key)).toEqual([]);
      volume.damage = damage;
      await world.clock.advance(10 * SECOND_MS);
      expect(suspectsOf(world, key)).toEqual([2]);
      expect(checks(volume)).toBe(damage === 1 ? 1 : 2);
    }
    expect(isReconciled(world)).toBe(true);
    expect(world.consensus.commandsOf('reconciled')).toHaveLength(0);
  });

  test('damage that is met in the middle of a walk begins another one', async () => {
    await filled(world, 700);
    const volume = world.volumes.at(2);
    restart(world);
    start(world);
    await world.clock.advance(1000 + 20);
    expect(checks(volume)).toBe(1);
    const bad = volume.copies.get(blobOf(world, 'k0'));
    if (bad !== undefined) bad.isBad = true;
    volume.damage = 1;
    await world.clock.advance(20 * SECOND_MS);
    expect(suspectsOf(world, 'k0')).toEqual([2]);
    expect(isReconciled(world)).toBe(true);
  });

  test('a disk that is gone is nobody to ask', async () => {
    restart(world);
    world.consensus.apply({ kind: 'set-disk', disk: D2, state: 'gone', zone: null });
    start(world);
    await world.clock.advance(10 * SECOND_MS);
    expect(checks(world.volumes.at(2))).toBe(0);
  });

  test('starts that nobody heard of count as unclean', async () => {
    restart(world, { clean: true, boots: (world.metadata.disk(D2)?.boots ?? 0) + 2 });
    expect(isReconciled(world)).toBe(false);
  });
});
