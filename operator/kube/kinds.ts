/** The kinds that the operator touches, and no others. */
import { present } from '../../services/common/assert.ts';
import type { Kind } from './types.ts';

const kind = (apiVersion: string, name: string, plural: string, namespaced = true): Kind => ({
  apiVersion,
  kind: name,
  plural,
  namespaced,
});

export const KINDS = {
  cluster: kind('minikv.io/v1alpha1', 'MiniKVCluster', 'minikvclusters'),
  statefulSet: kind('apps/v1', 'StatefulSet', 'statefulsets'),
  pod: kind('v1', 'Pod', 'pods'),
  claim: kind('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  service: kind('v1', 'Service', 'services'),
  configMap: kind('v1', 'ConfigMap', 'configmaps'),
  serviceAccount: kind('v1', 'ServiceAccount', 'serviceaccounts'),
  disruptionBudget: kind('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  networkPolicy: kind('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  podMonitor: kind('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors'),
  prometheusRule: kind('monitoring.coreos.com/v1', 'PrometheusRule', 'prometheusrules'),
  event: kind('events.k8s.io/v1', 'Event', 'events'),
  lease: kind('coordination.k8s.io/v1', 'Lease', 'leases'),
  node: kind('v1', 'Node', 'nodes', false),
} as const;

/** The kind of an object that a builder made. */
export const kindOf = (object: { readonly apiVersion: string; readonly kind: string }): Kind =>
  present(
    Object.values(KINDS).find(
      (known) => known.apiVersion === object.apiVersion && known.kind === object.kind,
    ),
    `kind ${object.apiVersion} ${object.kind}`,
  );
