/** The metrics of this room: what the operator asks of the Kubernetes API and how it keeps up. */
import {
  type CounterMetric,
  type GaugeMetric,
  type HistogramMetric,
  LATENCY_SECONDS,
  type Metrics,
} from '../../services/telemetry/metrics.ts';

export interface RequestMetrics {
  /** Labels `verb`, `resource` (with its subresource) and `code`, `none` without an answer. */
  readonly requests: CounterMetric;
  /** Requests that are meant to change something, but for the Lease; a settled cluster makes none. */
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
    'Requests to the Kubernetes API that are meant to change something, but for the Lease.',
  ),
});

export interface ReflectorMetrics {
  /** Label `kind`. */
  readonly restarts: CounterMetric;
  readonly drift: CounterMetric;
  /** Asked at each scrape for seconds of silence by kind. */
  sampleAges(read: () => Iterable<readonly [string, number]>): void;
}

export const reflectorMetrics = (metrics: Metrics): ReflectorMetrics => ({
  restarts: metrics.counter(
    'minikv_operator_watch_restarts_total',
    'Watches that ended, for whatever reason, and were opened anew.',
    ['kind'],
  ),
  drift: metrics.counter(
    'minikv_operator_cache_drift_total',
    'Objects that the cache had otherwise than the API server.',
  ),
  sampleAges: (read) =>
    metrics.sampledBy(
      'minikv_operator_last_event_age_seconds',
      'Since the API server last said anything about a kind, bookmarks too.',
      'kind',
      read,
    ),
});

export interface QueueMetrics {
  readonly waits: HistogramMetric;
  readonly retries: CounterMetric;
}

export const queueMetrics = (metrics: Metrics): QueueMetrics => ({
  waits: metrics.histogram(
    'minikv_operator_queue_wait_seconds',
    'How long a key waited for a worker.',
    LATENCY_SECONDS,
  ),
  retries: metrics.counter(
    'minikv_operator_retries_total',
    'Keys that are looked at again because looking failed.',
  ),
});

/** Seconds of one look at a cluster, which may wait for its processes' answers. */
const WORK_SECONDS: readonly number[] = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export interface WorkerMetrics {
  /** Label `result`: ok, error, late. */
  readonly total: CounterMetric;
  readonly seconds: HistogramMetric;
  sampleDepth(read: () => number): void;
  sampleLongest(read: () => number): void;
}

export const workerMetrics = (metrics: Metrics): WorkerMetrics => ({
  total: metrics.counter('minikv_operator_reconcile_total', 'Looks at a cluster.', ['result']),
  seconds: metrics.histogram(
    'minikv_operator_reconcile_seconds',
    'How long a look at a cluster took.',
    WORK_SECONDS,
  ),
  sampleDepth: (read) =>
    metrics.sampled('minikv_operator_queue_depth', 'Keys that wait for a worker.', read),
  sampleLongest: (read) =>
    metrics.sampled(
      'minikv_operator_longest_running_seconds',
      'How long the oldest look that has not ended runs; 0: none.',
      read,
    ),
});

export interface LeaseMetrics {
  /** 1 while this process leads. */
  readonly leading: GaugeMetric;
  readonly renewals: HistogramMetric;
}

export const leaseMetrics = (metrics: Metrics): LeaseMetrics => {
  const leading = metrics.gauge('minikv_operator_is_leader', '1 while this process leads.');
  leading.set(0);
  return {
    leading,
    renewals: metrics.histogram(
      'minikv_operator_lease_renew_seconds',
      'How long a renewal of the Lease took, failed ones too.',
      LATENCY_SECONDS,
    ),
  };
};
