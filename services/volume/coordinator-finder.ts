/**
 * Where the coordinators are. One configured name may stand for many addresses (a headless Service),
 * and addresses move: names are resolved again every five seconds, at once when a link is lost, and
 * twice a second while one is missing, because a name changes only when its process is back.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { SECOND_MS } from '../common/units.ts';

const RESOLVE_EVERY_MS = 5 * SECOND_MS;
const RESOLVE_WHILE_MISSING_MS = SECOND_MS / 2;

/** All addresses behind host:port, as host:port; rejects where the name does not resolve. */
export type Resolve = (hostPort: string) => Promise<readonly string[]>;

/** Keeps the set of addresses current and says what came and went. */
export class CoordinatorFinder {
  readonly #clock: Clock;
  readonly #resolve: Resolve;
  readonly #names: readonly string[];
  readonly #changed: (addresses: ReadonlySet<string>) => void;
  readonly #isWhole: () => boolean;
  /** The last good answer of each name: one that does not resolve now keeps its addresses. */
  readonly #known = new Map<string, readonly string[]>();
  #timer: Timer | null = null;
  #stopped = false;
  #running = false;

  constructor(
    parts: { clock: Clock; resolve: Resolve },
    options: {
      readonly names: readonly string[];
      readonly changed: (addresses: ReadonlySet<string>) => void;
      /** There is an open link to every address. */
      readonly isWhole: () => boolean;
    },
  ) {
    this.#clock = parts.clock;
    this.#resolve = parts.resolve;
    this.#names = options.names;
    this.#changed = options.changed;
    this.#isWhole = options.isWhole;
  }

  start(): void {
    void this.refresh();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Resolves all names now; at most one round runs at a time. */
  async refresh(): Promise<void> {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    this.#timer?.cancel();
    await Promise.all(this.#names.map((name) => this.#refreshOne(name)));
    this.#running = false;
    if (this.#stopped) return;
    this.#changed(new Set([...this.#known.values()].flat()));
    const isComplete = this.#names.every((name) => this.#known.has(name)) && this.#isWhole();
    const delayMs = isComplete ? RESOLVE_EVERY_MS : RESOLVE_WHILE_MISSING_MS;
    this.#timer = this.#clock.after(delayMs, () => void this.refresh());
  }

  async #refreshOne(name: string): Promise<void> {
    try {
      const addresses = await this.#resolve(name);
      if (addresses.length > 0) this.#known.set(name, addresses);
    } catch {
      // The name may come back; the links to its last addresses go on meanwhile.
    }
  }
}
