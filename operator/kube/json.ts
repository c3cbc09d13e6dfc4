/** Reading JSON of unknown shape: what is absent or of another type reads as empty. */

/** The value at a path of names; undefined where any step is absent. */
export function fieldOf(value: unknown, ...path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (!isRecord(at)) return undefined;
    at = at[name];
  }
  return at;
}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

// Looked up once: a global is slow to reach where the code runs in a realm of its own, as in tests.
const { isArray } = Array;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !isArray(value);
