/**
 * Charts and manifests, held against the code that they speak of. What helm makes of the charts is
 * a matter of e2e/charts.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { parseCluster } from '../api/cluster.ts';
import { drifted } from '../api/generated-files.ts';
import { specSchema } from '../api/spec.ts';
import { type SchemaNode, structuralSchema } from '../api/structural.ts';
import { chartFiles } from './chart-files.ts';
import { RIGHTS } from './rbac.ts';
import { valuesSchema } from './values-schema.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const IMAGE = `minikv:${version}`;
const CLUSTERS = ['minikv-cluster.yaml', 'examples/production.yaml'];

test.each(
  globSync(
    [
      '*.yaml',
      '.github/**/*.yml',
      'crds/*.yaml',
      'examples/*.yaml',
      'charts/*/*.yaml',
      'charts/*/generated/*.yaml',
    ],
    { cwd: ROOT },
  ),
)('%s is YAML', (path) => {
  const documents = parseAllDocuments(read(path), { merge: true });
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
});

/** Places of a value that the schema does not know. */
function unknown(value: unknown, schema: SchemaNode, path: string): string[] {
  if (typeof value !== 'object' || value === null || schema.properties === undefined) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const field = schema.properties?.[name];
    return field ? unknown(inner, field, `${path}.${name}`) : [`${path}.${name}`];
  });
}

describe.each(CLUSTERS)('%s', (path) => {
  const cluster = parse(read(path)) as { spec: { image: string } };

  test('is a cluster that the schema takes, with no field that it does not know', () => {
    expect(parseCluster(cluster)).toMatchObject({ kind: 'cluster' });
    expect(unknown(cluster.spec, structuralSchema(specSchema), 'spec')).toEqual([]);
  });

  test('runs the image of this version', () => {
    expect(cluster.spec.image).toBe(IMAGE);
  });
});

describe('charts', () => {
  test('what they take from the code is what the code makes', () => {
    expect(drifted(chartFiles())).toEqual([]);
  });

  test.each(['minikv-operator', 'minikv-cluster'])('%s is of this version', (chart) => {
    expect(parse(read(`charts/${chart}/Chart.yaml`))).toMatchObject({
      name: chart,
      version,
      appVersion: version,
    });
  });

  test('values of a cluster are closed, but where the API server takes anything', () => {
    const places: string[] = [];
    const visit = (node: SchemaNode, path: string): void => {
      if (node.properties && node.additionalProperties !== false) places.push(path);
      for (const [name, inner] of Object.entries(node.properties ?? {})) {
        visit(inner, `${path}.${name}`);
      }
      if (node.items) visit(node.items, `${path}[]`);
    };
    visit(valuesSchema(), '');
    expect(places).toEqual([
      '.coordinators.scheduling.topologySpreadConstraints[]',
      '.volumes.scheduling.topologySpreadConstraints[]',
    ]);
  });

  test('values of the operator are all described by its schema, and each is read', () => {
    const values = parse(read('charts/minikv-operator/values.yaml')) as Record<string, unknown>;
    const schema = JSON.parse(read('charts/minikv-operator/values.schema.json')) as SchemaNode;
    expect(unknown(values, schema, '')).toEqual([]);
    const templates = globSync('charts/minikv-operator/templates/**/*', { cwd: ROOT })
      .filter((path) => /\.(yaml|tpl)$/.test(path))
      .map(read)
      .join('\n');
    for (const name of Object.keys(values)) expect(templates).toContain(`.Values.${name}`);
  });
});

describe('rights', () => {
  const rules = Object.values(RIGHTS).flat();
  const resources = rules.flatMap((rule) => rule.resources);

  test.each(['secrets', 'pods/exec', 'namespaces', 'customresourcedefinitions', '*'])(
    'no %s',
    (resource) => {
      expect(resources).not.toContain(resource);
      expect(rules.flatMap(({ verbs }) => verbs)).not.toContain(resource);
    },
  );

  test('no finalizers, and nothing twice', () => {
    expect(resources.filter((name) => name.includes('finalizers'))).toEqual([]);
    expect(new Set(resources).size).toBe(resources.length);
  });

  test('claims are never deleted', () => {
    const claims = rules.find((rule) => rule.resources.includes('persistentvolumeclaims'));
    expect(claims?.verbs).toEqual(['list', 'watch', 'patch']);
  });
});

test('CI runs what a clone runs', () => {
  const workflow = parse(read('.github/workflows/ci.yml')) as {
    jobs: { check: { steps: { run?: string }[] } };
  };
  const commands = workflow.jobs.check.steps.map(({ run }) => run);
  expect(commands).toContain('.ci/run');
  expect(existsSync(join(ROOT, '.ci/run'))).toBe(true);
});
