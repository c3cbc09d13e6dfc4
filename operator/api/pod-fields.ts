/** The parts of a spec that coordinators and volumes have in common: what a pod gets and where it runs. */
import { z } from 'zod';
import { byteAmount, bytesOf, cpuAmount } from './quantity.ts';
import { ruled } from './rules.ts';

const LIST_MAX = 16;
const NAME_MAX = 253;
const LABEL_VALUE_MAX = 63;
const STORAGE_BYTES_MIN = 128 * 1024 ** 2;

/** Free-form text by name, for labels and annotations. */
export const textMap = (valueMax: number) => z.record(z.string(), z.string().max(valueMax));

/** An object whose fields the API server keeps and does not judge. */
export const freeForm = () =>
  z.record(z.string(), z.unknown()).meta({ 'x-kubernetes-preserve-unknown-fields': true });

export const resourcesField = () =>
  ruled(
    z.object({
      requests: z
        .object({
          cpu: cpuAmount().prefault('100m').describe('Cores that a node must have free.'),
          memory: byteAmount().default('512Mi').describe('Memory that a node must have free.'),
        })
        .prefault({})
        .describe('What a node must have free to take the pod.'),
      limits: z
        .object({
          cpu: cpuAmount().optional().describe('Most cores that it may use; absent: no limit.'),
          memory: byteAmount()
            .default('1Gi')
            .describe(
              'Most memory that it may use. Half of it (35 % of a volume) is for the heap.',
            ),
        })
        .prefault({})
        .describe('What the container may use at most.'),
    }),
    [
      {
        cel: 'quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0',
        sentence: 'requests.memory cannot exceed limits.memory: raise the limit too',
        holds: ({ requests, limits }) => bytesOf(requests.memory) <= bytesOf(limits.memory),
      },
    ],
  )
    .prefault({})
    .describe('Processor and memory of each pod.');

const storageClass = () =>
  z
    .string()
    .min(1)
    .max(NAME_MAX)
    .optional()
    .describe("StorageClass of the claims; absent: the cluster's default. Cannot change.");

const size = () =>
  ruled(byteAmount(), [
    {
      cel: "quantity(self).compareTo(quantity('128Mi')) >= 0",
      sentence: 'size must be at least 128Mi',
      holds: (amount) => bytesOf(amount) >= STORAGE_BYTES_MIN,
    },
  ]);

const storageRules = [
  {
    cel: 'self.size == oldSelf.size && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)',
    sentence: 'storage cannot change in this release: put back the old value',
  },
];

export const storageField = () =>
  ruled(
    z.object({
      size: size().default('10Gi').describe('Size of each claim. Cannot change.'),
      storageClassName: storageClass(),
    }),
    storageRules,
  )
    .prefault({})
    .describe('The claim of each pod for its data.');

/** As storage, but chosen by being there: so its size has no default. */
export const walField = () =>
  ruled(
    z.object({
      size: size().describe('Size of each claim. Cannot change.'),
      storageClassName: storageClass(),
    }),
    storageRules,
  )
    .optional()
    .describe(
      'A second claim of each volume for its active segments, on a faster disk; absent: they stand beside the data. Can only be chosen at creation.',
    );

const toleration = z
  .object({
    key: z.string().max(NAME_MAX).optional().describe('Taint key; absent: every key.'),
    operator: z
      .enum(['Exists', 'Equal'])
      .optional()
      .describe('How the value compares; absent: Equal.'),
    value: z.string().max(LABEL_VALUE_MAX).optional().describe('Taint value, for Equal.'),
    effect: z
      .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
      .optional()
      .describe('Taint effect; absent: all.'),
    tolerationSeconds: z
      .int()
      .optional()
      .describe('Seconds that NoExecute is tolerated; absent: for ever.'),
  })
  .describe('A taint that does not keep the pods away.');

const topologySpread = z
  .looseObject({
    maxSkew: z.int().min(1).describe('Greatest difference of pods between two domains.'),
    topologyKey: z.string().min(1).max(NAME_MAX).describe('Node label that names the domain.'),
    whenUnsatisfiable: z
      .enum(['DoNotSchedule', 'ScheduleAnyway'])
      .describe('What happens to a pod that would break it.'),
  })
  .meta({ 'x-kubernetes-preserve-unknown-fields': true })
  .describe('As topologySpreadConstraints of a pod, other fields too.');

export const schedulingField = () =>
  z
    .object({
      nodeSelector: textMap(LABEL_VALUE_MAX).optional().describe('Labels that a node must carry.'),
      tolerations: z
        .array(toleration)
        .max(LIST_MAX)
        .optional()
        .describe('Taints that do not keep the pods away.'),
      affinity: freeForm()
        .optional()
        .describe('As affinity of a pod; its podAntiAffinity joins the one of antiAffinity.'),
      topologySpreadConstraints: z
        .array(topologySpread)
        .max(LIST_MAX)
        .optional()
        .describe('Instead of the default spread over zones.'),
      priorityClassName: z
        .string()
        .min(1)
        .max(NAME_MAX)
        .optional()
        .describe('PriorityClass of the pods.'),
      antiAffinity: z
        .enum(['Preferred', 'Required'])
        .default('Preferred')
        .describe('Whether two pods of this role may share a node when there is no other.'),
    })
    .prefault({})
    .describe('Where the pods run.');

export const podTemplateField = () =>
  freeForm()
    .prefault({})
    .describe(
      'Laid over the pod template: maps are merged, containers, volumes and env by name, volumeMounts by mountPath, other lists replaced. What the operator itself needs cannot be touched.',
    );
