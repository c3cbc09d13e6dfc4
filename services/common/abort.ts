/** Work that two may end. */

/**
 * Runs `work` under a signal that aborts, with the same reason, as soon as one of both does. Unlike
 * `AbortSignal.any` it leaves nothing behind: Node keeps a signal of that kind, with all that listens to
 * it, until it aborts.
 */
export async function underEither<T>(
  one: AbortSignal,
  other: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const both = new AbortController();
  const signals = [one, other];
  const release = signals.map((signal) => {
    const onAbort = (): void => both.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    return () => signal.removeEventListener('abort', onAbort);
  });
  try {
    return await work(both.signal);
  } finally {
    for (const each of release) each();
  }
}
