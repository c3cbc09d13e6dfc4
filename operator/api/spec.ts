/** What a user asks for. Every field is one that the operator acts on. */
import { z } from 'zod';
import {
  podTemplateField,
  resourcesField,
  schedulingField,
  storageField,
  textMap,
  walField,
} from './pod-fields.ts';
import { byteAmount, bytesOf } from './quantity.ts';
import { ruled } from './rules.ts';

const IMAGE_MAX = 512;
const NAME_MAX = 253;
const ANNOTATION_MAX = 4096;
const LABEL_VALUE_MAX = 63;
/** 1 to 60000 ms, as the store takes it. */
const FSYNC = /^(always|never|interval=([1-9][0-9]{0,3}|[1-5][0-9]{4}|60000))$/;

const coordinators = ruled(
  z.object({
    replicas: z
      .int()
      .min(1)
      .max(7)
      .default(3)
      .describe('Coordinators at creation: 1, 3, 5 or 7. A later change is held.'),
    resources: resourcesField(),
    storage: storageField(),
    scheduling: schedulingField(),
    podTemplate: podTemplateField(),
  }),
  [
    {
      cel: 'self.replicas % 2 == 1',
      sentence:
        'coordinators.replicas must be 1, 3, 5 or 7: an even count survives no more failures',
      holds: ({ replicas }) => replicas % 2 === 1,
    },
  ],
)
  .prefault({})
  .describe('The processes that agree on metadata and answer clients.');

const volumes = ruled(
  z.object({
    replicas: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe('Volumes. More are added at once; fewer are held.'),
    resources: resourcesField(),
    storage: storageField(),
    wal: walField(),
    scheduling: schedulingField(),
    podTemplate: podTemplateField(),
    replicationFactor: z
      .int()
      .min(1)
      .max(5)
      .default(3)
      .describe('Copies of every value. Cannot change.'),
    minReplicas: z
      .int()
      .min(1)
      .optional()
      .describe('Copies that a write needs; absent: 2, or 1 when replicationFactor is 1.'),
    fsync: z
      .string()
      .max(14)
      .regex(FSYNC, 'must be always, never or interval=MS with 1 to 60000')
      .default('always')
      .describe(
        'When a volume syncs: always (before each acknowledgement), interval=MS or never. What was not synced is lost when a node loses power.',
      ),
    failureDomain: z
      .enum(['Node', 'Zone'])
      .default('Node')
      .describe(
        'What copies are spread over: nodes, or the zones of their nodes (needs the right to read nodes).',
      ),
  }),
  [
    {
      cel: 'self.replicas >= self.replicationFactor',
      sentence: 'volumes.replicas must be at least replicationFactor: raise replicas',
      holds: ({ replicas, replicationFactor }) => replicas >= replicationFactor,
    },
    {
      cel: '!has(self.minReplicas) || self.minReplicas <= self.replicationFactor',
      sentence: 'minReplicas cannot exceed replicationFactor',
      holds: ({ minReplicas = 1, replicationFactor }) => minReplicas <= replicationFactor,
    },
    {
      cel: 'self.replicationFactor == oldSelf.replicationFactor',
      sentence:
        'replicationFactor cannot change on a living cluster: create a new cluster and copy',
    },
    {
      cel: 'has(self.wal) == has(oldSelf.wal)',
      sentence: 'wal can only be chosen at creation',
    },
  ],
)
  .prefault({})
  .describe('The processes that hold the bytes.');

/** An amount of bytes from `min` to `max`, both as users write them. */
const bytesWithin = (name: string, min: string, max: string) =>
  ruled(byteAmount(), [
    {
      cel: `quantity(self).compareTo(quantity('${min}')) >= 0 && quantity(self).compareTo(quantity('${max}')) <= 0`,
      sentence: `${name} must be from ${min} to ${max}`,
      holds: (amount) => bytesOf(amount) >= bytesOf(min) && bytesOf(amount) <= bytesOf(max),
    },
  ]);

const config = z
  .object({
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
      .default('info')
      .describe('Least level that is logged.'),
    maxObject: bytesWithin('maxObject', '1', '5Gi').default('5Gi').describe('Largest value.'),
    blobCache: bytesWithin('blobCache', '0', '64Gi')
      .default('64Mi')
      .describe('Memory of each coordinator for small values that were read lately.'),
    inlineMax: bytesWithin('inlineMax', '0', '16Ki')
      .optional()
      .describe(
        'Largest value that coordinators keep with its key, instead of volumes; absent: 2Ki. 0: none.',
      ),
    compactionRate: bytesWithin('compactionRate', '1Ki', '1Ti')
      .default('64Mi')
      .describe('Bytes that the compaction of a volume may copy in a second.'),
  })
  .prefault({})
  .describe('Settings that running processes take up without a restart, within two minutes.');

const service = z
  .object({
    type: z
      .enum(['ClusterIP', 'NodePort', 'LoadBalancer'])
      .default('ClusterIP')
      .describe('Type of the Service for clients.'),
    annotations: textMap(ANNOTATION_MAX)
      .prefault({})
      .describe('Annotations of that Service, such as those for a load balancer.'),
  })
  .prefault({})
  .describe('The Service for clients, named like the cluster.');

const monitoring = z
  .object({
    podMonitor: z
      .boolean()
      .default(false)
      .describe('Make PodMonitors, where their kind is installed.'),
    prometheusRule: z
      .boolean()
      .default(false)
      .describe('Make a PrometheusRule with alerts, where its kind is installed.'),
    labels: textMap(LABEL_VALUE_MAX)
      .prefault({})
      .describe('Labels of both, by which Prometheus selects them.'),
  })
  .prefault({})
  .describe("Objects for the Prometheus operator's kinds.");

const pullSecret = z
  .object({
    name: z.string().min(1).max(NAME_MAX).describe('Secret in the namespace of the cluster.'),
  })
  .describe('One Secret.');

export const specSchema = z
  .object({
    image: z
      .string()
      .min(1)
      .max(IMAGE_MAX)
      .describe('Image of coordinators and volumes. A change rolls them one by one.'),
    imagePullPolicy: z
      .enum(['Always', 'IfNotPresent', 'Never'])
      .default('IfNotPresent')
      .describe('When nodes pull the image.'),
    imagePullSecrets: z
      .array(pullSecret)
      .max(8)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
      .prefault([])
      .describe('Secrets with the credentials of the registry.'),
    coordinators,
    volumes,
    config,
    service,
    monitoring,
    networkPolicy: z
      .object({
        enabled: z
          .boolean()
          .default(true)
          .describe('Make NetworkPolicies: clients reach HTTP, only the cluster itself gRPC.'),
      })
      .prefault({})
      .describe('Who may connect to the pods.'),
    maintenance: z
      .object({
        suspended: z
          .boolean()
          .default(false)
          .describe('Leave the cluster as it is: only status is written.'),
      })
      .prefault({})
      .describe("The operator's pause."),
    deletionPolicy: z
      .enum(['Retain', 'Delete'])
      .default('Retain')
      .describe('What happens to the claims, and so to the data, when the cluster is deleted.'),
  })
  .describe('What is asked for.');
