/**
 * Who may connect to a role's pods: clients to HTTP (volumes too, for redirected reads), the cluster's
 * own pods to gRPC, and only the named namespaces to the admin port, which asks for no password.
 */
import { type Role, roleName } from '../api/names.ts';
import type { Fields, Manifest } from './manifest.ts';
import { PORTS, selectorLabels } from './names.ts';
import { metaOf, type Wanted } from './wanted.ts';

export function buildNetworkPolicy(wanted: Wanted, role: Role): Manifest {
  const { http, grpc, admin } = PORTS[role];
  const own = {
    podSelector: {
      matchLabels: {
        'app.kubernetes.io/name': 'minikv',
        'app.kubernetes.io/instance': wanted.name,
      },
    },
  };
  const namespaces = {
    namespaceSelector: {
      matchExpressions: [
        {
          key: 'kubernetes.io/metadata.name',
          operator: 'In',
          values: wanted.adminNamespaces,
        },
      ],
    },
  };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metaOf(wanted, roleName(wanted.name, role), role),
    spec: {
      podSelector: { matchLabels: selectorLabels(wanted.name, role) },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: [tcp(http)] },
        { ports: [tcp(grpc)], from: [own] },
        { ports: [tcp(admin)], from: [namespaces] },
      ],
    },
  };
}

const tcp = (port: number): Fields => ({ protocol: 'TCP', port });
