/** The table in memory, for tests and simulation: a map by the bytes of the key. */
import { compareBytes } from '../common/bytes.ts';
import { hexOf } from '../common/ids.ts';
import { isOutcomeKey } from './keys.ts';
import { inLogOrder } from './outcomes.ts';
import type { Row, StoredRows } from './state.ts';
import type { MetadataStore } from './store.ts';

export class MemoryStore implements MetadataStore {
  readonly #rows = new Map<string, Row>();
  /** Keys of the outcome rows, oldest first. */
  readonly #outcomes: Uint8Array[] = [];

  /** A store with these rows, in any order. */
  static of(rows: readonly Row[]): MemoryStore {
    const store = new MemoryStore();
    for (const [key, value] of rows) if (!isOutcomeKey(key)) store.put(key, value);
    const outcomes = inLogOrder(rows.filter(([key]) => isOutcomeKey(key)));
    for (const [key, value] of outcomes) store.pushOutcome(key, value);
    return store;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(hexOf(key))?.[1];
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#rows.set(hexOf(key), [key, value]);
  }

  delete(key: Uint8Array): void {
    this.#rows.delete(hexOf(key));
  }

  pushOutcome(key: Uint8Array, value: Uint8Array): void {
    this.put(key, value);
    this.#outcomes.push(key);
  }

  shiftOutcome(): void {
    const key = this.#outcomes.shift();
    if (key !== undefined) this.delete(key);
  }

  /** All rows in byte order of their keys. */
  rows(): readonly Row[] {
    return [...this.#rows.values()].sort((a, b) => compareBytes(a[0], b[0]));
  }

  /** All rows as a start reads them. */
  loadable(): StoredRows {
    const rows = this.rows();
    const outcomes = inLogOrder(rows.filter(([key]) => isOutcomeKey(key)));
    return { rows: rows.filter(([key]) => !isOutcomeKey(key)), outcomes };
  }
}
