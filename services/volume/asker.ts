/**
 * Asks coordinators what became of copies whose outcome this volume does not know: staged ones after
 * a courtesy age, and every copy after an unclean stop. KEEP ends the asking, DROP frees the bytes,
 * LATER asks again. Any coordinator's DROP is final, so the first answer counts. The walk over all
 * copies goes on only behind copies that were answered: a broken stream takes no question with it.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { CopyId } from '../common/ids.ts';
import { SECOND_MS } from '../common/units.ts';
import type { CopyInfo, StorageEngine } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';

export type Verdict = 'KEEP' | 'DROP' | 'LATER';

/** Sends questions to one connected coordinator; false: none is connected. */
export type Ask = (copies: readonly CopyInfo[]) => boolean;

const ASK_EVERY_MS = SECOND_MS;
/** Between two parts of a walk over all copies: at most 5,000 copies a second. */
const WALK_EVERY_MS = 100;
/** A part that is not answered by then is asked again. */
const ANSWER_MS = 5 * SECOND_MS;
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
  #walk: Walk | null;
  #timer: Timer | null = null;
  #stagedAskedMs = Number.NEGATIVE_INFINITY;

  /** `reconcile`: also ask about every copy once, after a stop that was not clean. */
  constructor(parts: AskerParts, options: { reconcile: boolean }) {
    this.#parts = parts;
    this.#walk = options.reconcile ? newWalk() : null;
  }

  /** No copy is left to be asked about because of a stop that was not clean. */
  get isReconciled(): boolean {
    return this.#walk === null;
  }

  start(): void {
    const delayMs = this.#walk === null ? ASK_EVERY_MS : WALK_EVERY_MS;
    this.#timer = this.#parts.clock.after(delayMs, () => {
      void this.#askAgain();
    });
  }

  /** Asks about every copy once, unless that is under way. */
  reconcile(): void {
    this.#walk ??= newWalk();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Carries out an answer. Safe at any time and in any repetition. */
  async answered(copy: CopyId, verdict: Verdict): Promise<void> {
    const { engine, logger } = this.#parts;
    logger.debug({ copy, verdict }, 'question answered');
    failpoint('asker.answered');
    try {
      if (verdict === 'KEEP') await engine.finalize(copy);
      if (verdict === 'DROP') await engine.drop(copy);
      this.#walk?.unanswered.delete(copy);
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
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#stagedAskedMs >= ASK_EVERY_MS) {
      this.#stagedAskedMs = nowMs;
      await this.#askStaged();
    }
    if (this.#walk !== null) await this.#goOn(this.#walk, nowMs);
  }

  async #askStaged(): Promise<void> {
    const staged = await this.#parts.engine.staged(COURTESY_MS, BATCH_MAX);
    if (staged.length > 0) this.#parts.ask(staged);
  }

  /**
   * The next part once the last one is answered, or that one again. Staged copies are in it, too: a late
   * finalize would end their asking, and may know less than this session's coordinators do.
   */
  async #goOn(walk: Walk, nowMs: number): Promise<void> {
    const { engine, ask } = this.#parts;
    if (walk.unanswered.size === 0) walk.after = walk.last;
    else if (nowMs - walk.askedMs < ANSWER_MS) return;
    const part = await engine.list(walk.after, BATCH_MAX, ['staged', 'committed']);
    const last = part.at(-1);
    if (last === undefined) {
      this.#walk = null;
      return;
    }
    // Of a copy whose owner cannot be read nobody could say that it may go.
    const known = part.filter(({ owner }) => owner.length > 0);
    if (known.length > 0 && !ask(known)) return;
    walk.unanswered = new Set(known.map(({ copyId }) => copyId));
    walk.last = last.copyId;
    walk.askedMs = nowMs;
  }
}

/** A walk over all copies in the order of their ids. */
interface Walk {
  /** Everything up to here is answered. */
  after: CopyId | null;
  /** The end of the part that is asked about. */
  last: CopyId | null;
  unanswered: Set<CopyId>;
  askedMs: number;
}

const newWalk = (): Walk => ({ after: null, last: null, unanswered: new Set(), askedMs: 0 });
