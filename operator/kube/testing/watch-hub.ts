/** The history of a memory API server and the watches that follow it. */
import type { Clock } from '../../../services/common/clock.ts';
import { SECOND_MS } from '../../../services/common/units.ts';
import { KubeError } from '../kube-error.ts';
import type { Kind, KubeObject, WatchEvent, WatchOptions } from '../types.ts';
import { clone } from './field-set.ts';
import { matches } from './selectors.ts';

/** One write: the object before and after it; null for none. */
export interface Change {
  readonly kind: Kind;
  readonly before: KubeObject | null;
  /** For a removal the last state, with the version of the removal. */
  readonly after: KubeObject;
  readonly isRemoval: boolean;
  readonly version: number;
}

interface OpenWatch {
  readonly kind: Kind;
  readonly options: WatchOptions;
  readonly queue: WatchEvent[];
  isSilent: boolean;
  ended: { readonly error: Error | null } | null;
  wake: () => void;
}

export class WatchHub {
  readonly #clock: Clock;
  readonly #open = new Set<OpenWatch>();
  #history: Change[] = [];
  #compacted: number;

  constructor(clock: Clock, options: { readonly since: string }) {
    this.#clock = clock;
    this.#compacted = Number(options.since);
  }

  get count(): number {
    return this.#open.size;
  }

  publish(change: Change): void {
    this.#history.push(change);
    for (const watch of this.#open) offer(watch, change);
  }

  /** @throws KubeError `Expired` when history does not reach back to the version asked for. */
  open(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const from = Number(options.resourceVersion);
    if (from < this.#compacted) {
      const message = `too old resource version: ${from} (${this.#compacted})`;
      throw new KubeError({ code: 410, reason: 'Expired', message });
    }
    const watch: OpenWatch = {
      kind,
      options,
      queue: [],
      isSilent: false,
      ended: null,
      wake: () => undefined,
    };
    for (const change of this.#history) if (change.version > from) offer(watch, change);
    this.#open.add(watch);
    return this.#follow(watch);
  }

  bookmark(resourceVersion: string): void {
    for (const watch of this.#open) push(watch, { kind: 'bookmark', resourceVersion });
  }

  compact(version: string): void {
    this.#compacted = Number(version);
    this.#history = [];
  }

  end(error: Error | null): void {
    for (const watch of this.#open) finish(watch, error);
  }

  silence(): void {
    for (const watch of this.#open) watch.isSilent = true;
  }

  async *#follow(watch: OpenWatch): AsyncGenerator<WatchEvent> {
    const { signal, timeoutSeconds } = watch.options;
    const abort = (): void => finish(watch, signal.reason as Error);
    const timer = this.#clock.after(timeoutSeconds * SECOND_MS, () => {
      if (!watch.isSilent) finish(watch, null);
    });
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const event = watch.queue.shift();
        if (event !== undefined) yield event;
        else if (watch.ended === null) {
          await new Promise<void>((resolve) => {
            watch.wake = resolve;
          });
        } else if (watch.ended.error === null) return;
        else throw watch.ended.error;
      }
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', abort);
      this.#open.delete(watch);
    }
  }
}

function finish(watch: OpenWatch, error: Error | null): void {
  watch.ended ??= { error };
  watch.wake();
}

function push(watch: OpenWatch, event: WatchEvent): void {
  if (watch.isSilent) return;
  watch.queue.push(event);
  watch.wake();
}

/** An object that comes to match is added to a watcher, one that no longer does is deleted. */
function offer(watch: OpenWatch, change: Change): void {
  if (change.kind !== watch.kind) return;
  const { before, after } = change;
  const did = before !== null && matches(watch.options, before);
  const does = !change.isRemoval && matches(watch.options, after);
  const object = clone(after);
  if (does) push(watch, { kind: did ? 'modified' : 'added', object });
  else if (did) push(watch, { kind: 'deleted', object });
}
