/** Where a key belongs: its shard, and the replicas of a shard among a few and among many volumes. */
import { diskId, shardId } from '../../../common/ids.ts';
import { GIB } from '../../../common/units.ts';
import { chooseReplicas, type ZonedDisk } from '../../../placement/replicas.ts';
import { SHARD_COUNT, shardOf } from '../../../placement/shard.ts';
import { type MicroCase, mustHold, type Work } from '../micro-case.ts';
import { keyNumber } from '../samples.ts';

const REPLICAS = 3;
const KEYS = 1024;
const shared = { perStep: 1, onDisk: false };

export const PLACEMENT_CASES: readonly MicroCase[] = [
  { ...shared, name: 'placement: the shard of a key', of: 'key', open: shardWork },
  ...[3, 9, 99].map((volumes) => ({
    ...shared,
    name: `placement: replicas of a shard among ${volumes} volumes`,
    of: 'shard',
    open: () => replicaWork(volumes),
  })),
];

function shardWork(): Work {
  const keys = Array.from({ length: KEYS }, (_, i) => keyNumber(i));
  return {
    run(steps) {
      let sum = 0;
      for (let i = 0; i < steps; i += 1) sum += shardOf(keys[i % KEYS] ?? EMPTY);
      mustHold(sum < steps * SHARD_COUNT, 'a shard is out of range');
    },
  };
}

function replicaWork(count: number): Work {
  const volumes = Array.from(
    { length: count },
    (_, i): ZonedDisk => ({
      disk: diskId(i + 1),
      zone: `zone-${i % REPLICAS}`,
      capacityBytes: GIB,
    }),
  );
  const shards = Array.from({ length: SHARD_COUNT }, (_, i) => shardId(i));
  return {
    run(steps) {
      let chosen = 0;
      for (let i = 0; i < steps; i += 1) {
        const shard = shards[i % SHARD_COUNT] ?? shardId(0);
        chosen += chooseReplicas(shard, volumes, REPLICAS).replicas.length;
      }
      mustHold(chosen === steps * REPLICAS, 'a shard has too few replicas');
    },
  };
}

const EMPTY = new Uint8Array(0);
