/** What a run looks like: on a terminal, on a page between its marks, and as a plot. */
import { expect, test } from '@jest/globals';
import { withTables } from './document.ts';
import type { DoorName } from './peer.ts';
import { ratesPlot } from './plot.ts';
import { figuresOf, type RowFigures, waitsOf } from './results.ts';
import { markdownTables, type Report, terminalTable } from './table.ts';

function row(id: string, door: DoorName, perSecond: number, errors = {}): RowFigures {
  const slice = {
    ...{ perSecond, p50Ms: 1.25, p99Ms: 12.6, operations: 1000, errors },
    ...{ cpuSeconds: 0.5, memoryBytes: 300 * 1024 ** 2, otherCores: 0.01 },
    ...{ storedBytes: 100, diskBytes: 320 },
  };
  return figuresOf(id, door, [slice]);
}

const REPORT: Report = {
  machine: '2 cores (X), Linux 6.1, Node 24.0.0',
  commit: 'at commit 0123456789',
  command: 'npm run bench:peers -- --write',
  settings: '3 counted rounds of 3 s each, medians',
  entries: [
    { door: 'minikv', peer: 'minikv', version: '0.1.0', durability: 'synced' },
    { door: 'etcd', peer: 'etcd', version: 'v3.7.3', durability: 'synced | all' },
    { door: 'SeaweedFS filer', peer: 'seaweedfs', version: 'v0', durability: 'not synced' },
  ],
  leftOut: [{ peer: 'minikv-rust', why: 'it cannot be installed:\nprotoc is missing' }],
  figures: {
    rows: [
      row('put-1k-64', 'minikv', 1234.5),
      row('put-1k-64', 'etcd', 987),
      row('put-1k-64', 'SeaweedFS filer', 2345, { '500 oh <no>': 3 }),
      row('put-16m-4', 'minikv', 7.5),
    ],
    gaps: [{ row: 'put-16m-4', door: 'etcd', why: 'it refuses values over 1.3 MiB' }],
    disk: null,
    failOver: [waitsOf('minikv', [210, 190, 250], null), waitsOf('etcd', [], 'no leader')],
    restart: [],
    restartKeys: 100_000,
  },
  verdicts: [
    { goal: 'PUT: above every peer', outcome: 'falls short', why: '1 against 2: 50 % less' },
    { goal: 'GET: above every peer', outcome: 'not measured', why: 'no figure' },
  ],
};

test('a terminal gets a block a row, with errors, gaps, waits and outcomes', () => {
  expect(`\n${terminalTable(REPORT)}\n`).toBe(`
2 cores (X), Linux 6.1, Node 24.0.0
minikv at commit 0123456789; 3 counted rounds of 3 s each, medians

minikv           0.1.0   synced
etcd             v3.7.3  synced | all
SeaweedFS filer  v0      not synced

minikv-rust is left out: it cannot be installed:
protoc is missing

PUT 1 KiB, 64 connections  per second   least - most  p50 ms  p99 ms  errors  CPU s/1,000   memory  disk/byte  other work
minikv                          1,235  1,235 - 1,235     1.3    12.6       0         0.50  300 MiB       3.20        0.01
etcd                              987      987 - 987     1.3    12.6       0         0.50  300 MiB       3.20        0.01
SeaweedFS filer                 2,345  2,345 - 2,345     1.3    12.6       3         0.50  300 MiB       3.20        0.01
SeaweedFS filer: 3 x 500 oh <no>

PUT 16 MiB, 4 connections  per second  least - most  p50 ms  p99 ms  errors  CPU s/1,000   memory  disk/byte  other work
minikv                           7.50   7.50 - 7.50     1.3    12.6       0         0.50  300 MiB       3.20        0.01
etcd: no figure, it refuses values over 1.3 MiB

fail-over: SIGKILL of the leader to the next accepted write  median ms           each
minikv                                                             210  210, 190, 250
etcd                                                                 -                 no leader

falls short  PUT: above every peer: 1 against 2: 50 % less
1 of 2 goals are not measured by this run
`);
});

test('a page has the fastest without errors in bold, gaps in place, and no broken tables', () => {
  const text = markdownTables(REPORT, 'benchmarks/peers.svg');
  expect(text).toContain(
    '| PUT 1 KiB, 64 connections | **1,235** (1.3 / 13) | 987 (1.3 / 13) | 2,345, 3 errors |',
  );
  expect(text).toContain(
    '| PUT 16 MiB, 4 connections | **7.50** (1.3 / 13) | it refuses values over 1.3 MiB | - |',
  );
  expect(text).toContain('| etcd | v3.7.3 | synced \\| all |');
  expect(text).toContain('because it cannot be installed: protoc is missing.');
  expect(text).toContain('| SIGKILL of the leader to the next accepted write | minikv | 210 |');
  expect(text).toContain('![Operations a second of each store](benchmarks/peers.svg)');
  const widths = text
    .split('\n\n')
    .filter((part) => part.startsWith('|'))
    .map((part) => new Set(part.split('\n').map((line) => line.split(/(?<!\\)\|/).length)).size);
  expect(widths.length).toBeGreaterThanOrEqual(4);
  expect(new Set(widths)).toEqual(new Set([1]));
});

test('a page keeps what stands around the marks, however often it is written', () => {
  const begin = '<!-- bench:peers begins: npm run bench:peers -- --write puts it here -->';
  const page = `a\n${begin}\n<!-- bench:peers ends -->\nb\n`;
  const once = withTables(page, 'x');
  expect(once).toBe(`a\n${begin}\n\nx\n\n<!-- bench:peers ends -->\nb\n`);
  expect(withTables(withTables(page, 'y'), 'x')).toBe(once);
  expect(() => withTables('a', 'x')).toThrow('the page lacks');
});

test('the plot has a bar for each rate without errors, the longest of a row at full width', () => {
  const svg = ratesPlot(REPORT.figures, ['minikv', 'etcd', 'SeaweedFS filer']);
  const widths = [...svg.matchAll(/<rect x="290"[^>]* width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  expect(widths).toEqual([500, 399.8, 500]);
  expect(svg).toContain('>1,235</text>');
  expect(svg).not.toContain('SeaweedFS');
  expect([...svg.matchAll(/<(text|title|svg)\b/g)].length).toBe(
    [...svg.matchAll(/<\/(text|title|svg)>/g)].length,
  );
});
