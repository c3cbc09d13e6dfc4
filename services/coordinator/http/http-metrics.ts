/** Metrics of the HTTP surface; names as minikv has always had them. */
import type { CounterMetric, HistogramMetric, Labels, Metrics } from '../../telemetry/metrics.ts';

/** Bounded: one label value for each kind of route, never a key. */
export type Endpoint = 'kv' | 'control' | 'refused';

const DURATION_MS = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];
const LABELS: Readonly<Record<Endpoint, Labels>> = {
  kv: { path: '/kv' },
  control: { path: '/control' },
  refused: { path: '/refused' },
};

export class HttpMetrics {
  readonly #requests: CounterMetric;
  readonly #errors: CounterMetric;
  readonly #endpointRequests: CounterMetric;
  readonly #endpointErrors: CounterMetric;
  readonly #durationMs: HistogramMetric;
  readonly #received: CounterMetric;
  readonly #refusedConnections: CounterMetric;

  constructor(metrics: Metrics, activeConnections: () => number) {
    this.#requests = metrics.counter('minikv_requests_total', 'HTTP requests answered');
    this.#errors = metrics.counter('minikv_errors_total', 'HTTP requests answered 5xx');
    this.#endpointRequests = metrics.counter(
      'minikv_endpoint_requests_total',
      'HTTP requests answered, by kind of route',
      ['path'],
    );
    this.#endpointErrors = metrics.counter(
      'minikv_endpoint_errors_total',
      'HTTP requests answered 5xx, by kind of route',
      ['path'],
    );
    this.#durationMs = metrics.histogram(
      'minikv_request_duration_ms',
      'From the headers of a request to the end of its answer, in milliseconds',
      DURATION_MS,
    );
    this.#received = metrics.counter('minikv_http_received_bytes_total', 'Bytes of request bodies');
    this.#refusedConnections = metrics.counter(
      'minikv_http_refused_connections_total',
      'Connections refused because there were too many',
    );
    metrics.sampled('minikv_active_connections', 'Open HTTP connections', activeConnections);
  }

  answered(endpoint: Endpoint, status: number, durationMs: number): void {
    const labels = LABELS[endpoint];
    this.#requests.add();
    this.#endpointRequests.add(1, labels);
    this.#durationMs.observe(durationMs);
    if (status < 500) return;
    this.#errors.add();
    this.#endpointErrors.add(1, labels);
  }

  received(bytes: number): void {
    this.#received.add(bytes);
  }

  connectionRefused(): void {
    this.#refusedConnections.add();
  }
}
