/** The figures as tables: for a terminal in columns, for a page in Markdown. */
import { formatBytes } from '../../common/units.ts';
import { columns, figure } from '../report.ts';
import type { PeerName } from './peer.ts';
import { type Entry, errorCount, type Figures, type RowFigures, type Waits } from './results.ts';
import { ROWS, type Row } from './rows.ts';
import { rate, type Verdict } from './verdicts.ts';

export interface LeftOut {
  readonly peer: PeerName;
  readonly why: string;
}

/** Everything that a run has found. */
export interface Report {
  readonly machine: string;
  readonly commit: string;
  readonly command: string;
  readonly settings: string;
  readonly entries: readonly Entry[];
  readonly leftOut: readonly LeftOut[];
  readonly figures: Figures;
  readonly verdicts: readonly Verdict[];
}

const TITLES = ['', 'per second', 'least - most', 'p50 ms', 'p99 ms', 'errors'];
const COSTS = ['CPU s/1,000', 'memory', 'disk/byte', 'other work'];

export function terminalTable(report: Report): string {
  const { figures } = report;
  const blocks = rowsIn(figures).map((row) => {
    const lines = figures.rows.filter((each) => each.row === row.id).map(cellsOf);
    const gaps = figures.gaps.filter((gap) => gap.row === row.id);
    return [
      columns([[row.title, ...TITLES.slice(1), ...COSTS], ...lines]),
      ...gaps.map(({ door, why }) => `${door}: no figure, ${why}`),
      ...figures.rows.filter((each) => each.row === row.id).flatMap(errorLines),
    ].join('\n');
  });
  return [
    [report.machine, `minikv ${report.commit}; ${report.settings}`].join('\n'),
    leftColumns(report.entries.map(({ door, version, durability }) => [door, version, durability])),
    ...(report.leftOut.length === 0
      ? []
      : [report.leftOut.map(({ peer, why }) => `${peer} is left out: ${why}`).join('\n')]),
    ...blocks,
    ...waitsTable('fail-over: SIGKILL of the leader to the next accepted write', figures.failOver),
    ...waitsTable(
      `restart with ${figures.restartKeys.toLocaleString('en-US')} keys to the first right read`,
      figures.restart,
    ),
    verdictLines(report.verdicts),
  ].join('\n\n');
}

function verdictLines(verdicts: readonly Verdict[]): string {
  const judged = verdicts.filter(({ outcome }) => outcome !== 'not measured');
  const others = verdicts.length - judged.length;
  return [
    leftColumns(judged.map(({ goal, outcome, why }) => [outcome, `${goal}: ${why}`])),
    ...(others === 0 ? [] : [`${others} of ${verdicts.length} goals are not measured by this run`]),
  ].join('\n');
}

