/** Clusters that tests build from: the smallest spec there is, and one as for production. */
import { type ClusterSpec, parseCluster } from '../../api/cluster.ts';
import type { Wanted } from '../wanted.ts';

export const SAMPLE_ID = '0123456789abcdef0123456789abcdef';

export const PRODUCTION = {
  coordinators: {
    resources: { limits: { memory: '2Gi' } },
    storage: { size: '20Gi', storageClassName: 'ssd' },
    scheduling: { antiAffinity: 'Required' },
  },
  volumes: {
    replicas: 5,
    failureDomain: 'Zone',
    storage: { size: '1Ti', storageClassName: 'hdd' },
    wal: { size: '50Gi', storageClassName: 'ssd' },
    scheduling: { antiAffinity: 'Required' },
  },
  monitoring: { podMonitor: true, prometheusRule: true },
};

/** A spec with its defaults, as the API server would hand it out. */
export function specOf(given: Readonly<Record<string, unknown>> = {}): ClusterSpec {
  const parsed = parseCluster({
    apiVersion: 'minikv.io/v1alpha1',
    kind: 'MiniKVCluster',
    metadata: { name: 'demo' },
    spec: { image: 'minikv:0.1.0', ...given },
  });
  if (parsed.kind === 'invalid') throw new Error(parsed.problems.join('\n'));
  return parsed.cluster.spec;
}

export function wantedOf(spec: ClusterSpec, more: Partial<Wanted> = {}): Wanted {
  return {
    name: 'demo',
    namespace: 'store',
    uid: 'cluster-uid',
    clusterId: SAMPLE_ID,
    spec,
    replicas: { coordinator: spec.coordinators.replicas, volume: spec.volumes.replicas },
    noted: { coordinator: null, volume: null },
    adminNamespaces: ['minikv-system'],
    kinds: { podMonitor: true, prometheusRule: true },
    ...more,
  };
}
