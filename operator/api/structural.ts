/**
 * From zod to the schema that the API server takes: OpenAPI 3.0 without what a structural schema
 * refuses. Extensions (`x-kubernetes-*`) stand in the schemas' metadata and pass through.
 */
import { z } from 'zod';

/** A node of JSON Schema. */
export interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly [key: string]: unknown;
}

/** What zod makes is JSON Schema; its own type for that is wider than what it makes of ours. */
const nodeSchema = z.custom<SchemaNode>((node) => typeof node === 'object' && node !== null);
const INT32_MAX = 2 ** 31 - 1;

/** The structural schema of what a user may write: nothing that has a default is required. */
export function structuralSchema(schema: z.ZodType): SchemaNode {
  const options = { target: 'openapi-3.0', io: 'input' } as const;
  const { $schema: _dialect, ...node } = z.toJSONSchema(schema, options);
  return mapSchema(nodeSchema.parse(node), settle);
}

/** The schema with `change` made to every node, those below first. */
export function mapSchema(node: SchemaNode, change: (node: SchemaNode) => SchemaNode): SchemaNode {
  const below = (inner: SchemaNode): SchemaNode => mapSchema(inner, change);
  const { properties, items, additionalProperties: extra } = node;
  return change({
    ...node,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, inner]) => [name, below(inner)]),
      ),
    }),
    ...(items && { items: below(items) }),
    ...(typeof extra === 'object' && { additionalProperties: below(extra) }),
  });
}

function settle(node: SchemaNode): SchemaNode {
  if (node.properties && 'default' in node) return settleDefault(withoutPruned(node));
  if (node['x-kubernetes-int-or-string'] === true) return settleIntOrString(node);
  if (node.type === 'integer') return settleInteger(node);
  return withoutPruned(node);
}

/** Beside `properties` a structural schema refuses it; what is not named is pruned anyway. */
function withoutPruned(node: SchemaNode): SchemaNode {
  const open = node['x-kubernetes-preserve-unknown-fields'] === true;
  if (!open && node.properties === undefined) return node;
  const { additionalProperties: _pruned, ...rest } = node;
  return rest;
}

/**
 * The default of an object with those of its fields written out: the API server judges a default by
 * the rules as it stands, before it fills in what is below.
 */
function settleDefault(node: SchemaNode): SchemaNode {
  const fields = Object.entries(node.properties ?? {});
  const filled = fields.flatMap(([name, field]) =>
    'default' in field ? [[name, field['default']]] : [],
  );
  return { ...node, default: Object.fromEntries(filled) };
}

/** Exactly this `anyOf` is what the API server allows; the checks of its text stand beside it. */
function settleIntOrString(node: SchemaNode): SchemaNode {
  const { type: _type, ...text } = node.anyOf?.find(({ type }) => type === 'string') ?? {};
  return { ...node, ...text, anyOf: [{ type: 'integer' }, { type: 'string' }] };
}

/** Bounds that JavaScript sets to numbers say nothing. */
function settleInteger({ minimum, maximum, ...node }: SchemaNode): SchemaNode {
  return {
    ...node,
    format: maximum !== undefined && maximum <= INT32_MAX ? 'int32' : 'int64',
    ...(minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER && { maximum }),
  };
}
