/** Names of a cluster's objects. The name of a pod is also the name its process goes by. */
export type Role = 'coordinator' | 'volume';

/** StatefulSet, headless Service, PodDisruptionBudget, ServiceAccount and NetworkPolicy of a role. */
export const roleName = (cluster: string, role: Role): string => `${cluster}-${role}`;

export const podName = (cluster: string, role: Role, ordinal: number): string =>
  `${roleName(cluster, role)}-${ordinal}`;

/** The claims that a StatefulSet makes for a pod. */
export const claimName = (template: 'data' | 'wal', pod: string): string => `${template}-${pod}`;

export const configMapName = (cluster: string): string => `${cluster}-config`;

/** Label of the claim templates: whose data it is. */
export const CLUSTER_ID_LABEL = 'minikv.io/cluster-id';
