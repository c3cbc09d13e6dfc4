/**
 * Asks coordinators what became of copies whose outcome this volume does not know: staged ones after
 * a courtesy age, and every copy after an unclean stop. KEEP ends the asking, DROP frees the bytes,
 * LATER asks again. Any coordinator's DROP is final, so the first answer counts.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import type { CopyId } from '../common/ids.ts';
import { SECOND_MS } from '../common/units.ts';
import type { CopyInfo, StorageEngine } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';

export type Verdict = 'KEEP' | 'DROP' | 'LATER';

/** Sends questions to one connected coordinator; false: none is connected. */
export type Ask = (copies: readonly CopyInfo[]) => boolean;

const ASK_EVERY_MS = SECOND_MS;
const COURTESY_MS = 5 * SECOND_MS;
const BATCH_MAX = 500;

export interface AskerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly engine: StorageEngine;
  readonly ask: Ask;
}

export class Asker {
  readonly #parts: AskerParts;
  /** Where the walk over all copies stands; null: no walk is on. */
  #walk: { after: CopyId | null } | null;
  #timer: Timer | null = null;

  /** `reconcile`: also ask about every copy once, after a stop that was not clean. */
  constructor(parts: AskerParts, options: { reconcile: boolean }) {
    this.#parts = parts;
    this.#walk = options.reconcile ? { after: null } : null;
  }

  /** No copy is left to be asked about because of a stop that was not clean. */
  get isReconciled(): boolean {
    return this.#walk === null;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(ASK_EVERY_MS, () => {
      void this.#askAgain();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Carries out an answer. Safe at any time and in any repetition. */
  async answered(copy: CopyId, verdict: Verdict): Promise<void> {
    const { engine, logger } = this.#parts;
    try {
      if (verdict === 'KEEP') await engine.finalize(copy);
      if (verdict === 'DROP') await engine.drop(copy);
    } catch (error) {
      logger.warn({ copy, verdict, error: asError(error) }, 'could not carry out an answer');
    }
  }

  async #askAgain(): Promise<void> {
    try {
      await this.#turn();
    } catch (error) {
      this.#parts.logger.warn({ error: asError(error) }, 'could not ask about copies');
    }
    if (this.#timer !== null) this.start();
  }

  async #turn(): Promise<void> {
    const { engine, ask } = this.#parts;
    const staged = await engine.staged(COURTESY_MS, BATCH_MAX);
    if (staged.length > 0 && !ask(staged)) return;
    if (this.#walk === null) return;
    const page = await engine.list(this.#walk.after, BATCH_MAX, ['committed']);
    const last = page.at(-1);
    if (last === undefined) {
      this.#walk = null;
      return;
    }
    if (ask(page)) this.#walk.after = last.copyId;
  }
}
