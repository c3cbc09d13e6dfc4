/**
 * The smallest part of a history without an order that still has none, for a tired reader. Only what
 * cannot give a history without an order is left out: the end, what merely looks, and blind writes
 * that nobody looks at. So a part without an order proves that the whole has none.
 */
import { accessesOf, type Operation } from './history.ts';
import { orderProblem } from './order-problem.ts';
import { searchOrder } from './order-search.ts';

/** Parts that are tried at most. */
const TRIALS_MAX = 2_000;

/**
 * A part of a history that has no order. When `stepsMax` steps of search are used up it is what was
 * reached by then: true, if longer than it had to be.
 */
export function shrink(history: readonly Operation[], stepsMax: number): readonly Operation[] {
  let [trials, stepsLeft] = [0, stepsMax];
  const isRefuted = (part: readonly Operation[]): boolean => {
    trials += 1;
    if (trials > TRIALS_MAX) return false;
    const { kind, steps } = searchOrder(orderProblem(part), stepsLeft);
    stepsLeft -= steps;
    return kind === 'no-order';
  };
  const whole = new Map<Operation, Operation>();
  const start = shortest(history, whole, isRefuted);
  const unlooked = without(start, () => isLook, isRefuted);
  const blind = lessSeen(unlooked, isRefuted);
  const least = without(blind, unseenIn, isRefuted);
  return least.map((operation) => whole.get(operation) ?? operation);
}

type Refuted = (part: readonly Operation[]) => boolean;

/** Up to the earliest end of an operation by which there is no order any more. */
function shortest(
  history: readonly Operation[],
  whole: Map<Operation, Operation>,
  isRefuted: Refuted,
): readonly Operation[] {
  const ends = [...new Set(history.map(({ endMs }) => endMs))].toSorted((a, b) => a - b);
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isRefuted(until(ends[middle] ?? 0, history, whole))) high = middle;
    else low = middle + 1;
  }
  return until(ends[high] ?? 0, history, whole);
}

/** What is known of a history at a time: an operation that has not ended is undecided. */
function until(
  timeMs: number,
  history: readonly Operation[],
  whole: Map<Operation, Operation>,
): readonly Operation[] {
  return history
    .filter(({ startMs }) => startMs <= timeMs)
    .map((operation) => {
      if (operation.endMs <= timeMs || operation.outcome === 'failed') return operation;
      const undecided: Operation = { ...operation, outcome: 'unknown' };
      whole.set(undecided, operation);
      return undecided;
    });
}

type Spare = (part: readonly Operation[]) => (operation: Operation) => boolean;

/** Leaves out what is spare, in halves, quarters and so on, for as long as there is no order still. */
function without(
  history: readonly Operation[],
  spareIn: Spare,
  isRefuted: Refuted,
): readonly Operation[] {
  let part = history;
  for (let size = Math.ceil(history.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < part.length; ) {
      const isSpare = spareIn(part);
      const [before, chunk, after] = [
        part.slice(0, at),
        part.slice(at, at + size),
        part.slice(at + size),
      ];
      const needed = chunk.filter((operation) => !isSpare(operation));
      const smaller = [...before, ...needed, ...after];
      const isLess = needed.length < chunk.length && isRefuted(smaller);
      if (isLess) part = smaller;
      at += isLess ? needed.length : chunk.length;
    }
  }
  return part;
}

/** Forgets what writes have seen, where that is not what is wrong. */
function lessSeen(history: readonly Operation[], isRefuted: Refuted): readonly Operation[] {
  let part = history;
  for (let size = history.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < part.length; at += size) {
      const changed = part.map((operation, i) =>
        i < at || i >= at + size ? operation : blindly(operation),
      );
      if (changed.some((operation, i) => operation !== part[i]) && isRefuted(changed)) {
        part = changed;
      }
    }
  }
  return part;
}

/** The same writes without their conditions and without what they found: they fit wherever they did. */
function blindly(operation: Operation): Operation {
  const { outcome, together } = operation;
  const isBlind = accessesOf(operation).every(
    ({ condition, found }) => (condition ?? null) === null && found === undefined,
  );
  if (isBlind || outcome === 'refused') return operation;
  const { condition: _, found: __, ...rest } = operation;
  if (together === undefined) return rest;
  return { ...rest, together: together.map(({ condition: _c, found: _f, ...access }) => access) };
}

const isLook = (operation: Operation): boolean =>
  operation.outcome === 'refused' || accessesOf(operation).every(({ kind }) => kind !== 'write');

/** Blind writes whose value nobody names, on keys where nobody asks whether there is anything at all. */
function unseenIn(part: readonly Operation[]): (operation: Operation) => boolean {
  const asked = new Set<string>();
  const seen = new Set<string>();
  const nameOf = (key: string, value: string | null): string => JSON.stringify([key, value]);
  for (const { key, kind, value, condition, found } of part.flatMap(accessesOf)) {
    if ((condition ?? null) !== null || found !== undefined) asked.add(key);
    if (kind === 'read') seen.add(nameOf(key, value));
  }
  return (operation) =>
    accessesOf(operation).every(
      ({ key, kind, value }) =>
        kind === 'write' && !asked.has(key) && !seen.has(nameOf(key, value)),
    );
}
