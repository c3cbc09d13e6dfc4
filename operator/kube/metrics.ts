/** The metrics of this room: what the operator asks of the Kubernetes API and how it keeps up. */
import type { CounterMetric, Metrics } from '../../services/telemetry/metrics.ts';

export interface RequestMetrics {
  /** Labels `verb`, `resource` (with its subresource) and `code`, `none` without an answer. */
  readonly requests: CounterMetric;
  /** Requests that are meant to change something; a settled cluster makes none. */
  readonly writes: CounterMetric;
}

export const requestMetrics = (metrics: Metrics): RequestMetrics => ({
  requests: metrics.counter(
    'minikv_operator_kube_requests_total',
    'Requests to the Kubernetes API.',
    ['verb', 'resource', 'code'],
  ),
  writes: metrics.counter(
    'minikv_operator_kube_writes_total',
    'Requests to the Kubernetes API that are meant to change something.',
  ),
});
