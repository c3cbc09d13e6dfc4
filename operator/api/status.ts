/**
 * What the operator sees. Nothing here ticks (indexes, lag, terms, bytes are metrics), so a settled
 * cluster is never written. All fields may be absent: two field managers write them, and status may
 * be lost.
 */
import { z } from 'zod';
import { ruled } from './rules.ts';

const MEMBERS_MAX = 100;
/** As of Kubernetes' own conditions: a server's sentence may be long. */
const MESSAGE_MAX = 32_768;
const NAME_MAX = 253;

const count = () => z.int().min(0);
const text = (max = NAME_MAX) => z.string().max(max);
const byName = {
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
};

const role = z.enum(['Leader', 'Follower', 'Candidate', 'Unknown']);
const volumeState = z.enum(['Active', 'Away', 'Draining', 'Gone', 'Unknown']);
const phase = z.enum([
  'Deleting',
  'Suspended',
  'Failed',
  'Creating',
  'Unavailable',
  'Updating',
  'Degraded',
  'Running',
]);

const coordinators = z.object({
  desired: count().optional().describe('Coordinators asked for.'),
  ready: count().optional().describe('Coordinators whose pod is ready.'),
  updated: count().optional().describe('Coordinators that run the newest pod template.'),
  summary: text(16).optional().describe('Ready of desired, for eyes: 3/3.'),
  members: z
    .array(
      z
        .object({
          name: text().describe('Pod name.'),
          nodeID: count().optional().describe('Raft node id; absent: none yet.'),
          role: role.describe('Role in Raft, as the member itself says.'),
          healthy: z.boolean().describe('In contact with the leader, caught up and ready.'),
        })
        .describe('One coordinator.'),
    )
    .max(MEMBERS_MAX)
    .meta(byName)
    .optional()
    .describe('The coordinators one by one.'),
});

const volumes = z.object({
  replicas: count().optional().describe('Volumes that there are.'),
  ready: count().optional().describe('Volumes whose pod is ready.'),
  updated: count().optional().describe('Volumes that run the newest pod template.'),
  summary: text(16).optional().describe('Ready of those asked for, for eyes: 3/3.'),
  members: z
    .array(
      z
        .object({
          name: text().describe('Pod name.'),
          disk: count().optional().describe('Disk number; absent: not registered yet.'),
          state: volumeState.describe('How the leader sees it; Away: registered and not heard.'),
          zone: text().optional().describe('Failure domain that placement uses.'),
        })
        .describe('One volume.'),
    )
    .max(MEMBERS_MAX)
    .meta(byName)
    .optional()
    .describe('The volumes one by one, at most 100.'),
});

/** As Kubernetes' own conditions; conditions.ts has the types and reasons that there are. */
export const conditionSchema = z
  .object({
    type: text(316).describe('What it is about.'),
    status: z.enum(['True', 'False', 'Unknown']).describe('Whether it is so.'),
    observedGeneration: count().optional().describe('Generation of the spec it was judged for.'),
    lastTransitionTime: z
      .string()
      .max(64)
      .meta({ format: 'date-time' })
      .describe('When status became what it is.'),
    reason: text().min(1).describe('Why, in one word.'),
    message: text(MESSAGE_MAX).describe('Why, in a sentence, and what to do.'),
  })
  .describe('One condition.');

export const statusSchema = ruled(
  z.object({
    observedGeneration: count()
      .optional()
      .describe('Generation of the spec that is applied, rejected or held.'),
    phase: phase.optional().describe('All conditions in one word, for eyes.'),
    clusterID: z
      .string()
      .max(32)
      .regex(/^[0-9a-f]{32}$/)
      .optional()
      .describe('Identity of the data, minted once.'),
    origin: z
      .enum(['New', 'Adopted'])
      .optional()
      .describe('Whether clusterID was minted or found on kept claims.'),
    bootstrapped: z.boolean().optional().describe('The cluster was formed; never formed again.'),
    image: text(512).optional().describe('Image of the newest pod template.'),
    version: text(64).optional().describe('Version that the leader runs.'),
    endpoint: text(512).optional().describe('Where clients connect.'),
    selector: text(512).optional().describe('Selects the volume pods, for the scale subresource.'),
    leader: text().optional().describe('Pod name of the leader.'),
    coordinators: coordinators.optional().describe('The coordinators.'),
    volumes: volumes.optional().describe('The volumes.'),
    data: z
      .object({
        underReplicated: count()
          .optional()
          .describe('Values with fewer copies than asked for: an upper bound, to one digit.'),
        lost: count().optional().describe('Values without a sound copy.'),
      })
      .optional()
      .describe('How well the data is held.'),
    conditions: z
      .array(conditionSchema)
      .max(32)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
      .optional()
      .describe('What is so and why.'),
  }),
  [
    {
      cel: '!has(oldSelf.clusterID) || (has(self.clusterID) && self.clusterID == oldSelf.clusterID)',
      sentence: 'clusterID is set once',
    },
    {
      cel: '!has(oldSelf.bootstrapped) || !oldSelf.bootstrapped || (has(self.bootstrapped) && self.bootstrapped)',
      sentence: 'bootstrapped stays true',
    },
  ],
).describe('What the operator sees.');