/** Words, which begin at the left; `columns` is for figures. */
function leftColumns(rows: readonly (readonly string[])[]): string {
  const width = (at: number): number => Math.max(...rows.map((cells) => (cells[at] ?? '').length));
  return rows
    .map((cells) => cells.map((cell, at) => cell.padEnd(width(at))).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

function cellsOf(row: RowFigures): readonly string[] {
  return [
    row.door,
    rate(row.perSecond),
    `${rate(row.perSecondLeast)} - ${rate(row.perSecondMost)}`,
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    String(errorCount(row)),
    figure(row.cpuSeconds, 2),
    row.memoryBytes === null ? '-' : formatBytes(row.memoryBytes),
    figure(row.diskPerByte, 2),
    figure(row.otherCores, 2),
  ];
}

function errorLines({ door, errors }: RowFigures): readonly string[] {
  return Object.entries(errors).map(([why, times]) => `${door}: ${times} x ${why}`);
}

function waitsTable(title: string, waits: readonly Waits[]): readonly string[] {
  if (waits.length === 0) return [];
  const rows = waits.map(({ door, waitsMs, medianMs, gap }) => [
    door,
    figure(medianMs, 0),
    waitsMs.map((ms) => ms.toFixed(0)).join(', '),
    gap ?? '',
  ]);
  return [columns([[title, 'median ms', 'each', ''], ...rows])];
}

const rowsIn = ({ rows, gaps }: Figures): readonly Row[] =>
  ROWS.filter(({ id }) => [...rows, ...gaps].some(({ row }) => row === id));

/** What `--write` puts into docs/benchmarks.md. */
export function markdownTables(report: Report, plot: string): string {
  const { figures, entries } = report;
  const doors = entries.map(({ door }) => door);
  const overview = rowsIn(figures).map((row) => [
    row.title,
    ...doors.map((door) => overviewCell(figures, row.id, door)),
  ]);
  return [
    `${report.machine}; minikv ${report.commit}; ${report.settings}:`,
    `\`\`\`console\n$ ${report.command}\n\`\`\``,
    `![Operations a second of each store](${plot})`,
    'Operations a second (p50 / p99 in ms); the fastest of a row is bold.',
    markdown([['', ...doors], ...overview]),
    ...costTables(figures, doors),
    ...waitsMarkdown(figures),
    markdown([
      ['store', 'version', 'bytes on disk'],
      ...entries.map(({ door, version, durability }) => [door, version, durability]),
    ]),
    ...report.leftOut.map(({ peer, why }) => `Left out: ${peer}, because ${oneLine(why)}.`),
    markdown([
      ['goal', 'outcome', 'figures'],
      ...report.verdicts.map(({ goal, outcome, why }) => [goal, outcome, oneLine(why)]),
    ]),
  ].join('\n\n');
}

function overviewCell(figures: Figures, id: string, door: string): string {
  const row = figures.rows.find((each) => each.row === id && each.door === door);
  if (row === undefined) {
    const gap = figures.gaps.find((each) => each.row === id && each.door === door);
    return gap === undefined ? '-' : oneLine(gap.why).slice(0, CELL_MAX);
  }
  const errors = errorCount(row);
  if (errors > 0) return `${rate(row.perSecond)}, ${errors} errors`;
  const fastest = figures.rows
    .filter((each) => each.row === id && errorCount(each) === 0)
    .every(({ perSecond }) => perSecond <= row.perSecond);
  const shown = fastest ? `**${rate(row.perSecond)}**` : rate(row.perSecond);
  return `${shown} (${milliseconds(row.p50Ms)} / ${milliseconds(row.p99Ms)})`;
}

const CELL_MAX = 60;

const milliseconds = (ms: number): string => (ms >= 10 ? ms.toFixed(0) : ms.toFixed(1));

const COST_ROWS = ['put-1k-64', 'get-1k-64', 'put-1m-16', 'get-1m-16'];

/** What the same operations cost: for some rows, or the tables would say little in many figures. */
function costTables(figures: Figures, doors: readonly string[]): readonly string[] {
  const rows = rowsIn(figures).filter(({ id }) => COST_ROWS.includes(id));
  const lines = rows.flatMap((row) => {
    const of = (cell: (figures: RowFigures) => string): readonly string[] =>
      doors.map((door) => {
        const found = figures.rows.find((each) => each.row === row.id && each.door === door);
        return found === undefined ? '-' : cell(found);
      });
    const disk = of(({ diskPerByte }) => figure(diskPerByte, 2));
    return [
      [`${row.title}: CPU s / 1,000`, ...of(({ cpuSeconds }) => figure(cpuSeconds, 2))],
      [
        `${row.title}: memory`,
        ...of(({ memoryBytes }) => (memoryBytes === null ? '-' : formatBytes(memoryBytes))),
      ],
      ...(row.workload === 'put' ? [[`${row.title}: disk bytes per stored byte`, ...disk]] : []),
    ];
  });
  return lines.length === 0 ? [] : [markdown([['', ...doors], ...lines])];
}

function waitsMarkdown({ failOver, restart, restartKeys }: Figures): readonly string[] {
  const lines = (title: string, waits: readonly Waits[]): readonly (readonly string[])[] =>
    waits.map(({ door, medianMs, waitsMs, gap }) => [
      title,
      door,
      medianMs === null ? (gap ?? '-') : medianMs.toFixed(0),
      waitsMs.map((ms) => ms.toFixed(0)).join(', '),
    ]);
  const all = [
    ...lines('SIGKILL of the leader to the next accepted write', failOver),
    ...lines(`start to the first read, ${restartKeys.toLocaleString('en-US')} keys`, restart),
  ];
  return all.length === 0 ? [] : [markdown([['', '', 'median ms', 'each'], ...all])];
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cellText).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const cellText = (text: string): string => text.replaceAll('|', '\\|');

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
