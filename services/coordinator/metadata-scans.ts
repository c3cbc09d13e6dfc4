/**
 * Ranges of rows that jobs walk: garbage, thin keys and records in the order of their row keys. Each
 * call reads one bounded part of one view and closes it, so no walk holds up the loop or an old table.
 */
import { concatBytes } from '../common/bytes.ts';
import { type DiskId, type LogIndex, logIndex } from '../common/ids.ts';
import {
  keyOfRecordKey,
  keyOfThinKey,
  queueFrom,
  queueRowOf,
  TABLE,
  TABLES_END,
  TABLES_FIRST,
} from '../metadata/keys.ts';
import { decodeRecord, decodeThin } from '../metadata/record-codec.ts';
import type { GarbageRow, ThinRow } from '../metadata/records.ts';
import type { RecordScan, ScannedRecord } from './metadata-port.ts';
import type { TableRow } from './table-rows.ts';
import type { TableView } from './table-view.ts';

/** Garbage of a disk that was queued below `reclaim`, oldest first. */
export async function scanGarbage(
  view: TableView,
  { disk, reclaim, limit }: { disk: DiskId; reclaim: LogIndex; limit: number },
): Promise<readonly GarbageRow[]> {
  const range = { first: queueFrom(disk, logIndex(0)), end: queueFrom(disk, reclaim), limit };
  return (await rowsOf(view, range)).map(([key]) => queueRowOf(disk, key));
}

/** Thin keys behind `after`. */
export async function scanThin(
  view: TableView,
  { after, limit }: { after: Uint8Array | null; limit: number },
): Promise<readonly ThinRow[]> {
  const first = Uint8Array.of(TABLE.thin, ...(after === null ? [] : [...after, 0]));
  const rows = await rowsOf(view, { first, end: Uint8Array.of(TABLE.thin + 1), limit });
  return rows.map(([key, value]) => decodeThin(keyOfThinKey(key), value));
}

/** Records behind a row key: no merge of shards, as the order of keys does not matter here. */
export async function scanRecords(
  view: TableView,
  { after, limit }: Pick<RecordScan, 'after' | 'limit'>,
): Promise<readonly ScannedRecord[]> {
  const first = after === null ? Uint8Array.of(TABLE.record) : Uint8Array.of(...after, 0);
  const rows = await rowsOf(view, { first, end: Uint8Array.of(TABLE.record + 1), limit });
  return rows.map(([rowKey, row]) => {
    const key = keyOfRecordKey(rowKey);
    return { rowKey, key, value: decodeRecord(row).value };
  });
}

/** All rows of the state in pages, as the view holds them; the caller closes it. */
export async function* allRows(
  view: TableView,
  pageRows: number,
): AsyncGenerator<readonly TableRow[]> {
  const end = Uint8Array.of(TABLES_END);
  let next: Uint8Array = Uint8Array.of(TABLES_FIRST);
  while (true) {
    const rows = await view.range(next, end, pageRows);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    next = concatBytes([last[0], Uint8Array.of(0)]);
  }
}

async function rowsOf(
  view: TableView,
  { first, end, limit }: { first: Uint8Array; end: Uint8Array; limit: number },
): Promise<readonly TableRow[]> {
  try {
    return await view.range(first, end, limit);
  } finally {
    await view.close();
  }
}
