/** What the charts take from the code: the CRD, the operator's rights and the values of a cluster. */
import { crd } from '../api/crd.ts';
import { type GeneratedFile, generatedBy, yamlOf } from '../api/generated-files.ts';
import { RIGHTS } from './rbac.ts';
import { valuesSchema } from './values-schema.ts';

const OPERATOR_CHART = 'charts/minikv-operator/generated';

export const chartFiles = (): readonly GeneratedFile[] => [
  { path: `${OPERATOR_CHART}/crd.yaml`, text: generatedBy('crds') + yamlOf(keptCrd()) },
  { path: `${OPERATOR_CHART}/rights.yaml`, text: generatedBy('crds') + yamlOf(RIGHTS) },
  {
    path: 'charts/minikv-cluster/values.schema.json',
    text: `${JSON.stringify(valuesSchema(), null, 2)}\n`,
  },
];

/** A chart that goes must not take every cluster with it. */
function keptCrd() {
  const { metadata, ...rest } = crd();
  const annotations = { 'helm.sh/resource-policy': 'keep' };
  return { ...rest, metadata: { ...metadata, annotations } };
}
