/** The parts of the replicated state that the commands work on, put together over one store. */
import { RowDigest } from './digest.ts';
import { IdempotencyTable } from './idempotency.ts';
import { TABLE } from './keys.ts';
import { type OutcomeRow, Outcomes } from './outcomes.ts';
import { RecordTable } from './record-table.ts';
import { RowStore } from './row-store.ts';
import { SmallState } from './small-state.ts';
import type { MetadataStore } from './store.ts';

export type Row = readonly [key: Uint8Array, value: Uint8Array];

export interface State {
  readonly store: MetadataStore;
  readonly rows: RowStore;
  readonly small: SmallState;
  readonly records: RecordTable;
  readonly outcomes: Outcomes;
  readonly idempotency: IdempotencyTable;
}

export interface StateOptions {
  /** Tests keep fewer rows than IDEMPOTENCY_ROWS_MAX; nodes of one cluster must agree. */
  readonly idempotencyRowsMax?: number;
}

/** What a checkpointed store holds, as far as the state keeps it in memory. */
export interface StoredRows {
  /** Of every table but records, garbage, thin and outcomes; more are harmless. */
  readonly rows: Iterable<Row>;
  /** In the order in which they were logged. Gone through once, at leisure: they may be made one by one. */
  readonly outcomes: Iterable<OutcomeRow>;
}

/** The state that a checkpointed store holds; `digest` is that of all its rows. */
export function loadState(
  store: MetadataStore,
  stored: StoredRows,
  digest: RowDigest,
  options: StateOptions = {},
): State {
  const rows = new RowStore(store, digest);
  const small = new SmallState();
  const outcomes = new Outcomes(rows, stored.outcomes);
  const idempotency = new IdempotencyTable(rows, options.idempotencyRowsMax);
  const answerRows: Row[] = [];
  for (const row of stored.rows) {
    const [key, value] = row;
    if (key[0] === TABLE.idempotency) answerRows.push(row);
    // What is stored leaves the digest as it is stored: this build may write it in another way.
    else if (small.restore(key, value)) digest.remove(key, value);
  }
  idempotency.restore(answerRows);
  return { store, rows, small, records: new RecordTable(rows, small), outcomes, idempotency };
}
