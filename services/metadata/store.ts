/**
 * The ordered table that `apply` reads and writes, synchronously. Rows are bytes; keys.ts and the
 * codecs give them meaning.
 */
export interface MetadataStore {
  get(key: Uint8Array): Uint8Array | undefined;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
}
