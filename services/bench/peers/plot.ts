/** A plot of the rates as SVG: a group of bars for each row, each bar against the fastest of its row. */
import { errorCount, type Figures } from './results.ts';
import { ROWS } from './rows.ts';
import { rate } from './verdicts.ts';

const WIDTH = 900;
const LABELS_WIDTH = 290;
const BARS_WIDTH = 500;
const BAR_HEIGHT = 15;
const GROUP_GAP = 16;
const HEAD_HEIGHT = 20;
const COLOURS = ['#0b6e4f', '#4063d8', '#b0552b', '#d08c4a', '#e0b48a', '#7a5195', '#888888'];

/** Readable on light and dark pages alike: it brings its own ground. */
export function ratesPlot({ rows }: Figures, doors: readonly string[]): string {
  const parts: string[] = [];
  let y = GROUP_GAP;
  for (const { id, title } of ROWS) {
    const bars = rows.filter((row) => row.row === id && errorCount(row) === 0);
    if (bars.length === 0) continue;
    const most = Math.max(...bars.map(({ perSecond }) => perSecond));
    parts.push(text({ x: 10, y: y + 12, weight: 'bold' }, title));
    y += HEAD_HEIGHT;
    for (const { door, perSecond } of bars) {
      const width = Math.max(1, (perSecond / most) * BARS_WIDTH);
      const colour = COLOURS[doors.indexOf(door) % COLOURS.length] ?? '#888888';
      const at = `x="${LABELS_WIDTH}" y="${y + 1}" width="${width.toFixed(1)}"`;
      parts.push(
        text({ x: LABELS_WIDTH - 8, y: y + 12, anchor: 'end' }, door),
        `<rect ${at} height="${BAR_HEIGHT - 3}" fill="${colour}"/>`,
        text({ x: LABELS_WIDTH + width + 6, y: y + 12 }, rate(perSecond)),
      );
      y += BAR_HEIGHT;
    }
    y += GROUP_GAP;
  }
  const size = `width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">`,
    '<title>Operations a second, each row on a scale of its own</title>',
    `<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly anchor?: string;
  readonly weight?: string;
}

function text({ x, y, anchor = 'start', weight = 'normal' }: Place, words: string): string {
  const at = `x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" font-weight="${weight}"`;
  return `<text ${at} fill="#222222">${escaped(words)}</text>`;
}

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
