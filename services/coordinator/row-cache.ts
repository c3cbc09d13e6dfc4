/**
 * Rows that were read from the table and have not changed since: those that are read again cost no look-up
 * in LevelDB and no checksum. In two halves: what is read moves to the newer one, and when that is full the
 * older one goes as a whole.
 */

/** What a row costs besides its bytes, roughly. */
const ROW_BYTES = 200;

export class RowCache {
  readonly #halfBytes: number;
  #newer = new Map<string, Uint8Array>();
  #older = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#halfBytes = bytesMax / 2;
  }

  find(name: string): Uint8Array | undefined {
    const row = this.#newer.get(name);
    if (row !== undefined) return row;
    const old = this.#older.get(name);
    if (old !== undefined) this.keep(name, old);
    return old;
  }

  keep(name: string, row: Uint8Array): void {
    const bytes = name.length + row.length + ROW_BYTES;
    if (this.#bytes + bytes > this.#halfBytes) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#bytes = 0;
    }
    this.#newer.set(name, row);
    this.#bytes += bytes;
  }

  /** The row is about to change. */
  forget(name: string): void {
    this.#newer.delete(name);
    this.#older.delete(name);
  }
}
