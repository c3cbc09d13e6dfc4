/** What was measured against what is stored: medians, and whether a case became slower. Pure. */
import type { Baseline } from './baseline.ts';
import type { MicroCase } from './micro-case.ts';

/** What a case took: medians of all rounds. */
export interface Taken {
  /** Nanoseconds of one operation. */
  readonly eachNs: number;
  /** The same in passes of the reference. */
  readonly passes: number;
  /** Nanoseconds of one such pass: how fast the machine was meanwhile. */
  readonly passNs: number;
}

/** One case as it was measured. */
export type Figure = Taken & Pick<MicroCase, 'name' | 'of' | 'onDisk'>;

/** `new`: the baseline does not know it. `disk`: not judged. */
export type Verdict = 'same' | 'slower' | 'faster' | 'new' | 'disk';

export interface Judged extends Figure {
  readonly verdict: Verdict;
  /** Of the baseline's: 2 is twice as slow. null: there is none to hold it against. */
  readonly change: number | null;
}

/** So many times the baseline and more is slower; its inverse and less is faster. */
export const SLOWER_FROM = 2;

export function judge(figure: Figure, baseline: Baseline | null): Judged {
  const known = baseline?.passes[figure.name];
  if (figure.onDisk) return { ...figure, verdict: 'disk', change: null };
  if (known === undefined) return { ...figure, verdict: 'new', change: null };
  const change = figure.passes / known;
  if (change >= SLOWER_FROM) return { ...figure, verdict: 'slower', change };
  return { ...figure, verdict: change <= 1 / SLOWER_FROM ? 'faster' : 'same', change };
}

/** Names that the baseline knows and no case has. */
export const forgotten = (baseline: Baseline | null, names: readonly string[]): readonly string[] =>
  Object.keys(baseline?.passes ?? {}).filter((name) => !names.includes(name));

/** Of at least one value; of an even number the lower one in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[(sorted.length - 1) >> 1];
  if (middle === undefined) throw new Error('nothing has no median');
  return middle;
}

/** The one of several takes of a case that lies in the middle. */
export function middleOf(takes: readonly Figure[]): Figure {
  const middle = median(takes.map(({ passes }) => passes));
  const found = takes.find(({ passes }) => passes === middle);
  if (found === undefined) throw new Error('a take is no number');
  return found;
}
