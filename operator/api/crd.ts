/** The CustomResourceDefinition of MiniKVCluster, from the one schema. */
import { clusterSchema, GROUP, KIND, PLURAL, VERSION } from './cluster.ts';
import { type GeneratedFile, generatedBy, yamlOf } from './generated-files.ts';
import { type SchemaNode, structuralSchema } from './structural.ts';

const CRD_NAME = `${PLURAL}.${GROUP}`;

const condition = (type: string, field: string): string =>
  `.status.conditions[?(@.type=="${type}")].${field}`;

const text = (name: string, jsonPath: string, description: string) => ({
  name,
  type: 'string',
  jsonPath,
  description,
});
const wide = { priority: 1 };

const columns = [
  text('Ready', condition('Ready', 'status'), 'Available, and every pod is ready'),
  text('Phase', '.status.phase', 'All conditions in one word'),
  text('Coordinators', '.status.coordinators.summary', 'Ready of desired'),
  text('Volumes', '.status.volumes.summary', 'Ready of desired'),
  text('Leader', '.status.leader', 'Pod that orders the writes'),
  text('Version', '.status.version', 'Version of minikv that the leader runs'),
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  {
    name: 'Under-repl',
    type: 'integer',
    jsonPath: '.status.data.underReplicated',
    description: 'Values with fewer copies than asked for',
    ...wide,
  },
  { ...text('Held', condition('ChangeHeld', 'reason'), 'A change that is not made yet'), ...wide },
  { ...text('Image', '.status.image', 'Image of the newest pod template'), ...wide },
];

export const crd = () => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: CRD_NAME },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: {
      kind: KIND,
      listKind: `${KIND}List`,
      plural: PLURAL,
      singular: KIND.toLowerCase(),
      shortNames: ['mkv'],
      categories: ['all'],
    },
    versions: [
      {
        name: VERSION,
        served: true,
        storage: true,
        additionalPrinterColumns: columns,
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.volumes.replicas',
            statusReplicasPath: '.status.volumes.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        schema: { openAPIV3Schema: rootSchema() },
      },
    ],
  },
});

/** The API server owns these three, and refuses a description even of metadata. */
function rootSchema(): SchemaNode {
  const schema = structuralSchema(clusterSchema);
  return {
    ...schema,
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string', description: 'Group and version of the kind.' },
      kind: { type: 'string', description: `${KIND}.` },
      metadata: { type: 'object' },
    },
    required: ['spec'],
  };
}

export const crdFile = (): GeneratedFile => ({
  path: `crds/${GROUP}_${PLURAL}.yaml`,
  text: generatedBy('crds') + yamlOf(crd()),
});
