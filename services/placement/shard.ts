/** The 256 virtual shards: a key's shard never changes, its replicas follow from placement. */

import { type ShardId, shardId } from '../common/ids.ts';
import { keyHash } from '../common/key-hash.ts';

export const SHARD_COUNT = 256;

/** The shard of a key: the low byte of its hash. */
export const shardOf = (key: Uint8Array): ShardId => shardId(keyHash(key) & (SHARD_COUNT - 1));
