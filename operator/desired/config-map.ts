/**
 * The settings files. They hold the reload class, which running processes take up by themselves, and
 * what is read for the first configuration alone; so no change here restarts a pod.
 */
import { configMapName, podName } from '../api/names.ts';
import { bytesOf } from '../api/quantity.ts';
import type { Manifest } from './manifest.ts';
import { coordinatorAddress } from './names.ts';
import { metaOf, type Wanted } from './wanted.ts';

export function buildConfigMap(wanted: Wanted): Manifest {
  const { clusterId, replicas, spec } = wanted;
  const { logLevel, maxObject, inlineMax, blobCache, compactionRate } = spec.config;
  const peers = Array.from({ length: replicas.coordinator }, (_, ordinal) => {
    return `${podName(wanted.name, 'coordinator', ordinal)}=${coordinatorAddress(wanted, ordinal)}`;
  });
  // Amounts go out as bytes: the store does not know all spellings of Kubernetes.
  const coordinator = {
    clusterId,
    peers,
    logLevel,
    maxObject: bytesOf(maxObject),
    // An older build refuses a setting that it does not know.
    ...(inlineMax === undefined ? {} : { inlineMax: bytesOf(inlineMax) }),
    blobCache: bytesOf(blobCache),
  };
  const volume = { clusterId, logLevel, compactionRate: bytesOf(compactionRate) };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metaOf(wanted, configMapName(wanted.name)),
    data: { 'coordinator.json': fileOf(coordinator), 'volume.json': fileOf(volume) },
  };
}

const fileOf = (settings: unknown): string => `${JSON.stringify(settings, null, 2)}\n`;
