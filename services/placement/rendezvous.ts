/**
 * Capacity-weighted rendezvous hashing (highest random weight): every disk draws a score for every
 * shard, and the highest scores win. Invariant: a disk that comes or goes changes the order of no
 * two other disks, so only shards that it wins or had won move.
 */
import type { DiskId, ShardId } from '../common/ids.ts';

export interface WeightedDisk {
  readonly disk: DiskId;
  /** Any unit that all disks share; 0 counts as 1. */
  readonly capacityBytes: number;
}

/**
 * How much `disk` wants `shard`. With u uniform in (0, 1), -w / ln u is the largest of all disks
 * with probability w / sum of w: shares follow capacities exactly.
 */
export function score(shard: ShardId, disk: WeightedDisk): number {
  const weight = Math.max(1, disk.capacityBytes);
  return -weight / Math.log(uniform(shard, disk.disk));
}

/** Disks from the most to the least wanted; ties, if ever, by number. */
export function rank<D extends WeightedDisk>(shard: ShardId, disks: readonly D[]): readonly D[] {
  return disks
    .map((disk) => ({ disk, score: score(shard, disk) }))
    .sort((a, b) => b.score - a.score || a.disk.disk - b.disk.disk)
    .map((scored) => scored.disk);
}

/** A number strictly between 0 and 1 that depends on the pair alone; 52 mixed bits. */
function uniform(shard: ShardId, disk: DiskId): number {
  const seed = mix(Math.imul(shard + 1, 0x9e3779b1) ^ Math.imul(disk, 0x85ebca77));
  const high = mix(seed ^ 0xc2b2ae3d) >>> 6;
  const low = mix(seed ^ 0x27d4eb2f) >>> 6;
  return (high * 2 ** 26 + low + 0.5) / 2 ** 52;
}

/** The finalizer of MurmurHash3: every input bit moves every output bit. */
function mix(value: number): number {
  let hash = value;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
