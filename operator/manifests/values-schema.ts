/** values.schema.json of the chart minikv-cluster: its values are a spec. */
import { specSchema } from '../api/spec.ts';
import { mapSchema, type SchemaNode, structuralSchema } from '../api/structural.ts';

const DIALECT = 'http://json-schema.org/draft-07/schema#';

/** Refuses what the API server would prune or answer with an error, before anything is sent. */
export function valuesSchema(): SchemaNode {
  const spec = mapSchema(structuralSchema(specSchema), closed);
  const global = { type: 'object', description: 'Set by Helm for charts within charts.' };
  return { $schema: DIALECT, ...spec, properties: { ...spec.properties, global } };
}

function closed(node: SchemaNode): SchemaNode {
  const open = node['x-kubernetes-preserve-unknown-fields'] === true;
  const plain = Object.fromEntries(
    Object.entries(node).filter(([key]) => !key.startsWith('x-kubernetes-') && key !== 'format'),
  );
  return node.properties === undefined || open ? plain : { ...plain, additionalProperties: false };
}
