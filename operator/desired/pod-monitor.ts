/** How Prometheus finds the metrics of a role, where its operator's kinds are installed. */
import { type Role, roleName } from '../api/names.ts';
import type { Manifest } from './manifest.ts';
import { selectorLabels } from './names.ts';
import { metaOf, type Wanted } from './wanted.ts';

export function buildPodMonitor(wanted: Wanted, role: Role): Manifest {
  const meta = metaOf(wanted, roleName(wanted.name, role), role);
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: { ...meta, labels: { ...wanted.spec.monitoring.labels, ...meta.labels } },
    spec: {
      selector: { matchLabels: selectorLabels(wanted.name, role) },
      podMetricsEndpoints: [{ port: 'admin', path: '/metrics', interval: '15s' }],
    },
  };
}
