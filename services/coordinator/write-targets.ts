/**
 * Which volumes may take new copies: heard, accepting writes, staying, and active in the replicated
 * state in the session that we hear. Suspected ones are used only when there are too few others.
 */
import { KvError } from '../common/errors.ts';
import type { DiskId, ShardId } from '../common/ids.ts';
import { chooseReplicas } from '../placement/replicas.ts';
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
  if (!writable.some(isSuspected)) return writable;
  const trusted = writable.filter((volume) => !isSuspected(volume));
  return trusted.length >= need ? trusted : writable;
}

const isSuspected = ({ suspected }: LiveVolume): boolean => suspected === true;

/** Disks for the copies of one blob. */
export interface Places {
  /** At most as many as wanted, best first. */
  readonly replicas: readonly DiskId[];
  /** Those that may step in, best first. */
  readonly spares: readonly DiskId[];
}

/** The places of all shards, worked out once for a set of volumes: it stays the same for most writes. */
export class ShardPlaces {
  readonly #want: number;
  readonly #byShard = new Map<ShardId, Places>();
  #volumes: readonly LiveVolume[] = [];

  constructor(want: number) {
    this.#want = want;
  }

  /** The place of `key` among `volumes`. */
  of(key: Uint8Array, volumes: readonly LiveVolume[]): Places {
    if (!weighAlike(volumes, this.#volumes)) {
      this.#volumes = volumes;
      this.#byShard.clear();
    }
    const shard = shardOf(key);
    let places = this.#byShard.get(shard);
    if (places === undefined) {
      const { replicas, spares } = chooseReplicas(shard, volumes, this.#want);
      places = { replicas: replicas.map(diskOf), spares: spares.map(diskOf) };
      this.#byShard.set(shard, places);
    }
    return places;
  }
}

const diskOf = ({ disk }: LiveVolume): DiskId => disk;

/** True where both lists give every shard the same place. */
function weighAlike(a: readonly LiveVolume[], b: readonly LiveVolume[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ disk, zone, capacityBytes }, at) => {
    const other = b[at];
    return other?.disk === disk && other.zone === zone && other.capacityBytes === capacityBytes;
  });
}

/** @throws KvError `TOO_FEW_VOLUMES`. */
export function requireVolumes(volumes: readonly LiveVolume[], need: number): void {
  if (volumes.length >= need) return;
  throw new KvError('TOO_FEW_VOLUMES', 'too few volumes are healthy and have room', {
    detail: { healthy: volumes.length, need },
  });
}
