/**
 * The stored baseline: of each judged case how many passes of the reference one operation took, and on
 * which machine. It is text, so whatever is read is checked.
 */
import type { Machine } from '../report.ts';
import type { Figure } from './figures.ts';

export interface Baseline {
  readonly machine: Machine;
  /** By the case's name. */
  readonly passes: Readonly<Record<string, number>>;
}

/** @throws Error that says what is wrong, and how the file is made anew. */
export function parseBaseline(text: string): Baseline {
  const { machine: host, passes } = fieldsOf(parsed(text), 'it');
  const machine = machineOf(fieldsOf(host, '"machine"'));
  const known: Record<string, number> = {};
  for (const [name, value] of Object.entries(fieldsOf(passes, '"passes"'))) {
    if (typeof value !== 'number' || !(value > 0)) {
      throw malformed(`"${name}" is no number above zero`);
    }
    known[name] = value;
  }
  return { machine, passes: known };
}

export const baselineText = (baseline: Baseline): string =>
  `${JSON.stringify(baseline, null, 2)}\n`;

/**
 * `before` with these figures in it: all of them, or those that were chosen.
 * @throws Error where those before are of another machine, for a baseline is of one.
 */
export function withFigures(
  before: Baseline | null,
  figures: readonly Figure[],
  machine: Machine,
): Baseline {
  if (before !== null && !isSameMachine(before.machine, machine)) {
    throw new Error('the baseline is of another machine or Node: write all cases, without --only');
  }
  const passes: Record<string, number> = { ...before?.passes };
  for (const { name, onDisk, passes: taken } of figures) {
    if (!onDisk) passes[name] = Number(taken.toPrecision(4));
  }
  return { machine, passes };
}

/** Whether figures of both may be held against each other to the last tenth. */
export const isSameMachine = (a: Machine, b: Machine): boolean =>
  a.cpu === b.cpu && a.cores === b.cores && a.node === b.node;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('it is no JSON');
  }
}

function fieldsOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`${what} is no object`);
  }
  return { ...value };
}

function machineOf({ cores, cpu, kernel, node }: Readonly<Record<string, unknown>>): Machine {
  if (typeof cores !== 'number') throw malformed('"machine" lacks its cores');
  if (typeof cpu !== 'string' || typeof kernel !== 'string' || typeof node !== 'string') {
    throw malformed('"machine" lacks cpu, kernel or node');
  }
  return { cores, cpu, kernel, node };
}

const malformed = (why: string): Error =>
  new Error(
    `the stored baseline is malformed: ${why}; npm run bench -- micro --write makes it anew`,
  );
