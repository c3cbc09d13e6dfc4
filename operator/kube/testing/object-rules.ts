/** What the API server does to an object of each kind before it stores it. */
import { isDeepStrictEqual } from 'node:util';
import { fieldOf, isRecord, listOf } from '../json.ts';
import { KubeError } from '../kube-error.ts';
import { clone, type Json } from './field-set.ts';

/** Kinds whose status is written through its own path alone. */
const WITH_STATUS: ReadonlySet<string> = new Set([
  'MiniKVCluster',
  'StatefulSet',
  'Pod',
  'PersistentVolumeClaim',
  'Service',
  'PodDisruptionBudget',
  'Node',
]);
/** Kinds whose spec is counted in `metadata.generation`. */
const WITH_GENERATION: ReadonlySet<string> = new Set([
  'MiniKVCluster',
  'StatefulSet',
  'PodDisruptionBudget',
  'NetworkPolicy',
  'PodMonitor',
  'PrometheusRule',
]);

export const hasStatus = (kind: string): boolean => WITH_STATUS.has(kind);
export const hasGeneration = (kind: string): boolean => WITH_GENERATION.has(kind);

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** @throws KubeError `Invalid`, as the real one, for what the operator may run into. */
export function validate(object: Json, old: Json | null): void {
  const name = String(fieldOf(object, 'metadata', 'name'));
  if (!NAME.test(name)) throw invalid(object, 'metadata.name', `Invalid value: "${name}"`);
  if (old === null) return;
  if (object['kind'] === 'StatefulSet') validateStatefulSet(object, old);
  if (object['kind'] === 'MiniKVCluster') validateCluster(object, old);
}

const MUTABLE = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

function validateStatefulSet(object: Json, old: Json): void {
  const fixed = (from: Json): Json => {
    const spec = clone(fieldOf(from, 'spec')) as Json;
    for (const name of MUTABLE) Reflect.deleteProperty(spec, name);
    return spec;
  };
  if (isDeepStrictEqual(fixed(object), fixed(old))) return;
  const allowed = MUTABLE.map((name) => `'${name}'`).join(', ');
  throw invalid(
    object,
    'spec',
    `Forbidden: updates to statefulset spec for fields other than ${allowed} are forbidden`,
  );
}

function validateCluster(object: Json, old: Json): void {
  for (const name of ['clusterID', 'bootstrapped']) {
    const before = fieldOf(old, 'status', name);
    if (before === undefined || before === false) continue;
    if (fieldOf(object, 'status', name) === before) continue;
    throw invalid(object, 'status', `Invalid value: "object": ${name} is set once`);
  }
}

function invalid(object: Json, field: string, message: string): KubeError {
  const name = String(fieldOf(object, 'metadata', 'name'));
  return new KubeError({
    code: 422,
    reason: 'Invalid',
    message: `${String(object['kind'])} "${name}" is invalid: ${field}: ${message}`,
    causes: [{ reason: 'FieldValueInvalid', message, field }],
  });
}

/** Fills in what the server fills in, so that a stored object is never deeply equal to the sent one. */
export function setDefaults(object: Json): void {
  const { spec } = object;
  if (!isRecord(spec)) return;
  switch (object['kind']) {
    case 'Pod':
      podDefaults(spec);
      return;
    case 'StatefulSet':
      put(spec, { replicas: 1, podManagementPolicy: 'OrderedReady', revisionHistoryLimit: 10 });
      podDefaults(fieldOf(spec, 'template', 'spec'));
      for (const claim of listOf(spec['volumeClaimTemplates'])) {
        put(fieldOf(claim, 'spec'), { volumeMode: 'Filesystem' });
        put(claim, { status: { phase: 'Pending' } });
      }
      return;
    case 'Service':
      put(spec, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' });
      for (const port of listOf(spec['ports'])) {
        put(port, { protocol: 'TCP', targetPort: fieldOf(port, 'port') });
      }
      return;
    case 'PersistentVolumeClaim':
      put(spec, { volumeMode: 'Filesystem' });
      return;
    default:
  }
}

function podDefaults(spec: unknown): void {
  put(spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
  });
  const containers = ['initContainers', 'containers'].flatMap((name) =>
    listOf(fieldOf(spec, name)),
  );
  for (const container of containers) {
    put(container, {
      imagePullPolicy: 'IfNotPresent',
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      resources: {},
    });
    for (const port of listOf(fieldOf(container, 'ports'))) put(port, { protocol: 'TCP' });
  }
}

function put(target: unknown, defaults: Json): void {
  if (!isRecord(target)) return;
  for (const [name, value] of Object.entries(defaults)) target[name] ??= value;
}
