/** The CRD as a structural schema, and the file that is kept of it. */
import { describe, expect, test } from '@jest/globals';
import { parseCluster } from './cluster.ts';
import { crd, crdFile } from './crd.ts';
import { drifted, settleFiles } from './generated-files.ts';
import { mapSchema, type SchemaNode } from './structural.ts';

const schemas = crd().spec.versions.map(({ schema }) => schema.openAPIV3Schema);

/** Every node with its path, `spec.volumes.members[]`. */
function nodes(node: SchemaNode, path = ''): [string, SchemaNode][] {
  const below = Object.entries(node.properties ?? {}).map(([name, inner]): [string, SchemaNode] => [
    path === '' ? name : `${path}.${name}`,
    inner,
  ]);
  if (node.items) below.push([`${path}[]`, node.items]);
  if (typeof node.additionalProperties === 'object') {
    below.push([`${path}.*`, node.additionalProperties]);
  }
  return [[path, node], ...below.flatMap(([at, inner]) => nodes(inner, at))];
}

const all = schemas.flatMap((schema) => nodes(schema));
const at = (path: string): SchemaNode => all.find(([name]) => name === path)![1];
const rulesAt = (path: string) =>
  (at(path)['x-kubernetes-validations'] ?? []) as { rule: string; message: string }[];

test('the file is what the code makes', () => {
  expect(drifted([crdFile()])).toEqual([]);
  expect(settleFiles([crdFile()], ['--check'])).toBe(0);
});

test('every field says what it is', () => {
  const silent = all.filter(
    ([path, node]) => !/(\*|^metadata)$/.test(path) && node.description === undefined,
  );
  expect(silent.map(([path]) => path)).toEqual([]);
});

describe('a structural schema', () => {
  test.each<[string, (node: SchemaNode) => boolean]>([
    [
      'every node has one type, or is an integer or text',
      (node) => typeof node.type === 'string' || node['x-kubernetes-int-or-string'] === true,
    ],
    [
      'no additionalProperties beside properties',
      (node) => node.properties === undefined || node.additionalProperties === undefined,
    ],
    [
      'no object whose fields would all be pruned',
      (node) =>
        node.type !== 'object' ||
        node.properties !== undefined ||
        typeof node.additionalProperties === 'object' ||
        node['x-kubernetes-preserve-unknown-fields'] === true,
    ],
    [
      'no anyOf but of integer or text',
      (node) => node.anyOf === undefined || node['x-kubernetes-int-or-string'] === true,
    ],
    [
      'nothing that OpenAPI 3.0 does not have',
      (node) =>
        !['$schema', '$ref', 'const', 'oneOf', 'allOf', 'readOnly'].some((key) => key in node),
    ],
    [
      'a default is never also required',
      (node) =>
        !((node['required'] ?? []) as string[]).some(
          (name) => node.properties?.[name]?.['default'],
        ),
    ],
    [
      'lists in which rules look are bounded',
      (node) => node.type !== 'array' || typeof node['maxItems'] === 'number',
    ],
  ])('%s', (_rule, holds) => {
    const wrong = all.filter(([path, node]) => path !== 'metadata' && !holds(node));
    expect(wrong.map(([path]) => path)).toEqual([]);
  });

  test('a map-list has a required or defaulted key', () => {
    const lists = all.filter(([, node]) => node['x-kubernetes-list-type'] === 'map');
    expect(lists.map(([path]) => path)).toEqual([
      'spec.imagePullSecrets',
      'status.coordinators.members',
      'status.volumes.members',
      'status.conditions',
    ]);
    for (const [, node] of lists) {
      const [key] = node['x-kubernetes-list-map-keys'] as string[];
      expect(node.items?.['required']).toContain(key);
    }
  });
});

test('rules stand where the values are that they compare', () => {
  const counts = all.map(([path]): [string, number] => [path, rulesAt(path).length]);
  const sentences = Object.fromEntries(counts.filter(([, count]) => count !== 0));
  expect(sentences).toEqual({
    '': 1,
    'spec.coordinators': 1,
    'spec.coordinators.resources': 1,
    'spec.coordinators.storage': 1,
    'spec.coordinators.storage.size': 1,
    'spec.volumes': 4,
    'spec.volumes.resources': 1,
    'spec.volumes.storage': 1,
    'spec.volumes.storage.size': 1,
    'spec.volumes.wal': 1,
    'spec.volumes.wal.size': 1,
    'spec.config.maxObject': 1,
    'spec.config.inlineMax': 1,
    'spec.config.blobCache': 1,
    'spec.config.compactionRate': 1,
    status: 2,
  });
  for (const { rule, message } of all.flatMap(([path]) => rulesAt(path))) {
    expect(rule).toMatch(/self/);
    expect(message).toMatch(/^[a-zA-Z.]+\b.* .*[^.]$/);
  }
});

test('only an image is required of a spec, and status defaults to nothing', () => {
  expect(at('spec')['required']).toEqual(['image']);
  const defaulted = all.filter(([path, node]) => path.startsWith('status') && 'default' in node);
  expect(defaulted).toEqual([]);
});

test('the default of an object is whole, as its rules are asked before its fields are filled in', () => {
  const spec = parseCluster({
    apiVersion: 'minikv.io/v1alpha1',
    kind: 'MiniKVCluster',
    metadata: { name: 'demo' },
    spec: { image: 'minikv:0.1.0' },
  });
  const defaults = Object.entries(at('spec').properties!).map(([name, node]) => [
    name,
    node['default'],
  ]);
  expect(spec).toMatchObject({
    cluster: { spec: { ...Object.fromEntries(defaults), image: 'minikv:0.1.0' } as object },
  });
});

test('columns and scale read fields that there are', () => {
  const [version] = crd().spec.versions;
  const paths = [
    ...version!.additionalPrinterColumns.map(({ jsonPath }) => jsonPath),
    ...Object.values(version!.subresources.scale),
  ];
  const known = new Set(all.map(([path]) => path));
  for (const path of paths.filter((path) => !path.startsWith('.metadata'))) {
    const [field = '', inner] = path.slice(1).split(/\[[^\]]*\]/);
    expect([...known]).toContain(inner === undefined ? field : `${field}[]${inner}`);
  }
});

test('mapSchema reaches items, properties and maps', () => {
  const seen: string[] = [];
  const node = { properties: { a: { items: { type: 'x' } } }, additionalProperties: { type: 'y' } };
  mapSchema(node, (inner) => {
    if (inner.type !== undefined) seen.push(inner.type);
    return inner;
  });
  expect(seen).toEqual(['x', 'y']);
});
