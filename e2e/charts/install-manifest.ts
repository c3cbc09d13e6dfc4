/** install.yaml: what the operator's chart installs with its default values, for those without helm. */
import { type GeneratedFile, generatedBy, yamlOf } from '../../operator/api/generated-files.ts';
import { isTest, type KubeObject, OPERATOR_CHART, render } from './render.ts';

const HELMS_OWN = /^helm\.sh\/|^app\.kubernetes\.io\/managed-by$/;

const namespace = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
});

/** The namespace first, then the objects of the chart without what only helm reads. */
export async function installManifest(): Promise<GeneratedFile> {
  const rendered = await render(OPERATOR_CHART, 'minikv-operator');
  const objects = rendered.filter((object) => !isTest(object)).map(withoutHelm);
  const [home = ''] = objects.flatMap(({ metadata }) => metadata.namespace ?? []);
  const documents = [namespace(home), ...objects].map(yamlOf);
  return { path: 'install.yaml', text: generatedBy('install-manifest') + documents.join('---\n') };
}

function withoutHelm(object: KubeObject): KubeObject {
  return JSON.parse(JSON.stringify(object, leaveOut)) as KubeObject;
}

/** Leaves helm's labels and annotations out, and a map that would be empty without them. */
function leaveOut(key: string, value: unknown): unknown {
  if (HELMS_OWN.test(key)) return undefined;
  const isMap = key === 'annotations' && typeof value === 'object' && value !== null;
  return isMap && Object.keys(value).every((name) => HELMS_OWN.test(name)) ? undefined : value;
}
