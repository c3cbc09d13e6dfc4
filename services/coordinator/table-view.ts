/**
 * A fixed view of the table: one LevelDB snapshot, and over it the rows that were young when it was
 * taken. Whatever is written meanwhile, every range of one view shows the same state.
 */
import { asError } from '../common/errors.ts';
import type { Table, TableSnapshot } from './table.ts';
import { checked, nameOf, type TableRow, type YoungRow } from './table-rows.ts';

interface NamedRow extends YoungRow {
  readonly name: string;
}

export interface ViewParts {
  readonly db: Table;
  readonly snapshot: TableSnapshot;
  readonly young: ReadonlyMap<string, YoungRow>;
  /** Called when a stored row cannot be read. */
  readonly failed: (error: Error) => void;
}

export class TableView {
  readonly #parts: ViewParts;
  /** In byte order of their keys. */
  readonly #young: readonly NamedRow[];

  constructor(parts: ViewParts) {
    this.#parts = parts;
    this.#young = [...parts.young].map(([name, row]) => ({ name, ...row })).sort(byName);
  }

  /** At most `limit` rows of [first, end) in byte order. */
  async range(first: Uint8Array, end: Uint8Array, limit: number): Promise<readonly TableRow[]> {
    const young = this.#youngIn(first, end);
    // Each young row hides or adds at most one, so this many stored rows are always enough.
    const storedMax = limit + young.length;
    try {
      const stored = await this.#stored(first, end, storedMax);
      if (young.length === 0) return stored;
      const last = stored.length < storedMax ? undefined : stored.at(-1);
      return overlaid(stored, young, last?.[0]).slice(0, limit);
    } catch (thrown) {
      const error = asError(thrown);
      this.#parts.failed(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#parts.snapshot.close();
  }

  async #stored(first: Uint8Array, end: Uint8Array, limit: number): Promise<TableRow[]> {
    const { db, snapshot } = this.#parts;
    const rows = await db.iterator({ gte: first, lt: end, limit, snapshot }).all();
    return rows.map(([key, value]) => [key, checked(key, value)]);
  }

  #youngIn(first: Uint8Array, end: Uint8Array): readonly NamedRow[] {
    const from = lowerBound(this.#young, nameOf(first));
    const to = lowerBound(this.#young, nameOf(end));
    return this.#young.slice(from, to);
  }
}

/** Stored rows with the young ones over them, up to `horizon`: beyond it stored rows are not known. */
function overlaid(
  stored: readonly TableRow[],
  young: readonly NamedRow[],
  horizon: Uint8Array | undefined,
): TableRow[] {
  const end = horizon === undefined ? undefined : nameOf(horizon);
  const rows = new Map<string, YoungRow>();
  for (const [key, value] of stored) rows.set(nameOf(key), { key, value });
  for (const { name, key, value } of young) {
    if (end === undefined || name <= end) rows.set(name, { key, value });
  }
  return [...rows]
    .map(([name, row]) => ({ name, ...row }))
    .sort(byName)
    .flatMap(({ key, value }): TableRow[] => (value === null ? [] : [[key, value]]));
}

function byName(a: NamedRow, b: NamedRow): number {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

function lowerBound(rows: readonly NamedRow[], name: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.name ?? '') < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
