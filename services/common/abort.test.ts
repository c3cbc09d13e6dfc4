import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { collectGarbage } from '../testing/collect-garbage.ts';
import { underEither } from './abort.ts';

const never = new AbortController().signal;
const untilAborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

describe('underEither', () => {
  test.each([0, 1])('aborts with the reason of signal %i, early or late', async (which) => {
    const abort = new AbortController();
    const [one, other] = which === 0 ? [abort.signal, never] : [never, abort.signal];
    const late = underEither(one, other, untilAborted);
    abort.abort('enough');
    await expect(late).resolves.toBe('enough');
    await expect(underEither(one, other, untilAborted)).resolves.toBe('enough');
  });

  test('passes on what the work comes to, and does not listen any more', async () => {
    const abort = new AbortController();
    const seen: AbortSignal[] = [];
    const work = (signal: AbortSignal): Promise<number> => {
      seen.push(signal);
      return Promise.resolve(7);
    };
    await expect(underEither(abort.signal, never, work)).resolves.toBe(7);
    const failing = underEither(abort.signal, never, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    abort.abort();
    expect(seen.map(({ aborted }) => aborted)).toEqual([false]);
  });

  test('is forgotten with work that never ends, once nobody holds either signal', async () => {
    const begin = (): WeakRef<object> => {
      const held = { bytes: 'of a process that was killed' };
      void underEither(new AbortController().signal, new AbortController().signal, (signal) => {
        signal.addEventListener('abort', () => expect(held).toBeDefined());
        return new Promise<never>(() => undefined);
      });
      return new WeakRef(held);
    };
    const held = begin();
    // A WeakRef lives on for the turn in which it was made.
    await nextTurn();
    collectGarbage();
    expect(held.deref()).toBeUndefined();
  });
});
