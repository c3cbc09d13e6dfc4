/** What goes wrong between coordinators, counted. */
import type { CounterMetric, Metrics } from '../../telemetry/metrics.ts';

export interface PeerMetrics {
  /** By error code. */
  readonly refused: CounterMetric;
  /** Raft messages that did not leave; Raft repeats what matters. */
  readonly dropped: CounterMetric;
}

export const peerMetrics = (metrics: Metrics): PeerMetrics => ({
  refused: metrics.counter(
    'minikv_peer_refused_total',
    'Streams and calls of other coordinators that were refused',
    ['code'],
  ),
  dropped: metrics.counter(
    'minikv_peer_dropped_messages_total',
    'Raft messages dropped because the peer was away or its queue full',
  ),
});
