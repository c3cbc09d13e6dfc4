/** What the mutants' run found, for a terminal and for docs/testing.md. */
import { basename } from 'node:path';
import { BUGS } from './bugs.ts';
import type { Finding } from './child.ts';
import type { StormResult } from './storm.ts';

export const REPORT_FILE = 'docs/testing.md';

/** What stands between these two lines is written by `npm run mutants -- --sim --write`. */
const BEGIN = '<!-- mutants: written by npm run mutants -- --sim --write -->';
const END = '<!-- end of mutants -->';
const TEST_NAME_MAX = 84;

const verdictOf = ({ verdict, by }: Finding): string =>
  verdict === 'caught' ? testName(by[0] ?? '') : verdict.toUpperCase();

function stormOf(storm: StormResult | null): string {
  if (storm === null) return '-';
  return storm.why === null ? `none in ${storm.seeds}` : `seed ${storm.seeds}`;
}

/** `file: title` without folders, and not too long for a table. */
function testName(name: string): string {
  const [file = '', ...rest] = name.split(': ');
  const title = rest.join(': ').replaceAll('|', '/').replaceAll(/\s+/g, ' ');
  if (title.endsWith('.txt')) return title;
  const text = `${basename(file, '.test.ts')}: ${title}`;
  return text.length <= TEST_NAME_MAX ? text : `${text.slice(0, TEST_NAME_MAX - 3)}...`;
}

export const reportLines = (findings: readonly Finding[]): readonly string[] =>
  findings.map((finding) => {
    const { mutant, storm } = finding;
    const inStorm = storm === null ? '' : `; storms: ${stormOf(storm)}`;
    return `${mutant.id.padEnd(5)} ${mutant.title}: ${verdictOf(finding)}${inStorm}`;
  });

/** One row a mutant, in the order of the bugs; a bug that can have none says why. */
export function reportTable(findings: readonly Finding[]): string {
  const rows = [...BUGS].flatMap(([bug, { title, notApplicable }]) => {
    if (notApplicable !== undefined) return [`| ${bug} | ${title} | - | ${notApplicable} | - |`];
    return findings
      .filter(({ mutant }) => mutant.bugs.includes(bug))
      .map((finding) => {
        const { mutant, storm } = finding;
        const cells = [bug, title, `${mutant.id}: ${mutant.title}`, verdictOf(finding)];
        return `| ${[...cells, stormOf(storm)].join(' | ')} |`;
      });
  });
  const head = ['| bug | what goes wrong | mutant | caught by | storm |', '|---|---|---|---|---|'];
  return [...head, ...rows].join('\n');
}

/** The cells of the table that the document holds, without its head. */
export function rowsOf(document: string): readonly (readonly string[])[] {
  const table = document.split(BEGIN)[1]?.split(END)[0] ?? '';
  const lines = table.split('\n').filter((line) => line.startsWith('| '));
  return lines.slice(1).map((line) => line.slice(2, -2).split(' | '));
}

/** The document with the table in its place. */
export function withReport(document: string, table: string): string {
  const [before, rest] = document.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`${REPORT_FILE} has no place for the table: ${BEGIN}`);
  }
  return `${before}${BEGIN}\n${table}\n${END}${after}`;
}
