/** Metrics of what is done to clusters and of what they are like. */
import type { CounterMetric, GaugeMetric, Metrics } from '../../services/telemetry/metrics.ts';

export interface ReconcileMetrics {
  /** Label `action`: evict, transfer, delete-broken. */
  readonly disruptions: CounterMetric;
  /** Labels `cluster`, `reason`: 1 while a roll waits for it. */
  readonly gateBlocked: GaugeMetric;
  /** Labels `cluster`, `type`: 1 True, 0 False, -1 Unknown. */
  readonly conditions: GaugeMetric;
}

export const reconcileMetrics = (metrics: Metrics): ReconcileMetrics => ({
  disruptions: metrics.counter(
    'minikv_operator_disruptions_total',
    'Pods evicted or deleted and leaders moved.',
    ['action'],
  ),
  gateBlocked: metrics.gauge(
    'minikv_operator_gate_blocked',
    '1 while a roll of the cluster waits for this reason.',
    ['cluster', 'reason'],
  ),
  conditions: metrics.gauge(
    'minikv_operator_cluster_condition',
    'Conditions of the cluster: 1 True, 0 False, -1 Unknown.',
    ['cluster', 'type'],
  ),
});

/** Label `call`, `result`; for the admin port, which has no telemetry of its own. */
export const adminRequests = (metrics: Metrics): CounterMetric =>
  metrics.counter('minikv_operator_admin_requests_total', 'Calls to the admin API of clusters.', [
    'call',
    'result',
  ]);
