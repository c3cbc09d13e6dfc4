/**
 * The pod template of a role, before the user's overlay. A template is frozen under its version: a
 * change here that alters what is built for an unchanged spec is a new version (template-version.ts),
 * because it would restart every pod of every cluster when the operator is upgraded.
 */
import { configMapName, type Role, roleName } from '../api/names.ts';
import { CONFIG_FOLDER, environmentOf } from './environment.ts';
import { type Fields, isFields, isList } from './manifest.ts';
import { CONTAINER, PORTS, selectorLabels } from './names.ts';
import type { Wanted } from './wanted.ts';

const COMMANDS: Readonly<Record<Role, string>> = {
  coordinator: 'minikv-coord',
  volume: 'minikv-volume',
};
const ID = 1000;
const TERMINATION_GRACE_SECONDS = 60;

/** Where each volume of a pod is mounted; the overlay may touch none of them. */
export const MOUNTS: Readonly<Record<'data' | 'wal' | 'config' | 'tmp', string>> = {
  data: '/data',
  wal: '/wal',
  config: CONFIG_FOLDER,
  tmp: '/tmp',
};

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> } & Fields;
  readonly spec: Fields;
}

export const buildPodTemplate = (wanted: Wanted, role: Role): PodTemplate => ({
  metadata: { labels: selectorLabels(wanted.name, role) },
  spec: {
    serviceAccountName: roleName(wanted.name, role),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: TERMINATION_GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: ID,
      runAsGroup: ID,
      fsGroup: ID,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...pullSecrets(wanted),
    ...scheduling(wanted, role),
    containers: [container(wanted, role)],
    volumes: [
      { name: 'config', configMap: { name: configMapName(wanted.name) } },
      { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
    ],
  },
});

const pullSecrets = ({ spec: { imagePullSecrets } }: Wanted): Fields =>
  imagePullSecrets.length === 0
    ? {}
    : { imagePullSecrets: imagePullSecrets.map(({ name }) => ({ name })) };

function container(wanted: Wanted, role: Role): Fields {
  const { spec } = wanted;
  const { resources } = role === 'coordinator' ? spec.coordinators : spec.volumes;
  const hasWal = role === 'volume' && spec.volumes.wal !== undefined;
  const mounts = (['data', ...(hasWal ? (['wal'] as const) : []), 'config', 'tmp'] as const).map(
    (name) => ({
      name,
      mountPath: MOUNTS[name],
      ...(name === 'config' ? { readOnly: true } : {}),
    }),
  );
  return {
    name: CONTAINER,
    image: spec.image,
    imagePullPolicy: spec.imagePullPolicy,
    command: [COMMANDS[role], 'serve'],
    env: environmentOf(wanted, role),
    ports: Object.entries(PORTS[role]).map(([name, containerPort]) => ({
      name,
      containerPort,
      protocol: 'TCP',
    })),
    resources: { requests: resources.requests, limits: resources.limits },
    ...probes,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: mounts,
  };
}

const httpGet = (path: string): Fields => ({ httpGet: { path, port: 'admin' } });

/** Liveness asks for no disk, peer or quorum: a lost leader must not become a restart of all pods. */
const probes: Fields = {
  startupProbe: {
    ...httpGet('/health/live'),
    periodSeconds: 1,
    timeoutSeconds: 1,
    failureThreshold: 60,
  },
  livenessProbe: {
    ...httpGet('/health/live'),
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold: 6,
  },
  readinessProbe: {
    ...httpGet('/health/ready'),
    periodSeconds: 2,
    timeoutSeconds: 2,
    failureThreshold: 2,
  },
};

function scheduling({ name, spec }: Wanted, role: Role): Fields {
  const given = (role === 'coordinator' ? spec.coordinators : spec.volumes).scheduling;
  const labelSelector = { matchLabels: selectorLabels(name, role) };
  const zones = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector,
  };
  return {
    affinity: withAntiAffinity(given, { topologyKey: 'kubernetes.io/hostname', labelSelector }),
    topologySpreadConstraints: given.topologySpreadConstraints ?? [zones],
    ...(given.nodeSelector === undefined ? {} : { nodeSelector: given.nodeSelector }),
    ...(given.tolerations === undefined ? {} : { tolerations: given.tolerations }),
    ...(given.priorityClassName === undefined
      ? {}
      : { priorityClassName: given.priorityClassName }),
  };
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

/** The user's affinity, and our term beside whatever anti-affinity it has. */
function withAntiAffinity(
  { affinity = {}, antiAffinity }: Wanted['spec']['volumes']['scheduling'],
  term: Fields,
): Fields {
  const given = fieldsOr(affinity['podAntiAffinity']);
  const [key, entry] =
    antiAffinity === 'Required'
      ? [REQUIRED, term]
      : [PREFERRED, { weight: 100, podAffinityTerm: term }];
  const terms = given[key];
  return {
    ...affinity,
    podAntiAffinity: { ...given, [key]: [...(isList(terms) ? terms : []), entry] },
  };
}

const fieldsOr = (value: unknown): Fields => (isFields(value) ? value : {});
