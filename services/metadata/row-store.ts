/**
 * The store with the running digest over it: each write names the row that it replaces, because the
 * digest must let go of it. Nothing else in this room writes rows.
 */
import { ByteWriter } from '../common/bytes.ts';
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

  /** Writes the row of the newest outcome; its hash stays in the digest until the next row. */
  pushOutcome(key: Uint8Array, value: Uint8Array): void {
    this.digest.add(key, value);
    this.#store.pushOutcome(key, value);
  }

  /** Removes the row of the oldest outcome, which has this hash. */
  shiftOutcome(hash: { readonly laneA: number; readonly laneB: number }): void {
    this.digest.removeLanes(hash.laneA, hash.laneB);
    this.#store.shiftOutcome();
  }
}
