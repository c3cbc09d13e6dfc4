import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { PendingRequests } from './requests.ts';

const OPTIONS = { requestsMax: 3, sweepMs: 100 };

function start() {
  const clock = new ManualClock();
  return { clock, pending: new PendingRequests<string>(clock, OPTIONS) };
}

describe('requests that wait', () => {
  test('get the reply of their own id, in any order', async () => {
    const { pending } = start();
    const first = pending.open(1000);
    const second = pending.open(1000);
    expect(first.requestId).not.toBe(second.requestId);
    expect(pending.resolve(second.requestId, 'b')).toBe(true);
    expect(pending.resolve(first.requestId, 'a')).toBe(true);
    expect(await first.reply).toBe('a');
    expect(await second.reply).toBe('b');
    expect(pending.size).toBe(0);
  });

  test('a reply that nobody waits for is said to be late', () => {
    const { pending } = start();
    const { requestId } = pending.open(1000);
    pending.resolve(requestId, 'a');
    expect(pending.resolve(requestId, 'again')).toBe(false);
    expect(pending.resolve(77, 'unknown')).toBe(false);
  });

  test('each fails at its own deadline, at most one sweep late', async () => {
    const { clock, pending } = start();
    const failures: string[] = [];
    const watch = (name: string, timeoutMs: number): void => {
      pending.open(timeoutMs).reply.catch((error: unknown) => {
        if (error instanceof KvError) failures.push(`${name} ${error.code} ${clock.monotonicMs()}`);
      });
    };
    watch('long', 450);
    watch('short', 150);
    await clock.advance(199);
    expect(failures).toEqual([]);
    await clock.advance(400);
    expect(failures).toEqual(['short DEADLINE_EXCEEDED 200', 'long DEADLINE_EXCEEDED 500']);
  });

  test('are bounded', () => {
    const { pending } = start();
    for (let count = 0; count < OPTIONS.requestsMax; count += 1) pending.open(1000);
    expect(() => pending.open(1000)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
  });

  test('all fail when the stream is gone, and new ones may follow', async () => {
    const { clock, pending } = start();
    const replies = [pending.open(1000).reply, pending.open(1000).reply];
    pending.failAll(new KvError('UNAVAILABLE', 'gone'));
    for (const reply of replies) {
      await expect(reply).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    }
    const next = pending.open(50);
    const failure = expect(next.reply).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await clock.advance(100);
    await failure;
  });

  test('that failed by their deadlines are told of once, when they are known no more', async () => {
    const clock = new ManualClock();
    const known: boolean[][] = [];
    const ids: number[] = [];
    const pending: PendingRequests<string> = new PendingRequests<string>(clock, {
      ...OPTIONS,
      onExpired: () => known.push(ids.map((id) => pending.has(id))),
    });
    for (const timeoutMs of [150, 150, 1000]) {
      const { requestId, reply } = pending.open(timeoutMs);
      reply.catch(() => undefined);
      ids.push(requestId);
    }
    await clock.advance(900);
    expect(known).toEqual([[false, false, true]]);
    pending.failAll(new KvError('UNAVAILABLE', 'gone'));
    await clock.advance(1000);
    expect(known).toHaveLength(1);
  });

  test('a reject reaches its own caller only', async () => {
    const { pending } = start();
    const first = pending.open(1000);
    const second = pending.open(1000);
    pending.reject(first.requestId, new KvError('NOT_FOUND', 'no such copy'));
    await expect(first.reply).rejects.toMatchObject({ code: 'NOT_FOUND' });
    pending.resolve(second.requestId, 'b');
    expect(await second.reply).toBe('b');
  });
});
