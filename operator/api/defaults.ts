/** Values that follow from others where a spec leaves them out. */
import type { VolumesSpec } from './cluster.ts';

const WRITE_COPIES = 2;

/** Copies that a write needs: what is asked for, else 2, or 1 where only one is kept. */
export const minReplicasOf = (
  volumes: Pick<VolumesSpec, 'minReplicas' | 'replicationFactor'>,
): number => volumes.minReplicas ?? Math.min(WRITE_COPIES, volumes.replicationFactor);
