import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type DiskId, diskId, type ShardId, shardId } from '../common/ids.ts';
import { rank, type WeightedDisk } from './rendezvous.ts';
import { planRepair, type RepairDisk, type RepairQuestion } from './repair.ts';
import { chooseReplicas, preference, type ZonedDisk, zoneOf } from './replicas.ts';
import { SHARD_COUNT } from './shard.ts';

const shards: readonly ShardId[] = Array.from({ length: SHARD_COUNT }, (_, i) => shardId(i));

const arbitraryDisks = fc
  .uniqueArray(
    fc.record({
      disk: fc.integer({ min: 1, max: 5000 }).map(diskId),
      capacityBytes: fc.integer({ min: 0, max: 1e12 }),
      zone: fc.constantFrom('', 'a', 'b', 'c'),
    }),
    { selector: ({ disk }) => disk, maxLength: 12 },
  )
  .map((disks): readonly ZonedDisk[] => disks);
const arbitraryShard = fc.constantFrom(...shards);

describe('rendezvous', () => {
  test('the order does not depend on the order of the disks', () => {
    fc.assert(
      fc.property(arbitraryShard, arbitraryDisks, (shard, disks) => {
        expect(rank(shard, disks)).toEqual(rank(shard, [...disks].reverse()));
      }),
    );
  });

  test('a disk that goes changes the order of no others', () => {
    fc.assert(
      fc.property(arbitraryShard, arbitraryDisks, fc.nat(), (shard, disks, pick) => {
        const gone = disks[pick % Math.max(1, disks.length)];
        const without = disks.filter((disk) => disk !== gone);
        expect(rank(shard, without)).toEqual(rank(shard, disks).filter((disk) => disk !== gone));
      }),
    );
  });

  test('disks win shards in proportion to their capacity', () => {
    const wins = new Map<DiskId, number>();
    for (let set = 0; set < 40; set += 1) {
      const disks: WeightedDisk[] = [1, 2, 3, 4].map((weight) => ({
        disk: diskId(set * 4 + weight),
        capacityBytes: weight * 1e9,
      }));
      for (const shard of shards) {
        const winner = rank(shard, disks)[0]!;
        const weight = diskId(winner.capacityBytes / 1e9);
        wins.set(weight, (wins.get(weight) ?? 0) + 1);
      }
    }
    const total = 40 * SHARD_COUNT;
    for (const weight of [1, 2, 3, 4]) {
      const share = (wins.get(diskId(weight)) ?? 0) / total;
      expect(Math.abs(share - weight / 10)).toBeLessThan(0.02);
    }
  });
});

