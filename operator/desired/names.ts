/**
 * Labels, ports and addresses of a cluster's objects, and the way back from a name to what it names.
 * All follow from the cluster's name alone, so that an object is found again by whoever lost all memory.
 */
import { CLUSTER_ID_LABEL, podName, type Role, roleName } from '../api/names.ts';

export const ROLES: readonly Role[] = ['coordinator', 'volume'];

export const PORTS = {
  coordinator: { http: 5000, grpc: 5001, admin: 5009 },
  volume: { http: 6000, grpc: 6001, admin: 6009 },
} as const;

/** The container that runs the store in a pod of either role. */
export const CONTAINER = 'minikv';

export const TEMPLATE_VERSION_ANNOTATION = 'minikv.io/template-version';
export const TEMPLATE_HASH_ANNOTATION = 'minikv.io/template-hash';

/** Which cluster: its name and where it lives. */
export interface Place {
  readonly name: string;
  readonly namespace: string;
}

/** Role and ordinal of a pod's name; null for a name that is none of this cluster's. */
export function parsePodName(
  cluster: string,
  name: string,
): { readonly role: Role; readonly ordinal: number } | null {
  for (const role of ROLES) {
    const prefix = `${roleName(cluster, role)}-`;
    const digits = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    if (/^(0|[1-9]\d{0,4})$/.test(digits)) return { role, ordinal: Number(digits) };
  }
  return null;
}

/** The pod that a claim belongs to; null for a name that is none of this cluster's. */
export function parseClaimName(
  cluster: string,
  name: string,
): { readonly role: Role; readonly ordinal: number; readonly pod: string } | null {
  for (const prefix of ['data-', 'wal-']) {
    if (!name.startsWith(prefix)) continue;
    const pod = name.slice(prefix.length);
    const found = parsePodName(cluster, pod);
    if (found !== null && (prefix === 'data-' || found.role === 'volume')) return { ...found, pod };
  }
  return null;
}

/** Never change: selectors are immutable. */
export const selectorLabels = (cluster: string, role: Role): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/name': 'minikv',
  'app.kubernetes.io/instance': cluster,
  'app.kubernetes.io/component': role,
});

/** Claims carry the cluster they belong to, so that they are found again when everything else is gone. */
export const claimLabels = (
  cluster: string,
  role: Role,
  clusterId: string,
): Readonly<Record<string, string>> => ({
  ...selectorLabels(cluster, role),
  [CLUSTER_ID_LABEL]: clusterId,
});

/** No version among them: a label of the template would restart pods. */
export const objectLabels = (cluster: string, role?: Role): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/name': 'minikv',
  'app.kubernetes.io/instance': cluster,
  ...(role === undefined ? {} : { 'app.kubernetes.io/component': role }),
  'app.kubernetes.io/managed-by': 'minikv-operator',
  'app.kubernetes.io/part-of': 'minikv',
});

/** `<pod>.<headless>.<ns>.svc`: looked up at every connection attempt, never an IP. */
export const podHost = ({ name, namespace }: Place, role: Role, pod: string): string =>
  `${pod}.${roleName(name, role)}.${namespace}.svc`;

/** The gRPC address of a coordinator, as members know each other. */
export const coordinatorAddress = (place: Place, ordinal: number): string => {
  const pod = podName(place.name, 'coordinator', ordinal);
  return `${podHost(place, 'coordinator', pod)}:${PORTS.coordinator.grpc}`;
};

/** Where clients connect. */
export const endpointOf = ({ name, namespace }: Place): string =>
  `${name}.${namespace}.svc:${PORTS.coordinator.http}`;
