/**
 * Which volumes hold a shard: the k-th best volume of each zone comes in round k. So the first n are
 * n distinct volumes, on distinct zones while there are enough zones, and taking away a volume that
 * was not chosen changes nothing for those that were.
 */
import type { ShardId } from '../common/ids.ts';
import { rank, type WeightedDisk } from './rendezvous.ts';

export interface ZonedDisk extends WeightedDisk {
  /** Empty: a zone of its own. */
  readonly zone: string;
}

export interface Placement<D> {
  /** At most as many as asked for, best first; fewer when there are too few volumes. */
  readonly replicas: readonly D[];
  /** The rest, in the order in which they step in. */
  readonly spares: readonly D[];
}

/** The place of `shard` among healthy volumes. */
export function chooseReplicas<D extends ZonedDisk>(
  shard: ShardId,
  volumes: readonly D[],
  count: number,
): Placement<D> {
  const order = preference(shard, volumes);
  return { replicas: order.slice(0, count), spares: order.slice(count) };
}

/** All volumes in the order of preference for `shard`. */
export function preference<D extends ZonedDisk>(
  shard: ShardId,
  volumes: readonly D[],
): readonly D[] {
  const seen = new Map<string, number>();
  const rounds: D[][] = [];
  for (const volume of rank(shard, volumes)) {
    const zone = zoneOf(volume);
    const round = seen.get(zone) ?? 0;
    seen.set(zone, round + 1);
    const peers = rounds[round] ?? [];
    peers.push(volume);
    rounds[round] = peers;
  }
  return rounds.flat();
}

/** Zones by a name that no empty zone shares. */
export const zoneOf = (disk: ZonedDisk): string =>
  disk.zone === '' ? `disk:${disk.disk}` : `zone:${disk.zone}`;
