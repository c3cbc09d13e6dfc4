/** Memory that requests may hold together. Who does not fit is refused at once, never queued. */
import { KvError } from '../common/errors.ts';

export class ByteBudget {
  readonly #bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Claims `bytes` and answers how to give them back (calling twice is harmless).
   * @throws KvError `OVERLOADED` when they do not fit.
   */
  take(bytes: number): () => void {
    this.check(bytes);
    this.#used += bytes;
    let isHeld = true;
    return () => {
      if (isHeld) this.#used -= bytes;
      isHeld = false;
    };
  }

  /** @throws KvError `OVERLOADED` when `bytes` would not fit now. */
  check(bytes: number): void {
    if (this.#used + bytes > this.#bytesMax) {
      throw new KvError('OVERLOADED', 'too many bytes are under way here; try again shortly', {
        detail: { usedBytes: this.#used, bytesMax: this.#bytesMax },
      });
    }
  }
}
