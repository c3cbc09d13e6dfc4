import { getEventListeners } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { orAborted } from './or-aborted.ts';

const never = new Promise<never>(() => undefined);

describe('waiting until told to stop', () => {
  test('gives what comes, or throws what fails, and leaves nothing at the signal', async () => {
    const { signal } = new AbortController();
    expect(await orAborted(Promise.resolve(7), signal)).toBe(7);
    await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('ends with the reason of the abort, now or before', async () => {
    const control = new AbortController();
    const waiting = orAborted(never, control.signal);
    control.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(orAborted(never, control.signal)).rejects.toThrow('enough');
  });

  test('what fails behind it afterwards is heard by nobody', async () => {
    const late = Promise.withResolvers<number>();
    const control = new AbortController();
    const waiting = orAborted(late.promise, control.signal);
    control.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    late.reject(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve));
  });
});
