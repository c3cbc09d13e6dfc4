/**
 * When the state goes down to the disk: at most FLUSH_EVERY_MS after it changed, sooner when much has
 * gathered. A flush stands for the state at one applied index and is written only once the own log
 * holds that index; what is applied meanwhile gathers behind it, so a slow log delays a flush and
 * cannot starve it.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { LogIndex } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type { FlushMeta } from './flush-chain.ts';
import type { LevelMetadataStore } from './level-metadata-store.ts';

export const FLUSH_EVERY_MS = 100;
const FLUSH_BYTES = 4 * MIB;

export interface FlusherParts {
  readonly clock: Clock;
  readonly store: LevelMetadataStore;
  /** Completes the rows of the store and says what they now stand for. */
  readonly checkpoint: () => FlushMeta;
  readonly appliedIndex: () => LogIndex;
  readonly onFatal: (error: Error) => void;
}

export class Flusher {
  readonly #parts: FlusherParts;
  #durable: FlushMeta | null;
  #logDurable: number;
  #writing: Promise<void> | null = null;
  #timer: Timer | null = null;
  #isStopped = false;

  /** `durable`: what the store was opened with; its point is in the log, or the log begins there. */
  constructor(parts: FlusherParts, durable: FlushMeta | null) {
    this.#parts = parts;
    this.#durable = durable;
    this.#logDurable = durable?.point.index ?? 0;
  }

  /** The newest flush that is on disk. */
  get durable(): FlushMeta | null {
    return this.#durable;
  }

  get isWriting(): boolean {
    return this.#writing !== null;
  }

  /** Something was applied. */
  changed(): void {
    if (this.#isStopped) return;
    if (this.#parts.store.unflushedBytes >= FLUSH_BYTES) this.#advance();
    else this.#schedule();
  }

  logDurable(index: LogIndex): void {
    this.#logDurable = index;
    if (this.#parts.store.frozen !== null) this.#advance();
  }

  /** Resolves once all that is applied now is on disk, or as much of it as the own log holds. */
  async flush(): Promise<void> {
    const target = this.#parts.appliedIndex();
    while (!this.#isStopped && this.#flushedIndex < target) {
      this.#advance();
      if (this.#writing === null) return;
      await this.#writing;
    }
  }

  /** No further flush begins; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#writing?.catch(() => undefined);
  }

  get #flushedIndex(): number {
    return this.#durable?.point.index ?? 0;
  }

  #schedule(): void {
    this.#timer ??= this.#parts.clock.after(FLUSH_EVERY_MS, () => {
      this.#timer = null;
      this.#advance();
    });
  }

  /** Freezes where nothing is frozen, and writes what is frozen as soon as the log holds it. */
  #advance(): void {
    const { store, checkpoint, appliedIndex } = this.#parts;
    if (this.#isStopped || this.#writing !== null) return;
    if (store.frozen === null && appliedIndex() > this.#flushedIndex) store.freeze(checkpoint());
    const { frozen } = store;
    if (frozen === null || frozen.point.index > this.#logDurable) return;
    this.#writing = this.#write(frozen);
    this.#writing.catch((error: unknown) => this.#parts.onFatal(asError(error)));
  }

  async #write(meta: FlushMeta): Promise<void> {
    failpoint('metadata.frozen');
    await this.#parts.store.writeFrozen();
    failpoint('metadata.flushed');
    this.#durable = meta;
    this.#writing = null;
    if (this.#parts.appliedIndex() > meta.point.index) this.changed();
  }
}
