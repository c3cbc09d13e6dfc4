/** The table in memory, for tests and simulation: a map by the bytes of the key. */
import { compareBytes } from '../common/bytes.ts';
import { hexOf, type LogIndex } from '../common/ids.ts';
import type { MetadataStore } from './store.ts';

export type Row = readonly [key: Uint8Array, value: Uint8Array];

export class MemoryStore implements MetadataStore {
  readonly #rows = new Map<string, Row>();

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(hexOf(key))?.[1];
  }

  getSince(_index: LogIndex, key: Uint8Array): Uint8Array | undefined {
    return this.get(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#rows.set(hexOf(key), [key, value]);
  }

  delete(key: Uint8Array): void {
    this.#rows.delete(hexOf(key));
  }

  /** All rows in byte order of their keys. */
  rows(): readonly Row[] {
    return [...this.#rows.values()].sort((a, b) => compareBytes(a[0], b[0]));
  }
}
