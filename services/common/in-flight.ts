interface Cell<V> {
  value: V | undefined;
}

/**
 * What is under way, by key: a map for entries that come and go thousands of times a second.
 *
 * V8 replaces the table of a Map each time it has filled up, even if most entries have been deleted. The obsolete
 * table still holds what was in it, and points to the one that came after. A collection of young objects takes
 * whatever old objects point to for alive; so once one obsolete table is old, everything that was ever in the map
 * is copied and made old too, until the next full collection. Here tables hold cells only, which let go.
 */
export class InFlight<K, V> {
  readonly #cells = new Map<K, Cell<V>>();

  get size(): number {
    return this.#cells.size;
  }

  has(key: K): boolean {
    return this.#cells.has(key);
  }

  get(key: K): V | undefined {
    return this.#cells.get(key)?.value;
  }

  set(key: K, value: V): void {
    const cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, { value });
    else cell.value = value;
  }

  /** Takes the entry out; undefined where there is none. */
  take(key: K): V | undefined {
    const cell = this.#cells.get(key);
    if (cell === undefined) return undefined;
    this.#cells.delete(key);
    const { value } = cell;
    cell.value = undefined;
    return value;
  }

  /** All entries of this moment, oldest first; the map may change meanwhile. */
  entries(): readonly (readonly [K, V])[] {
    const entries: (readonly [K, V])[] = [];
    for (const [key, { value }] of this.#cells) if (value !== undefined) entries.push([key, value]);
    return entries;
  }

  /** Takes all out, oldest first. */
  drain(): readonly V[] {
    return this.entries().map(([key, value]) => {
      this.take(key);
      return value;
    });
  }
}
