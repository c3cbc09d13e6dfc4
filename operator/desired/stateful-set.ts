/**
 * The StatefulSet of a role. OnDelete: pods are rolled by the operator alone, which asks the store
 * first. Claims are always retained: `kubectl delete sts` must not destroy data.
 */
import type { ClusterSpec } from '../api/cluster.ts';
import { type Role, roleName } from '../api/names.ts';
import { type Fields, isFields, isList, type Manifest } from './manifest.ts';
import {
  CONTAINER,
  claimLabels,
  selectorLabels,
  TEMPLATE_HASH_ANNOTATION,
  TEMPLATE_VERSION_ANNOTATION,
} from './names.ts';
import { chooseTemplate } from './template-version.ts';
import { metaOf, type Wanted } from './wanted.ts';

/** Ready for this long counts as available; the same number judges pods in plan/. */
export const MIN_READY_SECONDS = 5;
const REVISION_HISTORY_LIMIT = 5;

export type BuiltStatefulSet =
  | { readonly kind: 'built'; readonly manifest: Manifest }
  | { readonly kind: 'rejected'; readonly problems: readonly string[] };

export function buildStatefulSet(wanted: Wanted, role: Role): BuiltStatefulSet {
  const chosen = chooseTemplate(wanted, role);
  if (chosen.kind === 'rejected') return chosen;
  const { template, noted } = chosen;
  const name = roleName(wanted.name, role);
  const manifest = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: {
      ...metaOf(wanted, name, role),
      annotations: {
        [TEMPLATE_VERSION_ANNOTATION]: String(noted.version),
        [TEMPLATE_HASH_ANNOTATION]: noted.hash,
      },
    },
    spec: {
      serviceName: name,
      replicas: wanted.replicas[role],
      updateStrategy: { type: 'OnDelete' },
      podManagementPolicy: 'Parallel',
      minReadySeconds: MIN_READY_SECONDS,
      revisionHistoryLimit: REVISION_HISTORY_LIMIT,
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: selectorLabels(wanted.name, role) },
      template,
      volumeClaimTemplates: claimTemplates(wanted, role),
    },
  };
  return { kind: 'built', manifest };
}

/** Image of the store in a StatefulSet as it was read; null: it names none. */
export function templateImage(set: unknown): string | null {
  const inner = (value: unknown, field: string): unknown =>
    isFields(value) ? value[field] : undefined;
  const containers = ['spec', 'template', 'spec', 'containers'].reduce(inner, set);
  const ours = isList(containers)
    ? containers.find((container) => inner(container, 'name') === CONTAINER)
    : undefined;
  const image = inner(ours, 'image');
  return typeof image === 'string' ? image : null;
}

type Storage = ClusterSpec['volumes']['storage'];

function claimTemplates(wanted: Wanted, role: Role): readonly Fields[] {
  const { coordinators, volumes } = wanted.spec;
  const labels = claimLabels(wanted.name, role, wanted.clusterId);
  if (role === 'coordinator') return [claimTemplate('data', labels, coordinators.storage)];
  const data = claimTemplate('data', labels, volumes.storage);
  return volumes.wal === undefined ? [data] : [data, claimTemplate('wal', labels, volumes.wal)];
}

/** Spelled out whole: server-side apply compares it with what the server filled in. */
const claimTemplate = (
  name: string,
  labels: Fields,
  { size, storageClassName }: Storage,
): Fields => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name, labels },
  spec: {
    accessModes: ['ReadWriteOnce'],
    volumeMode: 'Filesystem',
    resources: { requests: { storage: size } },
    ...(storageClassName === undefined ? {} : { storageClassName }),
  },
});
