/**
 * The ordered table that `apply` reads and writes, synchronously. Rows are bytes; keys.ts and the
 * codecs give them meaning.
 */
import type { LogIndex } from '../common/ids.ts';

export interface MetadataStore {
  get(key: Uint8Array): Uint8Array | undefined;
  /** A row that no command below `index` can have written: a stored state that ends below is not asked. */
  getSince(index: LogIndex, key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
}
