/** docs/settings.md has one row for each setting, saying what the code says. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { z } from 'zod';
import { coordinatorRole } from './coordinator-fields.ts';
import { flagOf } from './fields.ts';
import { operatorRole } from './operator-fields.ts';
import { variablesOf } from './print.ts';
import { fieldsOf } from './role.ts';
import { volumeRole } from './volume-fields.ts';

const page = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8');
const section = (command: string): string =>
  page.split('\n## ').find((text) => text.startsWith(`\`${command}\``)) ?? '';

const rows = (schema: z.ZodObject): [string, string][] =>
  fieldsOf(schema).map((field) => {
    const { name, facts } = field;
    const variables = variablesOf(field).map((variable) => `\`${variable}\``);
    const fallback = facts.fallback === undefined ? '' : `\`${facts.fallback}\``;
    const cells = [
      `\`${name}\``,
      `\`${flagOf(name)} ${facts.value.replace('|', '\\|')}\``,
      variables.join(' '),
      fallback === '``' ? '' : fallback,
      facts.class,
      facts.help,
    ];
    return [name, `| ${cells.join(' | ')} |`];
  });

describe.each([coordinatorRole, volumeRole, operatorRole])('$command', ({ command, schema }) => {
  test.each(rows(schema))('%s', (_name, row) => {
    expect(section(command)).toContain(row);
  });
});
