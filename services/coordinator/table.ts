/**
 * The ordered table under the metadata as a port: just what the store uses of LevelDB, and in its form,
 * so that production reads with nothing in between. What each call promises after a crash is written
 * on it. A simulation keeps its tables on a simulated disk.
 */
import type { TableRow } from './table-rows.ts';

export type TableOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

/** The rows as they stood at one moment. Close it in every case. */
export interface TableSnapshot {
  close(): Promise<void>;
}

/** [gte, lt) in byte order of the keys, from the snapshot where one is given. */
export interface TableRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  readonly limit?: number;
  readonly snapshot?: TableSnapshot;
}

export interface Table {
  /** The caller does not change what it gets. */
  getSync(key: Uint8Array): Uint8Array | undefined;
  /** All operations or none, durable once resolved. */
  batch(operations: TableOperation[], options: { readonly sync: true }): Promise<void>;
  iterator(range: TableRange): { all(): Promise<readonly TableRow[]> };
  /** The keys alone. */
  keys(range: TableRange): { all(): Promise<readonly Uint8Array[]> };
  /** Bytes on the disk of the rows in [start, end); what was written last may be left out. */
  approximateSize(start: Uint8Array, end: Uint8Array): Promise<number>;
  snapshot(): TableSnapshot;
  close(): Promise<void>;
}

/**
 * Opens or makes the table in `folder`. May have lost rows in silence. @throws an error of LevelDB,
 * with its reason as the cause, or one of its kind.
 */
export type OpenTable = (folder: string) => Promise<Table>;
