/** What `--help` and `--print-config` say. */
import type { z } from 'zod';
import { environmentOf, flagOf } from './fields.ts';
import { fieldsOf, type NamedField, type Role, type Setting } from './role.ts';

/** Each setting in force and where it came from; as JSON: `{settings: [{name, text, ...}]}`. */
export function printSettings(settings: readonly Setting[], output: 'text' | 'json'): string {
  if (output === 'json') return `${JSON.stringify({ settings }, null, 2)}\n`;
  const rows = settings.map(({ name, text, source }) => [name, text ?? '(none)', source]);
  return table([['SETTING', 'VALUE', 'FROM'], ...rows]);
}

export function helpText<S extends z.ZodObject, O>(role: Role<S, O>): string {
  const rows = fieldsOf(role.schema).map(({ name, facts }) => [
    `  ${flagOf(name)} ${facts.value}`,
    facts.help + shownDefault(facts.fallback),
  ]);
  const hasFile = Object.hasOwn(role.schema.shape, 'config');
  const variables = fieldsOf(role.schema).map((field) => [
    `  ${field.name}`,
    variablesOf(field).join(', '),
  ]);
  return [
    `Usage: ${role.command} serve [FLAG ...]\n\n`,
    hasFile
      ? FILE_FIRST
      : 'Settings come from the environment, then from flags; the later wins.\n\n',
    `Flags:\n${table([...rows, ...COMMAND_ROWS])}\n`,
    `Examples:\n${role.examples.map((example) => `  ${example}\n`).join('')}\n`,
    `Names ${hasFile ? 'in the settings file and ' : ''}in the environment:\n${table(variables)}`,
  ].join('');
}

const FILE_FIRST =
  'Settings come from the file named by --config (JSON, names as in the last table), then the\n' +
  'environment, then flags; the later wins. Sizes are like 64MiB, durations like 5s or 100ms.\n\n';

const COMMAND_ROWS = [
  ['  --print-config', 'print each setting and where it came from, then exit'],
  ['  --output text|json', 'how --print-config prints'],
  ['  --version', 'print the version'],
  ['  --help', 'print this'],
];

const shownDefault = (fallback: string | undefined): string =>
  fallback === undefined || fallback === '' ? '' : ` (default: ${fallback})`;

/** Environment names of a field, the one that wins first. */
export const variablesOf = ({ name, facts }: NamedField): readonly string[] => [
  environmentOf(name),
  ...facts.aliases,
];

/** Columns padded to their widest cell; the last one is left as it is. */
function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}
