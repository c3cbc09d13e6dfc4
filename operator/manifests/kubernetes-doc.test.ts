/** docs/kubernetes.md has a row for each field of the spec and each right, saying what the code says. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { CONDITION_REASONS } from '../api/conditions.ts';
import { specSchema } from '../api/spec.ts';
import { type SchemaNode, structuralSchema } from '../api/structural.ts';
import { RIGHTS } from './rbac.ts';

const page = readFileSync(new URL('../../docs/kubernetes.md', import.meta.url), 'utf8');
const section = (title: string): string =>
  page.split('\n## ').find((text) => text.startsWith(`${title}\n`)) ?? '';

/** Fields that hold values, not further fields, by path. */
function leaves(node: SchemaNode, path: string): [string, SchemaNode][] {
  const inner = node.properties ?? node.items?.properties;
  if (inner === undefined) return [[path, node]];
  const base = node.items ? `${path}[]` : path;
  return Object.entries(inner).flatMap(([name, field]) =>
    leaves(field, base === '' ? name : `${base}.${name}`),
  );
}

const typeOf = (node: SchemaNode): string => {
  if (node['x-kubernetes-int-or-string'] === true) return 'cores';
  const { enum: choices } = node as { enum?: string[] };
  if (choices) return choices.join(', ');
  if (node.type === 'object') {
    return node.additionalProperties === undefined ? 'object' : 'map of text';
  }
  if (node.type === 'integer') {
    const { minimum, maximum = '' } = node;
    return minimum === undefined ? 'integer' : `integer ${minimum}..${maximum}`;
  }
  return node.type === 'string' ? 'text' : (node.type ?? '');
};

function row([path, node]: [string, SchemaNode]): [string, string] {
  const fallback = node['default'] === undefined ? '' : `\`${JSON.stringify(node['default'])}\``;
  const cells = [`\`${path}\``, typeOf(node), fallback.replaceAll('"', ''), node.description ?? ''];
  return [path, `| ${cells.join(' | ')} |`];
}

const fields = leaves(structuralSchema(specSchema), '');
const fieldAt = new Map(fields);
/** Both roles share these; one row says so. */
const shared = (path: string): boolean => {
  const [role = '', ...rest] = path.split('.');
  const other = role === 'volumes' ? 'coordinators' : 'volumes';
  const twin = fieldAt.get([other, ...rest].join('.'));
  return JSON.stringify(twin) === JSON.stringify(fieldAt.get(path));
};
const rows = fields
  .filter(([path]) => !(path.startsWith('volumes.') && shared(path)))
  .map(([path, node]): [string, SchemaNode] => {
    const both = path.startsWith('coordinators.') && shared(path);
    return [both ? path.replace('coordinators', '{coordinators,volumes}') : path, node];
  })
  .map(row);

test.each(rows)('%s', (_path, text) => {
  expect(section('Fields')).toContain(text);
});

test('no row of a field that there is not', () => {
  const written = section('Fields')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(written).toHaveLength(rows.length);
});

const rights = Object.values(RIGHTS).flatMap((rules) =>
  rules.map(({ apiGroups, resources, verbs }): string => {
    const named = resources.map((resource) => `\`${resource}\``).join(' ');
    return `| ${named} | ${apiGroups[0] === '' ? 'core' : apiGroups[0]} | ${verbs.join(' ')} |`;
  }),
);

test.each(rights)('right: %s', (text) => {
  expect(section("The operator's rights")).toContain(text);
});

test.each(Object.entries(CONDITION_REASONS))('condition %s', (type, reasons) => {
  const list = (words: readonly string[]): string => words.join(', ') || '-';
  const cells = [`\`${type}\``, list(reasons.True), list(reasons.False), list(reasons.Unknown)];
  expect(section('Conditions')).toContain(`| ${cells.join(' | ')} |`);
});
