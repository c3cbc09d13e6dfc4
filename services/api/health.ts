/** Health as probes and people read it. Liveness says nothing of disks, peers or leaders. */
import { z } from 'zod';

export const liveSchema = z.object({
  alive: z.literal(true),
  version: z.string(),
  /** Seconds since 1970, for display only. */
  timestamp: z.number(),
});

export type LiveBody = z.infer<typeof liveSchema>;

export const coordinatorReadySchema = z.object({
  ready: z.boolean(),
  healthy_volumes: z.number(),
  is_leader: z.boolean(),
  /** Name of the leader as this node knows it. */
  leader: z.string().nullable(),
  /** Why it is not ready; null where it is. */
  reason: z.string().nullable(),
});

export type CoordinatorReadyBody = z.infer<typeof coordinatorReadySchema>;

export const volumeReadySchema = z.object({
  ready: z.boolean(),
  reason: z.string().nullable(),
});

export const volumeHealthSchema = z.object({
  status: z.enum(['healthy', 'starting', 'stopping']),
  volume_id: z.string(),
  total_keys: z.number(),
  total_bytes: z.number(),
});

export type VolumeHealthBody = z.infer<typeof volumeHealthSchema>;
