/**
 * The ordered table that `apply` reads and writes, synchronously. Rows are bytes; keys.ts and the
 * codecs give them meaning.
 */
export interface MetadataStore {
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
  /** Adds an outcome row. These are never asked for by their keys, and go in the order in which they came. */
  pushOutcome(key: Uint8Array, value: Uint8Array): void;
  /** Removes the oldest outcome row. */
  shiftOutcome(): void;
}
