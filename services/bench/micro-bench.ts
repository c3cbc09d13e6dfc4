/**
 * The parts of the store by themselves, each held against a stored baseline. What is compared is not
 * time but its share of a fixed work that is done beside it, since machines differ and none is as fast
 * in one minute as in the next. A case that seems slower is measured again before it is called so.
 */
import { fork } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MINUTE_MS } from '../common/units.ts';
import {
  type Baseline,
  baselineText,
  isSameMachine,
  parseBaseline,
  withFigures,
} from './micro/baseline.ts';
import { MICRO_CASES } from './micro/cases/all.ts';
import {
  type Figure,
  forgotten,
  type Judged,
  judge,
  median,
  middleOf,
  SLOWER_FROM,
  type Taken,
} from './micro/figures.ts';
import type { MicroCase } from './micro/micro-case.ts';
import type { MicroJob } from './micro/process.ts';
import { columns, type Machine, machineLine, thisHost } from './report.ts';

export interface MicroBenchOptions {
  /** Cases whose name holds this; empty: all. */
  readonly only: string;
  /** Makes what is measured the baseline. */
  readonly write: boolean;
  /** Where the temporary folder is made; null: where the system makes them. */
  readonly parent: string | null;
}

export interface MicroBenchResult {
  readonly cases: readonly Judged[];
  /** Where the baseline was taken; null: there is none. */
  readonly baselineOf: Machine | null;
  /** Cases of the baseline that are no more. */
  readonly forgotten: readonly string[];
}

const PROGRAM = fileURLToPath(new URL('./micro/process.ts', import.meta.url));
const BASELINE = fileURLToPath(new URL('./micro/baseline.json', import.meta.url));
const JOB_MS = 2 * MINUTE_MS;
const STORED = 1_000_000;
/** Takes of a case: the middle one becomes the baseline, and the best of them is judged. */
const TAKES = 3;

type Take = (measured: MicroCase) => Promise<Figure>;

export async function runMicroBench(
  options: MicroBenchOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<MicroBenchResult> {
  const chosen = MICRO_CASES.filter(({ name }) => name.includes(options.only));
  if (chosen.length === 0) throw new Error(`no case has "${options.only}" in its name`);
  const before = await readBaseline(options);
  const folder = await mkdtemp(join(options.parent ?? tmpdir(), 'minikv-bench-'));
  let takes = 0;
  const take: Take = async (measured) => {
    takes += 1;
    const stage = { folder: join(folder, `${takes}`), stored: STORED };
    await mkdir(stage.folder);
    const { name, of, onDisk } = measured;
    return { name, of, onDisk, ...(await oneTake({ ...stage, name }, signal)) };
  };
  const figures: Figure[] = [];
  try {
    for (const measured of chosen) {
      say(measured.name);
      figures.push(await (options.write ? middleTake : bestTake)(measured, take, before));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const baseline = options.write ? withFigures(before, figures, thisHost()) : before;
  if (options.write && baseline !== null) await writeFile(BASELINE, baselineText(baseline));
  return {
    cases: figures.map((figure) => judge(figure, baseline)),
    baselineOf: baseline?.machine ?? null,
    forgotten: forgotten(
      baseline,
      MICRO_CASES.map(({ name }) => name),
    ),
  };
}

/** A baseline that is written anew as a whole needs nothing of the one before, sound or not. */
async function readBaseline({ write, only }: MicroBenchOptions): Promise<Baseline | null> {
  if (write && only === '') return null;
  return parseBaseline(await readFile(BASELINE, 'utf8'));
}

/** More takes only while it seems slower: other work can slow a case down, and nothing speeds it up. */
async function bestTake(
  measured: MicroCase,
  take: Take,
  baseline: Baseline | null,
): Promise<Figure> {
  let best = await take(measured);
  for (let taken = 1; taken < TAKES && judge(best, baseline).verdict === 'slower'; taken += 1) {
    const again = await take(measured);
    if (again.passes < best.passes) best = again;
  }
  return best;
}

async function middleTake(measured: MicroCase, take: Take): Promise<Figure> {
  const all: Figure[] = [];
  while (all.length < TAKES) all.push(await take(measured));
  return middleOf(all);
}

/** In a fresh process. */
function oneTake(job: MicroJob, signal: AbortSignal): Promise<Taken> {
  const execArgv = ['--disable-warning=ExperimentalWarning'];
  const child = fork(PROGRAM, [], { execArgv, signal, killSignal: 'SIGKILL', timeout: JOB_MS });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (said: Taken) => resolve(said));
    child.once('exit', (code, killed) =>
      reject(new Error(`the process of "${job.name}" ended: ${killed ?? code ?? '?'}`)),
    );
    child.send(job);
  });
}

const TITLES = ['', 'one', 'time', 'passes', 'of the baseline', ''];

export function microReport({ cases, ...result }: MicroBenchResult): string {
  const rows = cases.map(({ name, of, eachNs, passes, change, verdict }) => [
    name,
    of,
    timeText(eachNs),
    passes.toPrecision(3),
    change === null ? '-' : change.toFixed(2),
    verdict === 'same' ? '' : verdict,
  ]);
  const head = [machineLine(thisHost()), `a pass of the reference took ${paceText(cases)}`, ''];
  return [...head, columns([TITLES, ...rows]), ...remarks(cases, result)].join('\n');
}

/** How steady the machine was. */
function paceText(cases: readonly Judged[]): string {
  const passes = cases.map(({ passNs }) => passNs);
  const [fastest, slowest] = [Math.min(...passes), Math.max(...passes)];
  return `${timeText(median(passes))}, ${timeText(fastest)} to ${timeText(slowest)} beside the cases`;
}

function remarks(
  cases: readonly Judged[],
  { baselineOf, forgotten: gone }: Omit<MicroBenchResult, 'cases'>,
): readonly string[] {
  const namesOf = (verdict: Judged['verdict']): readonly string[] =>
    cases.filter((each) => each.verdict === verdict).map(({ name }) => name);
  const line = (names: readonly string[], what: string): readonly string[] =>
    names.length === 0 ? [] : [`${what}: ${names.join('; ')}`];
  const lines = [
    ...line(namesOf('slower'), `slower, ${SLOWER_FROM} times the baseline or more`),
    ...line(namesOf('faster'), 'faster (--write makes it the baseline)'),
    ...line(namesOf('new'), 'without a baseline (--write makes one)'),
    ...line(gone, 'only the baseline knows'),
  ];
  if (baselineOf !== null && !isSameMachine(baselineOf, thisHost())) {
    lines.push(`the baseline is of another machine: ${machineLine(baselineOf)}`);
  }
  return lines.length === 0 ? [] : ['', ...lines];
}

const timeText = (ns: number): string =>
  ns < 1000 ? `${ns.toFixed(0)} ns` : `${(ns / 1000).toFixed(ns < 100_000 ? 1 : 0)} us`;
