/** Metrics of the consensus room. */
import type { CounterMetric, HistogramMetric, Metrics } from '../telemetry/metrics.ts';
import { LATENCY_SECONDS } from '../telemetry/metrics.ts';
import { LOG_DAMAGE_KINDS } from './damage.ts';

export interface ConsensusMetrics {
  readonly logSyncs: CounterMetric;
  readonly logSyncSeconds: HistogramMetric;
  readonly logBytes: CounterMetric;
  /** Label `kind`: a LogDamageKind. */
  readonly logDamage: CounterMetric;
  readonly proposals: CounterMetric;
  readonly elections: CounterMetric;
  readonly snapshotsSent: CounterMetric;
  readonly snapshotsInstalled: CounterMetric;
}

export function consensusMetrics(metrics: Metrics): ConsensusMetrics {
  const logDamage = metrics.counter(
    'minikv_raft_log_damage_total',
    'Damage found at start in the Raft log, the vote file and the identity.',
    ['kind'],
  );
  for (const kind of LOG_DAMAGE_KINDS) logDamage.add(0, { kind });
  return {
    logSyncs: metrics.counter('minikv_raft_log_syncs_total', 'Syncs of the Raft log.'),
    logSyncSeconds: metrics.histogram(
      'minikv_raft_log_sync_seconds',
      'Time of one write and sync of the Raft log.',
      LATENCY_SECONDS,
    ),
    logBytes: metrics.counter('minikv_raft_log_bytes_total', 'Bytes appended to the Raft log.'),
    logDamage,
    proposals: metrics.counter('minikv_raft_proposals_total', 'Commands proposed by this node.'),
    elections: metrics.counter('minikv_raft_elections_total', 'Times this node became leader.'),
    snapshotsSent: metrics.counter('minikv_raft_snapshots_sent_total', 'Snapshots sent whole.'),
    snapshotsInstalled: metrics.counter(
      'minikv_raft_snapshots_installed_total',
      'Snapshots installed here.',
    ),
  };
}
