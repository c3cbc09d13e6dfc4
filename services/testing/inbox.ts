/** Events in the order in which they came; `next` waits for one, so that no test sleeps for luck. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiters: ((item: T) => void)[] = [];

  push(item: T): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#items.push(item);
    else waiter(item);
  }

  next(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The first event that `accepts`; those before it are dropped. */
  async until(accepts: (item: T) => boolean): Promise<T> {
    for (;;) {
      const item = await this.next();
      if (accepts(item)) return item;
    }
  }

  /** What has come and was not taken. */
  get waiting(): readonly T[] {
    return this.#items;
  }
}
