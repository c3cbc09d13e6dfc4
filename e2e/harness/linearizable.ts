/**
 * Judges a history of keys that are registers each: is there an order of all operations, each within
 * its own time, in which every read sees the write before it? The search is that of Wing and Gong;
 * what it has tried is remembered (Lowe), so a key with some hundred operations takes milliseconds.
 */

export interface Operation {
  readonly key: string;
  /** A deletion is a write of null. */
  readonly kind: 'write' | 'read';
  /** What was written or seen; null: nothing is there. */
  readonly value: string | null;
  readonly startMs: number;
  readonly endMs: number;
  /** `unknown` writes may take effect at any time after their start, or never; `failed` ones never. */
  readonly outcome: 'ok' | 'unknown' | 'failed';
}

interface Search {
  readonly operations: readonly Operation[];
  readonly done: boolean[];
  /** Sets of done operations, with the state after them, from which there is no way on. */
  readonly tried: Set<string>;
}

/** A sentence with its history for each key that has no such order; all keys begin absent. */
export function violationsOf(history: readonly Operation[]): readonly string[] {
  return [...Map.groupBy(history, ({ key }) => key)]
    .filter(([, operations]) => !isLinearizable(operations))
    .map(([key, operations]) => [`${key} has no order:`, ...operations.map(told)].join('\n  '));
}

function isLinearizable(history: readonly Operation[]): boolean {
  const operations = history
    .filter((operation) => isOfUse(operation, history))
    .toSorted((a, b) => a.startMs - b.startMs);
  return hasOrder({ operations, done: operations.map(() => false), tried: new Set() }, null);
}

/** An undecided write that nobody saw can be left out: no read needs it. */
function isOfUse({ kind, outcome, value }: Operation, history: readonly Operation[]): boolean {
  if (outcome === 'ok') return true;
  if (outcome === 'failed' || kind === 'read') return false;
  return history.some((read) => read.kind === 'read' && read.value === value);
}

function hasOrder(search: Search, state: string | null): boolean {
  const { operations, done, tried } = search;
  const known = `${done.map(Number).join('')}${JSON.stringify(state)}`;
  if (tried.has(known)) return false;
  tried.add(known);
  const left = [...operations.entries()].filter(([place]) => done[place] !== true);
  const certain = left.filter(([, { outcome }]) => outcome === 'ok');
  if (certain.length === 0) return true;
  // Whatever began after one of these had ended comes after it.
  const endMs = Math.min(...certain.map(([, operation]) => operation.endMs));
  const next = left.filter(([, { startMs }]) => startMs <= endMs);
  const fits = next.find(([, { kind, value }]) => kind === 'read' && value === state);
  // A read that fits may always be the next one: it changes nothing.
  const choices = fits === undefined ? next.filter(([, { kind }]) => kind === 'write') : [fits];
  for (const [place, { value }] of choices) {
    done[place] = true;
    if (hasOrder(search, value)) return true;
    done[place] = false;
  }
  return false;
}

const told = ({ kind, value, startMs, endMs, outcome }: Operation): string =>
  `${startMs.toFixed(1)} to ${endMs.toFixed(1)} ${kind} ${value ?? 'nothing'} ${outcome}`;
