import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '../testing/manual-clock.ts';
import { Backoff } from './backoff.ts';
import { sleep, withDeadline } from './clock.ts';
import { Lifecycle, type Part } from './lifecycle.ts';
import { seededRandom } from './random.ts';
import { Semaphore } from './semaphore.ts';

describe('withDeadline', () => {
  test('rejects when the promise is late and not before', async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    withDeadline(clock, new Promise(() => undefined), 100, () => new Error('late')).catch(
      (error: Error) => seen.push(error.message),
    );
    await clock.advance(99);
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(seen).toEqual(['late']);
  });

  test('passes the value on when it is in time', async () => {
    const clock = new ManualClock();
    const value = withDeadline(clock, Promise.resolve(7), 100, () => new Error('late'));
    await clock.advance(1000);
    await expect(value).resolves.toBe(7);
  });
});

describe('sleep', () => {
  test('ends at once when aborted', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const sleeping = sleep(clock, 1000, abort.signal);
    abort.abort(new Error('stop'));
    await expect(sleeping).rejects.toThrow('stop');
    await expect(sleep(clock, 1000, abort.signal)).rejects.toThrow('stop');
  });
});

describe('Semaphore', () => {
  test('runs at most so many at once and refuses beyond its waiting line', async () => {
    const semaphore = new Semaphore(1, 1);
    const gate = Promise.withResolvers<undefined>();
    const order: string[] = [];
    const first = semaphore.run(async () => {
      await gate.promise;
      order.push('first');
    });
    const second = semaphore.run(async () => void order.push('second'));
    await expect(semaphore.run(async () => undefined)).rejects.toMatchObject({
      code: 'OVERLOADED',
    });
    gate.resolve(undefined);
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });
});

describe('Backoff', () => {
  test('doubles to its ceiling and starts over after a success', () => {
    const backoff = new Backoff(seededRandom(1), { minMs: 100, maxMs: 1000 });
    const delays = Array.from({ length: 8 }, () => backoff.next());
    for (const [i, ceiling] of [100, 200, 400, 800, 1000, 1000, 1000, 1000].entries()) {
      expect(delays[i]).toBeGreaterThanOrEqual(ceiling / 2);
      expect(delays[i]).toBeLessThanOrEqual(ceiling);
    }
    backoff.reset();
    expect(backoff.next()).toBeLessThanOrEqual(100);
  });
});

describe('Lifecycle', () => {
  const part = (name: string, log: string[], failing: 'start' | 'stop' | null = null): Part => ({
    name,
    start: async () => {
      if (failing === 'start') throw new Error(`${name} does not start`);
      log.push(`+${name}`);
    },
    stop: async () => {
      log.push(`-${name}`);
      if (failing === 'stop') throw new Error(`${name} does not stop`);
    },
  });

  test('stops in reverse, also past a part that fails to stop', async () => {
    const log: string[] = [];
    const lifecycle = new Lifecycle();
    await lifecycle.start([part('a', log), part('b', log, 'stop'), part('c', log)]);
    const failures = await lifecycle.stop();
    expect(log).toEqual(['+a', '+b', '+c', '-c', '-b', '-a']);
    expect(failures.map((error) => error.message)).toEqual(['b does not stop']);
  });

  test('a part that fails to start stops those before it', async () => {
    const log: string[] = [];
    const starting = new Lifecycle().start([part('a', log), part('b', log, 'start')]);
    await expect(starting).rejects.toThrow('b does not start');
    expect(log).toEqual(['+a', '-a']);
  });
});
