/**
 * Time as a port. Everything that waits takes a Clock, so that a test or a simulation can turn it by
 * hand. Correctness never depends on wall time.
 */

/** A pending call that can be taken back; cancelling twice is harmless. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  monotonicMs(): number;
  /** Milliseconds since 1970, for logs and display only. */
  wallMs(): number;
  /** Calls `fn` once, not before `delayMs` has passed. Never keeps the process alive by itself. */
  after(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` once, after the I/O of the present loop turn: the place where batches leave. */
  soon(fn: () => void): void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fn) {
    const handle = setTimeout(fn, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  soon(fn) {
    setImmediate(fn);
  },
};

/**
 * Resolves after `delayMs`, or rejects with the signal's reason when it aborts first.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      if (signal !== undefined) reject(abortReason(signal));
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Resolves after the I/O of the present loop turn: what is long lets others have theirs. */
export const nextTurn = (clock: Clock): Promise<void> =>
  new Promise((resolve) => {
    clock.soon(resolve);
  });

/** Rejects with `onTimeout()` when `promise` has not settled within `timeoutMs`. */
export function withDeadline<T>(
  clock: Clock,
  promise: Promise<T>,
  timeoutMs: number,
  onTimeout: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => reject(onTimeout()));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
