/**
 * The environment of both roles. It is the restart class of settings: a change makes another revision
 * of the pod template, so that a roll is exact and can be taken back.
 */

import { minReplicasOf } from '../api/defaults.ts';
import { type Role, roleName } from '../api/names.ts';
import { bytesOf } from '../api/quantity.ts';
import { PORTS } from './names.ts';
import type { Wanted } from './wanted.ts';

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

const SHUTDOWN_DELAY = '5s';
export const CONFIG_FOLDER = '/etc/minikv';
const MIB = 1024 * 1024;
const HEAP_MIB_MIN = 192;
/** The rest is for buffers, which the heap does not count. */
const HEAP_SHARE: Readonly<Record<Role, number>> = { coordinator: 0.5, volume: 0.35 };

/** Declared first, since later values refer to them. */
const DOWNWARD: readonly (readonly [name: string, fieldPath: string])[] = [
  ['POD_NAME', 'metadata.name'],
  ['POD_NAMESPACE', 'metadata.namespace'],
  ['POD_UID', 'metadata.uid'],
  ['POD_IP', 'status.podIP'],
  ['NODE_NAME', 'spec.nodeName'],
];

export function environmentOf(wanted: Wanted, role: Role): readonly EnvVar[] {
  const own = role === 'coordinator' ? coordinatorValues(wanted) : volumeValues(wanted);
  return [
    ...DOWNWARD.map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } })),
    ...[...own, ...commonValues(wanted, role)].map(([name, value]) => ({ name, value })),
  ];
}

type Value = readonly [name: string, value: string];

function coordinatorValues({ spec }: Wanted): readonly Value[] {
  const { http, grpc } = PORTS.coordinator;
  return [
    ['NODE_ID', '$(POD_NAME)'],
    ['HTTP_BIND', `0.0.0.0:${http}`],
    ['GRPC_BIND', `0.0.0.0:${grpc}`],
    ['DB_PATH', '/data/coordinator'],
    ['REPLICAS', String(spec.volumes.replicationFactor)],
    ['MINIKV_MIN_REPLICAS', String(minReplicasOf(spec.volumes))],
    // A cluster that lost all its folders must not start again by itself as an empty one.
    ['MINIKV_BOOTSTRAP', 'manual'],
  ];
}

function volumeValues({ name, namespace, spec }: Wanted): readonly Value[] {
  const { http, grpc } = PORTS.volume;
  const coordinators = `${roleName(name, 'coordinator')}.${namespace}.svc`;
  return [
    ['VOLUME_ID', '$(POD_NAME)'],
    ['HTTP_BIND', `0.0.0.0:${http}`],
    ['GRPC_BIND', `0.0.0.0:${grpc}`],
    ['DATA_PATH', '/data/blobs'],
    ['WAL_PATH', spec.volumes.wal === undefined ? '/data/wal' : '/wal/active'],
    ['COORDINATORS', `${coordinators}:${PORTS.coordinator.grpc}`],
    ['MINIKV_FSYNC', spec.volumes.fsync],
    // With `Zone` it is told over the admin call: a pod cannot learn its node's labels.
    ...(spec.volumes.failureDomain === 'Node' ? [['MINIKV_ZONE', '$(NODE_NAME)'] as const] : []),
  ];
}

function commonValues({ name, namespace, spec }: Wanted, role: Role): readonly Value[] {
  const { grpc, admin } = PORTS[role];
  const { resources } = role === 'coordinator' ? spec.coordinators : spec.volumes;
  const heapMib = Math.floor((bytesOf(resources.limits.memory) * HEAP_SHARE[role]) / MIB);
  return [
    ['MINIKV_ADMIN_BIND', `0.0.0.0:${admin}`],
    ['MINIKV_ADVERTISE', `$(POD_NAME).${roleName(name, role)}.${namespace}.svc:${grpc}`],
    ['MINIKV_SHUTDOWN_DELAY', SHUTDOWN_DELAY],
    ['MINIKV_TERMINATION_LOG', '/dev/termination-log'],
    ['MINIKV_CONFIG', `${CONFIG_FOLDER}/${role}.json`],
    // DNS look-ups and disk reads share this pool.
    ['UV_THREADPOOL_SIZE', '16'],
    ['NODE_OPTIONS', `--max-old-space-size=${Math.max(HEAP_MIB_MIN, heapMib)}`],
  ];
}
