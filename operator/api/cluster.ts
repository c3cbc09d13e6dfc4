/**
 * MiniKVCluster: the one schema. Types come from it, the CRD is generated from it, and objects of
 * the API server are decoded by it.
 */
import { z } from 'zod';
import { ruled } from './rules.ts';
import { specSchema } from './spec.ts';
import { type conditionSchema, statusSchema } from './status.ts';

export const GROUP = 'minikv.io';
export const VERSION = 'v1alpha1';
export const KIND = 'MiniKVCluster';
export const PLURAL = 'minikvclusters';

/** 40 + `-coordinator` + the 11 of a revision hash fit a label value of 63. */
const NAME_MAX = 40;
const NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

const metadataSchema = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.int().optional(),
  deletionTimestamp: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

export const clusterSchema = ruled(
  z.object({
    apiVersion: z.literal(`${GROUP}/${VERSION}`),
    kind: z.literal(KIND),
    metadata: metadataSchema,
    spec: specSchema,
    status: statusSchema.optional(),
  }),
  [
    {
      cel: "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
      sentence: 'name: use at most 40 characters, a to z, 0 to 9 and -, starting with a letter',
      holds: ({ metadata: { name } }) => name.length <= NAME_MAX && NAME.test(name),
    },
  ],
).describe('A minikv cluster: coordinators that agree on metadata, volumes that hold the bytes.');

/** A cluster object, defaults applied. */
export type MiniKVCluster = z.infer<typeof clusterSchema>;
/** What is asked for, defaults applied. */
export type ClusterSpec = MiniKVCluster['spec'];
export type CoordinatorsSpec = ClusterSpec['coordinators'];
export type VolumesSpec = ClusterSpec['volumes'];
export type ClusterStatus = NonNullable<MiniKVCluster['status']>;
export type Condition = z.infer<typeof conditionSchema>;
export type Phase = NonNullable<ClusterStatus['phase']>;

/** A cluster, or what is wrong with the object, one sentence a place. */
export type ParsedCluster =
  | { readonly kind: 'cluster'; readonly cluster: MiniKVCluster }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

/**
 * Decodes an object of the API server and fills in the defaults, also those that a CRD of an older
 * version did not. Fields of a newer version are left out.
 */
export function parseCluster(value: unknown): ParsedCluster {
  const parsed = clusterSchema.safeParse(value);
  if (parsed.success) return { kind: 'cluster', cluster: parsed.data };
  const problems = parsed.error.issues.map(({ path, message }) =>
    [path.join('.'), message].filter((part) => part !== '').join(': '),
  );
  return { kind: 'invalid', problems };
}
