/**
 * The digest of what is really stored, to be held against the running one: rows that LevelDB lost or
 * changed without a word are found before anybody asks for them.
 */
import type { LogIndex } from '../common/ids.ts';
import { RowDigest } from '../metadata/digest.ts';
import { allRows } from './metadata-scans.ts';
import type { TableView } from './table-view.ts';

/** Rows of one slice: a few milliseconds of the loop. */
const SLICE_ROWS = 500;

/** What a scrub found of the state at `index`. */
export interface ScrubResult {
  readonly index: LogIndex;
  /** The stored rows make the running digest. */
  readonly isSound: boolean;
}

/** Sums all rows of a view; awaits `pace` between any two slices. */
export async function digestOfRows(view: TableView, pace: () => Promise<void>): Promise<string> {
  const sum = new RowDigest();
  for await (const rows of allRows(view, SLICE_ROWS)) {
    for (const [key, value] of rows) sum.add(key, value);
    await pace();
  }
  return sum.text();
}
