/** Where `--write` leaves a run: JSON and a plot beside the page, and its tables between two marks. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ratesPlot } from './plot.ts';
import { markdownTables, type Report } from './table.ts';

const BEGIN = '<!-- bench:peers begins: npm run bench:peers -- --write puts it here -->';
const END = '<!-- bench:peers ends -->';

/** `page` with `tables` in place of what is between the marks. @throws Error where they are missing. */
export function withTables(page: string, tables: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks "${BEGIN}" and then "${END}"`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${tables}\n\n${page.slice(end)}`;
}

export async function writeDocument(report: Report, docs: string): Promise<void> {
  const page = join(docs, 'benchmarks.md');
  const folder = join(docs, 'benchmarks');
  const tables = markdownTables(report, 'benchmarks/peers.svg');
  const written = withTables(await readFile(page, 'utf8'), tables);
  await mkdir(folder, { recursive: true });
  const doors = report.entries.map(({ door }) => door);
  await writeFile(join(folder, 'peers.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(folder, 'peers.svg'), ratesPlot(report.figures, doors));
  await writeFile(page, written);
}
