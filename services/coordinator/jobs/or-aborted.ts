/** A job that is told to stop waits for nobody: what it has asked for may take minutes. */
import { asError } from '../../common/errors.ts';

/**
 * What `promise` comes to, or the signal's reason as soon as that aborts. The work behind the promise
 * goes on, and nobody hears of its end.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(asError(signal.reason));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
