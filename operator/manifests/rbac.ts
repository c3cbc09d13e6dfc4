/**
 * The operator's rights, one table: the chart's roles and install.yaml are made from it, and what
 * the operator was seen to use is held against it. No Secrets, exec, namespaces, finalizers or CRDs.
 */
import { GROUP, PLURAL } from '../api/cluster.ts';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const rule = (apiGroup: string, resources: readonly string[], verbs: string): Rule => ({
  apiGroups: [apiGroup],
  resources,
  verbs: verbs.split(' '),
});

/** By where and when they are granted. */
export const RIGHTS = {
  /** In each watched namespace, or everywhere. */
  watched: [
    rule(GROUP, [PLURAL], 'list watch'),
    rule(GROUP, [`${PLURAL}/status`], 'patch'),
    rule('apps', ['statefulsets'], 'get list watch create patch delete'),
    rule('', ['pods'], 'list watch delete'),
    rule('', ['pods/eviction'], 'create'),
    rule('', ['persistentvolumeclaims'], 'list watch patch'),
    rule('', ['services', 'configmaps', 'serviceaccounts'], 'get list watch create patch'),
    rule('policy', ['poddisruptionbudgets'], 'get list watch create patch'),
    rule('networking.k8s.io', ['networkpolicies'], 'get list watch create patch delete'),
    rule('events.k8s.io', ['events'], 'create patch'),
  ],
  /** As `watched`, with the chart's value `rights.monitoring`: for `spec.monitoring`. */
  monitoring: [
    rule('monitoring.coreos.com', ['podmonitors', 'prometheusrules'], 'get create patch delete'),
  ],
  /** In the operator's own namespace: the election of its leader. */
  own: [rule('coordination.k8s.io', ['leases'], 'get create update')],
  /** Everywhere, with the chart's value `rights.nodes`: for `failureDomain: Zone`. */
  nodes: [rule('', ['nodes'], 'get')],
} as const satisfies Readonly<Record<string, readonly Rule[]>>;
