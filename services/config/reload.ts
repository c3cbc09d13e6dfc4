/**
 * Follows the settings file. It is read anew every few seconds by its path, so a folder whose
 * symbolic links are swapped is followed too. Only fields of class `reload` take effect; others that
 * differ are named until a restart. A file that is broken or gone changes nothing and is told once.
 */
import { type Clock, type Timer, withDeadline } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Loaded } from './role.ts';

export const RELOAD_INTERVAL_MS = 5 * SECOND_MS;

export interface WatchParts<O> {
  readonly clock: Clock;
  /** Reads all settings again, from the same arguments and environment. */
  readonly load: () => Promise<Loaded<O>>;
  /** The part of the options that may change while the process runs. */
  readonly reloadable: (options: O) => Partial<O>;
}

export interface WatchOptions<O> {
  /** What the process started with. */
  readonly started: Loaded<O>;
  /** `options` are those in force from now on; `names` are the settings that changed. */
  readonly changed: (options: O, names: readonly string[]) => void;
  /** The file was refused; what was in force stays so. */
  readonly refused: (error: Error) => void;
}

export class SettingsWatch<O> {
  readonly #parts: WatchParts<O>;
  readonly #options: WatchOptions<O>;
  #current: Loaded<O>;
  #pendingRestart: readonly string[] = [];
  #lastRefusal = '';
  #timer: Timer | null = null;
  #stopped = false;

  constructor(parts: WatchParts<O>, options: WatchOptions<O>) {
    this.#parts = parts;
    this.#options = options;
    this.#current = options.started;
  }

  /** Settings whose value in the file waits for a restart; for status. */
  get pendingRestart(): readonly string[] {
    return this.#pendingRestart;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = this.#parts.clock.after(RELOAD_INTERVAL_MS, () => {
      void this.poll().then(() => this.start());
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** One look at the file; never rejects. */
  async poll(): Promise<void> {
    const { clock, load } = this.#parts;
    try {
      const fresh = await withDeadline(
        clock,
        load(),
        RELOAD_INTERVAL_MS,
        () => new KvError('DEADLINE_EXCEEDED', 'reading the settings file takes too long'),
      );
      this.#lastRefusal = '';
      if (!this.#stopped) this.#take(fresh);
    } catch (thrown) {
      const error = asError(thrown);
      if (error.message !== this.#lastRefusal) this.#options.refused(error);
      this.#lastRefusal = error.message;
    }
  }

  #take(fresh: Loaded<O>): void {
    const { started, changed } = this.#options;
    const reload = fresh.settings.filter((setting) => setting.class === 'reload');
    const names = differing(reload, this.#current);
    this.#pendingRestart = differing(
      fresh.settings.filter((setting) => setting.class !== 'reload'),
      started,
    );
    this.#current = fresh;
    if (names.length === 0) return;
    changed({ ...started.options, ...this.#parts.reloadable(fresh.options) }, names);
  }
}

function differing<O>(settings: Loaded<O>['settings'], from: Loaded<O>): readonly string[] {
  const texts = new Map(from.settings.map(({ name, text }) => [name, text]));
  return settings.filter(({ name, text }) => texts.get(name) !== text).map(({ name }) => name);
}