describe('replicas', () => {
  test('are distinct disks, and on distinct zones while there are enough zones', () => {
    fc.assert(
      fc.property(
        arbitraryShard,
        arbitraryDisks,
        fc.integer({ min: 1, max: 5 }),
        (shard, disks, count) => {
          const { replicas, spares } = chooseReplicas(shard, disks, count);
          expect(replicas).toHaveLength(Math.min(count, disks.length));
          expect(new Set([...replicas, ...spares]).size).toBe(disks.length);
          const zones = new Set(disks.map(zoneOf)).size;
          expect(new Set(replicas.map(zoneOf)).size).toBe(Math.min(count, zones));
        },
      ),
    );
  });

  test('taking away a volume that was not chosen changes no choice', () => {
    fc.assert(
      fc.property(arbitraryShard, arbitraryDisks, fc.nat(), (shard, disks, pick) => {
        const { replicas, spares } = chooseReplicas(shard, disks, 3);
        const gone = spares[pick % Math.max(1, spares.length)];
        const without = disks.filter((disk) => disk !== gone);
        expect(chooseReplicas(shard, without, 3).replicas).toEqual(replicas);
      }),
    );
  });

  test('a volume that comes moves at most one copy of a shard, and only to itself', () => {
    fc.assert(
      fc.property(
        arbitraryShard,
        arbitraryDisks,
        fc.integer({ min: 1, max: 5 }),
        (shard, all, count) => {
          // One zone, so that no other rule moves anything.
          const disks = all.map((disk) => ({ ...disk, zone: 'a' }));
          const [newcomer, ...known] = disks;
          const before = chooseReplicas(shard, known, count).replicas;
          const after = chooseReplicas(shard, disks, count).replicas;
          const gained = after.filter((disk) => !before.includes(disk));
          const expected = after.includes(newcomer!) ? [newcomer] : [];
          if (newcomer !== undefined) expect(gained).toEqual(expected);
          expect(before.filter((disk) => !after.includes(disk)).length).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  test('an empty zone is a zone of its own', () => {
    const disks = [1, 2, 3].map((n) => ({ disk: diskId(n), zone: '', capacityBytes: 1 }));
    expect(new Set(disks.map(zoneOf)).size).toBe(3);
  });
});

describe('repair', () => {
  const shard = shardId(7);
  const disk = (n: number, more: Partial<RepairDisk> = {}): RepairDisk => ({
    disk: diskId(n),
    zone: '',
    capacityBytes: 1e9,
    isLive: true,
    isAwaited: false,
    ...more,
  });
  const question = (more: Partial<RepairQuestion>): RepairQuestion => ({
    shard,
    want: 3,
    copies: [],
    disks: [1, 2, 3, 4].map((n) => disk(n)),
    ...more,
  });
  const good = (n: number) => ({ disk: diskId(n), condition: 'good' as const });

  test('a missing copy goes to a disk without one', () => {
    const step = planRepair(question({ copies: [good(1), good(2)] }));
    expect(step).toMatchObject({ kind: 'copy', sources: [1, 2], replaces: null });
    expect(step.kind === 'copy' && [3, 4]).toContain(step.kind === 'copy' ? step.target : 0);
  });

  test('a bad copy is replaced, on its own disk if there is none other', () => {
    const copies = [good(1), good(2), { disk: diskId(3), condition: 'bad' as const }];
    const disks = [disk(1), disk(2), disk(3)];
    expect(planRepair(question({ copies, disks }))).toEqual({
      kind: 'copy',
      sources: [1, 2],
      target: 3,
      replaces: 3,
    });
  });

  test('a copy that is merely away is no source and is not replaced', () => {
    const copies = [good(1), good(2), { disk: diskId(3), condition: 'away' as const }];
    expect(planRepair(question({ copies }))).toEqual({ kind: 'whole' });
    const two = [good(1), { disk: diskId(3), condition: 'away' as const }];
    expect(planRepair(question({ copies: two }))).toMatchObject({ kind: 'copy', sources: [1] });
  });

  test('the place of an awaited disk is kept, and filled once it is back', () => {
    const copies = [good(1), good(2)];
    const order = preference(shard, [disk(3), disk(4)]).map((each) => each.disk);
    const best = order[0] ?? diskId(0);
    const disks = [
      disk(1),
      disk(2),
      ...[3, 4].map((n) => disk(n, n === best ? { isLive: false, isAwaited: true } : {})),
    ];
    expect(planRepair(question({ copies, disks }))).toEqual({ kind: 'wait' });
    const back = [disk(1), disk(2), disk(3), disk(4)];
    expect(planRepair(question({ copies, disks: back }))).toMatchObject({
      kind: 'copy',
      target: best,
    });
    const given = disks.map((each) => ({ ...each, isAwaited: false }));
    expect(planRepair(question({ copies, disks: given }))).toMatchObject({ kind: 'copy' });
  });

  test('a zone without a copy is preferred', () => {
    const disks = [
      disk(1, { zone: 'a' }),
      disk(2, { zone: 'b' }),
      disk(3, { zone: 'a' }),
      disk(4, { zone: 'c' }),
    ];
    const step = planRepair(question({ copies: [good(1), good(2)], disks }));
    expect(step).toMatchObject({ kind: 'copy', target: 4 });
  });

  test('no good copy, or no disk to take one: wait', () => {
    const bad = [{ disk: diskId(1), condition: 'bad' as const }];
    expect(planRepair(question({ copies: bad }))).toEqual({ kind: 'wait' });
    const disks = [disk(1), disk(2)];
    expect(planRepair(question({ copies: [good(1), good(2)], disks }))).toEqual({ kind: 'wait' });
  });

  test('too many copies: a broken one goes first, else the least wanted', () => {
    const four = [good(1), good(2), good(3), good(4)];
    const last = preference(shard, question({}).disks).at(-1)?.disk;
    expect(planRepair(question({ copies: four }))).toEqual({ kind: 'release', disk: last });
    const broken = [...four.slice(0, 3), { disk: diskId(4), condition: 'lost' as const }];
    expect(planRepair(question({ copies: broken }))).toEqual({ kind: 'release', disk: 4 });
  });
});
