/** What the builders build from: one cluster as it is asked for, and where the operator stands. */
import { type ClusterSpec, GROUP, KIND, VERSION } from '../api/cluster.ts';
import type { Role } from '../api/names.ts';
import type { ManifestMeta } from './manifest.ts';
import { objectLabels, type Place } from './names.ts';

/** What stands in the annotations of a StatefulSet about the template that it has. */
export interface NotedTemplate {
  readonly version: number;
  readonly hash: string;
}

export interface Wanted extends Place {
  readonly uid: string;
  readonly clusterId: string;
  readonly spec: ClusterSpec;
  /** Pods of each role; not those of the spec, since nothing ever shrinks. */
  readonly replicas: Readonly<Record<Role, number>>;
  readonly noted: Readonly<Record<Role, NotedTemplate | null>>;
  /** Namespaces from which the admin ports may be reached besides the cluster's own. */
  readonly adminNamespaces: readonly string[];
  /** Kinds of the Prometheus operator that the API server has. */
  readonly kinds: { readonly podMonitor: boolean; readonly prometheusRule: boolean };
}

/** Controlled by the cluster, so that garbage collection removes it; no finalizer is asked for. */
export const metaOf = (wanted: Wanted, name: string, role?: Role): ManifestMeta => ({
  name,
  namespace: wanted.namespace,
  labels: objectLabels(wanted.name, role),
  ownerReferences: [
    {
      apiVersion: `${GROUP}/${VERSION}`,
      kind: KIND,
      name: wanted.name,
      uid: wanted.uid,
      controller: true,
      blockOwnerDeletion: false,
    },
  ],
});
