/**
 * A part of a history as numbers, for the search for an order: keys are slots, values are small
 * numbers, and all values that no operation tells apart are the same number.
 */
import { assert } from '../common/assert.ts';
import { type Access, accessesOf, type Condition, type Operation } from './history.ts';

/** State of a slot: nothing is there; something is there that nobody can name. */
export const ABSENT = 0;
const UNNAMED = 1;

export interface Step {
  readonly slot: number;
  /** Wanted state of the slot just before; null: any. */
  readonly reads: number | null;
  /** State of the slot just after; null: as before. */
  readonly writes: number | null;
  readonly condition: ((state: number) => boolean) | null;
}

export interface Item {
  readonly source: Operation;
  readonly steps: readonly Step[];
  readonly startMs: number;
  /** Infinite where the operation may be left out. */
  readonly endMs: number;
  readonly isWrite: boolean;
  /** Place of the step whose condition does not hold; -1: all hold; null: one of them does not. */
  readonly failedStep: number | null;
  /** Where the Raft log has it, if any answer tells; infinite if not. Proves nothing here. */
  readonly hint: number;
  /** Equal for optional items that do the same. */
  readonly sameAs: string;
}

/** The item could be next where the slots hold `state`. */
export function fits({ steps, failedStep }: Item, state: Int32Array): boolean {
  if (failedStep === null) return !steps.every((step) => holds(step, state));
  for (const [place, step] of steps.entries()) {
    if (place === failedStep) return !holds(step, state);
    if (!holds(step, state)) return false;
  }
  return true;
}

function holds({ slot, reads, condition }: Step, state: Int32Array): boolean {
  const held = state[slot] ?? ABSENT;
  return (reads === null || reads === held) && (condition === null || condition(held));
}

/** Whether the item sees anything of the slot, so that a write just before it may matter. */
export const observes = ({ steps }: Item, slot: number): boolean =>
  steps.some((step) => step.slot === slot && (step.reads !== null || step.condition !== null));

export interface OrderProblem {
  readonly keys: readonly string[];
  /** Name of each value by its number. */
  readonly names: readonly string[];
  /** Items that must have a place in the order, by their start. */
  readonly certain: readonly Item[];
  /** Items that may have one, by their start. */
  readonly optional: readonly Item[];
}

/** What says nothing of the order is left out: failed calls, stale reads, reads without an answer. */
export function orderProblem(history: readonly Operation[]): OrderProblem {
  const operations = history.filter(isEvidence);
  const accesses = operations.flatMap(accessesOf);
  const slots = numbered(accesses.map(({ key }) => key));
  const values = numbered(
    ['', '', ...accesses.flatMap(namedBy)].map((name, i) => (i < 2 ? `${i}` : `=${name}`)),
  );
  const numbers: Numbers = {
    slot: (key) => slots.get(key) ?? 0,
    value: (name) => (name === null ? ABSENT : (values.get(`=${name}`) ?? UNNAMED)),
    versions: versionsOf(accesses),
  };
  const items = operations
    .map((operation) => itemOf(operation, numbers))
    .toSorted((a, b) => a.startMs - b.startMs);
  return {
    keys: [...slots.keys()],
    names: [...values.keys()].map((name, i) =>
      i < 2 ? (['nothing', 'some value'][i] ?? '') : name.slice(1),
    ),
    certain: items.filter(({ endMs }) => endMs !== Number.POSITIVE_INFINITY),
    optional: items.filter(({ endMs }) => endMs === Number.POSITIVE_INFINITY),
  };
}

/** Raft index of each write that a read names. */
function versionsOf(accesses: readonly Access[]): ReadonlyMap<string, number> {
  const versions = new Map<string, number>();
  for (const { key, value, version } of accesses) {
    if (version !== undefined) versions.set(nameOf(key, value), version);
  }
  return versions;
}

const nameOf = (key: string, value: string | null): string => JSON.stringify([key, value]);

interface Numbers {
  readonly slot: (key: string) => number;
  readonly value: (name: string | null) => number;
  readonly versions: ReadonlyMap<string, number>;
}

function isEvidence(operation: Operation): boolean {
  const { outcome, isStale } = operation;
  if (outcome === 'failed' || isStale === true) return false;
  return outcome !== 'unknown' || accessesOf(operation).some(({ kind }) => kind === 'write');
}

/** The values that an access tells apart from all others. */
function namedBy({ kind, value, condition }: Access): readonly string[] {
  const seen = kind === 'read' && value !== null ? [value] : [];
  return [...seen, ...valuesOf(condition ?? null)];
}

const valuesOf = (condition: Condition | null): readonly string[] =>
  condition?.kind === 'match' || condition?.kind === 'none-match' ? condition.values : [];

function numbered(names: readonly string[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const name of names) if (!numbers.has(name)) numbers.set(name, numbers.size);
  return numbers;
}

function itemOf(source: Operation, numbers: Numbers): Item {
  const { outcome, startMs, failedOp } = source;
  const accesses = accessesOf(source);
  assert(new Set(accesses.map(({ key }) => key)).size === accesses.length, 'a key occurs twice');
  const isRefused = outcome === 'refused';
  const steps = accesses.map((access) => stepOf(access, outcome, numbers));
  const asks = accesses.map(({ condition }) => condition ?? null);
  return {
    source,
    steps,
    startMs,
    endMs: outcome === 'unknown' ? Number.POSITIVE_INFINITY : source.endMs,
    isWrite: steps.some(({ writes }) => writes !== null),
    failedStep: isRefused ? (failedOp ?? (accesses.length === 1 ? 0 : null)) : -1,
    hint: hintOf(source, numbers),
    sameAs: JSON.stringify([steps, asks]),
  };
}

function hintOf(source: Operation, { versions }: Numbers): number {
  if (source.raftIndex !== undefined) return source.raftIndex;
  const seen = accessesOf(source).map(({ key, value }) => versions.get(nameOf(key, value)));
  return seen.find((version) => version !== undefined) ?? Number.MAX_SAFE_INTEGER;
}

function stepOf(access: Access, outcome: Operation['outcome'], numbers: Numbers): Step {
  const { key, kind, value, found } = access;
  const conditions = [
    conditionOf(access.condition ?? null, numbers),
    // An answer that did not come has found nothing out.
    outcome === 'ok' && found !== undefined
      ? (state: number) => found === (state !== ABSENT)
      : null,
  ].filter((condition) => condition !== null);
  return {
    slot: numbers.slot(key),
    reads: kind === 'read' && outcome === 'ok' ? numbers.value(value) : null,
    writes: kind === 'write' && outcome !== 'refused' ? numbers.value(value) : null,
    condition:
      conditions.length === 0 ? null : (state) => conditions.every((condition) => condition(state)),
  };
}

function conditionOf(
  condition: Condition | null,
  numbers: Numbers,
): ((state: number) => boolean) | null {
  if (condition === null) return null;
  const { kind } = condition;
  if (kind === 'exists') return (state) => state !== ABSENT;
  if (kind === 'absent') return (state) => state === ABSENT;
  const wanted = valuesOf(condition).map(numbers.value);
  const isMatch = kind === 'match';
  return (state) => wanted.includes(state) === isMatch;
}
