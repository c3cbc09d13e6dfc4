/** What a volume's engine tells of itself: syncs, what is not yet synced, damage, compaction. */
import {
  type CounterMetric,
  type HistogramMetric,
  LATENCY_SECONDS,
  type Metrics,
} from '../telemetry/metrics.ts';
import type { FsyncPolicy } from './types.ts';

/**
 * `torn_tail`: unsynced, cut. `corrupt_record`, `segment_header`: quarantined. `refused_read`: left as
 * it is. `lost_bytes`: what a clean stop had vouched for is gone. `snapshot`: thrown away.
 * `identity_slot`: the other one served.
 */
export const DAMAGE_KINDS = [
  'torn_tail',
  'corrupt_record',
  'refused_read',
  'segment_header',
  'lost_bytes',
  'snapshot',
  'identity_slot',
] as const;

export type DamageKind = (typeof DAMAGE_KINDS)[number];

export interface StorageMetrics {
  readonly fsyncSeconds: HistogramMetric;
  readonly syncs: CounterMetric;
  readonly compactionBytes: CounterMetric;
  /** Label `kind`: a DamageKind. */
  readonly damage: CounterMetric;
}

export function storageMetrics(metrics: Metrics, fsync: FsyncPolicy): StorageMetrics {
  metrics
    .gauge('minikv_volume_fsync_policy', '1 for the policy in force', ['policy'])
    .set(1, { policy: fsync.kind });
  const damage = metrics.counter('minikv_volume_damage_total', 'Damage found on disk', ['kind']);
  for (const kind of DAMAGE_KINDS) damage.add(0, { kind });
  return {
    fsyncSeconds: metrics.histogram(
      'minikv_volume_fsync_seconds',
      'Duration of a sync of the active segment',
      LATENCY_SECONDS,
    ),
    syncs: metrics.counter('minikv_volume_syncs_total', 'Syncs of the active segment'),
    compactionBytes: metrics.counter(
      'minikv_volume_compaction_bytes_total',
      'Bytes that compaction has read',
    ),
    damage,
  };
}

/** Copies in one state and the bytes of their values. */
export interface Held {
  readonly copies: number;
  readonly bytes: number;
}

/** What is looked at when somebody scrapes. */
export interface SampledStorage {
  readonly unsyncedBytes: () => number;
  readonly unsyncedAgeMs: () => number;
  /** Chunks without an end. */
  readonly open: () => Held;
  /** Voted for, and the outcome is not known here. */
  readonly staged: () => Held;
  /** Staged and committed. */
  readonly live: () => Held;
}

/** Values that are read at each scrape. */
export function sampleStorage(metrics: Metrics, read: SampledStorage): void {
  metrics.sampled(
    'minikv_volume_unsynced_bytes',
    'Bytes written and not yet synced',
    read.unsyncedBytes,
  );
  metrics.sampled(
    'minikv_volume_unsynced_age_seconds',
    'Age of the oldest unsynced byte',
    () => read.unsyncedAgeMs() / 1000,
  );
  const held = (name: string, what: string, sample: () => Held): void => {
    const prefix = `minikv_volume_${name}`;
    metrics.sampled(`${prefix}_copies`, `Copies ${what}`, () => sample().copies);
    metrics.sampled(`${prefix}_bytes`, `Value bytes of copies ${what}`, () => sample().bytes);
  };
  held('open', 'still being written', read.open);
  held('staged', 'whose outcome is not known yet', read.staged);
  held('live', 'staged or committed', read.live);
}
