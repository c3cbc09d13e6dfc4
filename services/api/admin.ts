/**
 * JSON of the admin calls. camelCase fields are the contract with operators; the snake_case ones
 * are minikv's older names of the same facts and stay for its scripts.
 */
import { z } from 'zod';

const hex32 = z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 hex digits');
const counter = z.number().int().nonnegative();
const nodeName = z.string().min(1).max(253);

const namedNodeSchema = z.object({ nodeId: counter, name: z.string() });

export const coordinatorStateSchema = z.enum([
  'empty',
  'armed',
  'waiting',
  'member',
  'recovering',
  'void',
  'stopping',
]);

export type CoordinatorState = z.infer<typeof coordinatorStateSchema>;

/** `GET /admin/status` of a coordinator: its own view, needs no quorum. */
export const coordinatorStatusSchema = z.object({
  name: z.string(),
  /** 0 before it is a member. */
  nodeId: counter,
  clusterId: z.string().nullable(),
  bootId: counter,
  podUid: z.string(),
  version: z.string(),
  state: coordinatorStateSchema,
  role: z.enum(['leader', 'candidate', 'follower']),
  term: counter,
  leader: namedNodeSchema.nullable(),
  /** Milliseconds since a leader was heard; null: never in this boot. */
  leaderContactMs: z.number().nullable(),
  commitIndex: counter,
  appliedIndex: counter,
  /** Has applied a leader's commit index in this boot. */
  caughtUp: z.boolean(),
  voters: z.array(namedNodeSchema),
  operatorEpoch: counter,
  /** Settings whose change waits for a restart, by name. */
  pendingRestart: z.array(z.string()),
  /** HTTP address of the leader; null where unknown. */
  leader_url: z.string().nullable(),
  /** Which build of BLAKE3 serves. */
  digest: z.enum(['native', 'wasm']),
  node_id: z.string(),
  is_leader: z.boolean(),
  commit_index: counter,
  last_applied: counter,
  log_length: counter,
  nb_peers: counter,
  nb_volumes: counter,
  volume_ids: z.array(z.string()),
  nb_s3_objects: counter,
});

export type CoordinatorStatus = z.infer<typeof coordinatorStatusSchema>;

/** `GET /admin/cluster`: by the leader at a ReadIndex. */
export const clusterViewSchema = z.object({
  clusterId: z.string(),
  index: counter,
  term: counter,
  leader: namedNodeSchema,
  operatorEpoch: counter,
  members: z.array(
    z.object({
      nodeId: counter,
      name: z.string(),
      voter: z.boolean(),
      /** `unknown` where it has not answered the leader. */
      state: z.union([coordinatorStateSchema, z.literal('unknown')]),
      matchIndex: counter,
      /** Entries behind the leader's last. */
      lag: counter,
      /** Milliseconds since it answered the leader; null: never. */
      contactMs: z.number().nullable(),
      bootId: counter,
      version: z.string(),
    }),
  ),
  volumes: z.array(
    z.object({
      name: z.string(),
      disk: counter,
      session: counter,
      state: z.enum(['active', 'draining', 'gone']),
      zone: z.string(),
      live: z.boolean(),
      /** Milliseconds since it was heard; null: not by this leader. */
      heardMs: z.number().nullable(),
      refs: counter,
      usedBytes: counter,
      capacityBytes: counter,
      version: z.string(),
    }),
  ),
  data: z.object({
    /** An upper bound from counters: thin keys and all references to disks that are away. */
    underReplicated: counter,
    /** Thin keys known to have no sound copy. */
    lost: counter,
  }),
});

export type ClusterView = z.infer<typeof clusterViewSchema>;

/** `GET /admin/status` of a volume. */
export const volumeStatusSchema = z.object({
  name: z.string(),
  clusterId: z.string().nullable(),
  /** 0: unformatted. */
  disk: counter,
  session: counter,
  boots: counter,
  podUid: z.string(),
  version: z.string(),
  state: z.enum(['unformatted', 'registering', 'serving', 'stopping']),
  /** Settings whose change waits for a restart, by name. */
  pendingRestart: z.array(z.string()),
  digest: z.enum(['native', 'wasm']),
});

export type VolumeStatus = z.infer<typeof volumeStatusSchema>;

export const bootstrapRequestSchema = z.strictObject({
  clusterId: hex32,
  members: z
    .array(
      z.strictObject({
        nodeId: counter.min(1),
        name: nodeName,
        /** host:port of the member's gRPC listener. */
        address: z.string().min(1).max(300),
      }),
    )
    .min(1)
    .max(7),
});

export type BootstrapRequest = z.infer<typeof bootstrapRequestSchema>;

export const bootstrapAnswerSchema = z.object({ state: coordinatorStateSchema });

export type BootstrapAnswer = z.infer<typeof bootstrapAnswerSchema>;

/** `to`: a member's name or node id; absent: the best of the others. */
export const transferRequestSchema = z.strictObject({
  to: z.union([nodeName, counter.min(1)]).optional(),
  /** Refused with `TERM_CHANGED` when the term is another one. */
  expectedTerm: counter.optional(),
});

export type TransferRequest = z.infer<typeof transferRequestSchema>;

export const transferAnswerSchema = z.object({ leader: namedNodeSchema, term: counter });

export type TransferAnswer = z.infer<typeof transferAnswerSchema>;

/** `disk` guards against a volume that was wiped and came back under the same name. */
export const volumeChangeSchema = z.strictObject({
  disk: counter.min(1).optional(),
  zone: z.string().max(253).optional(),
  state: z.enum(['active', 'draining', 'gone']).optional(),
});

export type VolumeChange = z.infer<typeof volumeChangeSchema>;

export const volumeChangeAnswerSchema = z.object({ index: counter });

export type VolumeChangeAnswer = z.infer<typeof volumeChangeAnswerSchema>;
