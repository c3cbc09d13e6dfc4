/**
 * One life of a simulated process. What calls back into it is an event of this life: when the life is
 * over nothing calls back any more, and while it is paused everything that is due waits.
 */
export class Life {
  /** Tells lives apart in the trace, 1 and up. */
  readonly number: number;
  isOver = false;
  isPaused = false;
  /** Steps that came due while it was paused, in their order. */
  parked: (() => void)[] = [];
  readonly #onFail: (error: Error) => void;
  readonly #onEnd: (() => void)[] = [];

  constructor(number: number, onFail: (error: Error) => void) {
    this.number = number;
    this.#onFail = onFail;
  }

  /** It ends by itself, at once. */
  fail(error: Error): void {
    if (!this.isOver) this.#onFail(error);
  }

  onEnd(fn: () => void): void {
    this.#onEnd.push(fn);
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.parked = [];
    for (const fn of this.#onEnd) fn();
  }
}

/** What a call answers that a process makes after its end: nothing, ever. */
export const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
