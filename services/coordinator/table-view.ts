/**
 * A fixed view of the table: one LevelDB snapshot, and over it the rows that were young when it was
 * taken. Whatever is written meanwhile, every range of one view shows the same state.
 */
import { compareBytes } from '../common/bytes.ts';
import { asError } from '../common/errors.ts';
import {
  OUTCOMES_END,
  OUTCOMES_FIRST,
  OutcomePages,
  PAGES_END,
  PAGES_FIRST,
} from './outcome-pages.ts';
import type { Table, TableSnapshot } from './table.ts';
import {
  byName,
  checked,
  type NamedRow,
  nameOf,
  type TableRow,
  type YoungRow,
} from './table-rows.ts';

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
  /** Read from their pages once they are asked for. */
  #outcomes: Promise<readonly NamedRow[]> | null = null;

  constructor(parts: ViewParts) {
    this.#parts = parts;
    this.#young = [...parts.young].map(([name, row]) => ({ name, ...row })).sort(byName);
  }

  /** At most `limit` rows of [first, end) in byte order; outcomes are those of the newest flush. */
  async range(first: Uint8Array, end: Uint8Array, limit: number): Promise<readonly TableRow[]> {
    try {
      const below = await this.#rows(first, least(end, OUTCOMES_FIRST), limit);
      if (below.length === limit || compareBytes(end, OUTCOMES_FIRST) <= 0) return below;
      const outcomes = await this.#outcomesIn(first, end, limit - below.length);
      const left = limit - below.length - outcomes.length;
      const above = await this.#rows(most(first, OUTCOMES_END), end, left);
      return [...below, ...outcomes, ...above];
    } catch (thrown) {
      const error = asError(thrown);
      this.#parts.failed(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#parts.snapshot.close();
  }

  async #rows(first: Uint8Array, end: Uint8Array, limit: number): Promise<readonly TableRow[]> {
    if (limit === 0 || compareBytes(first, end) >= 0) return [];
    const young = within(this.#young, first, end);
    // Each young row hides or adds at most one, so this many stored rows are always enough.
    const storedMax = limit + young.length;
    const stored = await this.#stored(first, end, storedMax);
    if (young.length === 0) return stored;
    const last = stored.length < storedMax ? undefined : stored.at(-1);
    return overlaid(stored, young, last?.[0]).slice(0, limit);
  }

  async #outcomesIn(first: Uint8Array, end: Uint8Array, limit: number): Promise<TableRow[]> {
    if (limit === 0 || compareBytes(first, OUTCOMES_END) >= 0) return [];
    this.#outcomes ??= this.#readOutcomes();
    return within(await this.#outcomes, first, end)
      .slice(0, limit)
      .flatMap(standing);
  }

  async #readOutcomes(): Promise<readonly NamedRow[]> {
    const { db, snapshot } = this.#parts;
    const pages = await db.iterator({ gte: PAGES_FIRST, lt: PAGES_END, snapshot }).all();
    const { rows } = OutcomePages.read(pages);
    return Array.from(rows, ([key, value]) => ({ name: nameOf(key), key, value })).sort(byName);
  }

  async #stored(first: Uint8Array, end: Uint8Array, limit: number): Promise<TableRow[]> {
    const { db, snapshot } = this.#parts;
    const rows = await db.iterator({ gte: first, lt: end, limit, snapshot }).all();
    return rows.map(([key, value]) => [key, checked(key, value)]);
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
    .flatMap(standing);
}

const standing = ({ key, value }: NamedRow): TableRow[] => (value === null ? [] : [[key, value]]);

const least = (a: Uint8Array, b: Uint8Array): Uint8Array => (compareBytes(a, b) < 0 ? a : b);
const most = (a: Uint8Array, b: Uint8Array): Uint8Array => (compareBytes(a, b) > 0 ? a : b);

function within(
  rows: readonly NamedRow[],
  first: Uint8Array,
  end: Uint8Array,
): readonly NamedRow[] {
  return rows.slice(lowerBound(rows, nameOf(first)), lowerBound(rows, nameOf(end)));
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
