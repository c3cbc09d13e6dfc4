/**
 * The store with the running digest over it: each write names the row that it replaces, because the
 * digest must let go of it. Nothing else in this room writes rows.
 */
import { ByteWriter } from '../common/bytes.ts';
import type { LogIndex } from '../common/ids.ts';
import { RowDigest } from './digest.ts';
import type { MetadataStore } from './store.ts';

export class RowStore {
  /** Sum over the rows written through here; small rows join it in state.ts. */
  readonly digest: RowDigest;
  /** Lent to the encoders; its content lasts until the next row. */
  readonly writer = new ByteWriter(512);
  readonly #store: MetadataStore;

  constructor(store: MetadataStore, digest: RowDigest) {
    this.#store = store;
    this.digest = digest;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(key);
  }

  getSince(index: LogIndex, key: Uint8Array): Uint8Array | undefined {
    return this.#store.getSince(index, key);
  }

  /** Writes a row in the place of `previous`: its present value, undefined where there is none. */
  put(key: Uint8Array, value: Uint8Array, previous: Uint8Array | undefined): void {
    if (previous !== undefined) this.digest.remove(key, previous);
    this.digest.add(key, value);
    this.#store.put(key, value);
  }

  /** Deletes a row whose present value is `previous`. */
  delete(key: Uint8Array, previous: Uint8Array): void {
    this.digest.remove(key, previous);
    this.#store.delete(key);
  }

  /** Deletes a row of which only the hash is known. */
  deleteHashed(key: Uint8Array, hash: { readonly laneA: number; readonly laneB: number }): void {
    this.digest.removeLanes(hash.laneA, hash.laneB);
    this.#store.delete(key);
  }
}
