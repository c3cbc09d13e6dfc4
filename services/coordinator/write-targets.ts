/**
 * Which volumes may take new copies: heard, accepting writes, staying, and active in the replicated
 * state in the session that we hear. Suspected ones are used only when there are too few others.
 */
import { KvError } from '../common/errors.ts';
import { chooseReplicas, type Placement } from '../placement/replicas.ts';
import { shardOf } from '../placement/shard.ts';
import type { Metadata } from './metadata-port.ts';
import type { LiveVolume, VolumeDirectory } from './volume-port.ts';

export interface TargetComponents {
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
}

/** Volumes for new copies. */
export function writableVolumes(components: TargetComponents, need: number): readonly LiveVolume[] {
  const { metadata, directory } = components;
  const writable = directory.live().filter((volume) => {
    const disk = metadata.disk(volume.disk);
    const isCurrent = disk?.state === 'active' && disk.session === volume.session;
    return isCurrent && volume.acceptsWrites && !volume.leaving;
  });
  const trusted = writable.filter(({ suspected }) => suspected !== true);
  return trusted.length >= need ? trusted : writable;
}

/** The place of `key`. @throws KvError `TOO_FEW_VOLUMES` when fewer than `need` volumes can take it. */
export function placeKey(
  key: Uint8Array,
  volumes: readonly LiveVolume[],
  counts: { readonly need: number; readonly want: number },
): Placement<LiveVolume> {
  requireVolumes(volumes, counts.need);
  return chooseReplicas(shardOf(key), volumes, counts.want);
}

/** @throws KvError `TOO_FEW_VOLUMES`. */
export function requireVolumes(volumes: readonly LiveVolume[], need: number): void {
  if (volumes.length >= need) return;
  throw new KvError('TOO_FEW_VOLUMES', 'too few volumes are healthy and have room', {
    detail: { healthy: volumes.length, need },
  });
}
