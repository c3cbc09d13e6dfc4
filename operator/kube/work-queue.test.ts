/** The semantics of client-go's queue, on a clock by hand. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../services/common/random.ts';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { CountingMetrics } from '../../services/testing/storage-rig.ts';
import { queueMetrics, workerMetrics } from './metrics.ts';
import { WorkQueue } from './work-queue.ts';
import { type Work, Workers } from './workers.ts';

let clock: ManualClock;
let metrics: CountingMetrics;
let queue: WorkQueue;
beforeEach(() => {
  clock = new ManualClock();
  metrics = new CountingMetrics();
  const random = seededRandom(3);
  queue = new WorkQueue({ clock, random, metrics: queueMetrics(metrics) });
});

/** All that can be taken now; nothing of it is done. */
async function takeAll(): Promise<string[]> {
  const keys: string[] = [];
  while (queue.depth > 0) keys.push((await queue.take()) ?? '');
  return keys;
}

describe('the queue', () => {
  test('a key waits once, in the order of its first addition', async () => {
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect(queue.depth).toBe(3);
    expect(await takeAll()).toEqual(['a', 'b', 'c']);
  });

  test('a key added while it is worked on comes again once, and only after it is done', async () => {
    queue.add('a');
    await queue.take();
    queue.add('a');
    queue.add('a');
    expect(queue.depth).toBe(0);
    queue.done('a');
    expect(await takeAll()).toEqual(['a']);
    queue.done('a');
    expect(queue.depth).toBe(0);
  });

  test('who waits gets the next key, and null when the queue closes', async () => {
    const first = queue.take();
    const second = queue.take();
    queue.add('a');
    expect(await first).toBe('a');
    queue.close();
    expect(await second).toBeNull();
    queue.add('b');
    queue.addAfter('c', 1);
    await clock.advance(10);
    expect(await queue.take()).toBeNull();
  });

  test('of several delays the earliest counts, and the key comes once', async () => {
    queue.addAfter('a', 500);
    queue.addAfter('a', 100);
    queue.addAfter('a', 300);
    await clock.advance(99);
    expect(queue.depth).toBe(0);
    await clock.advance(1);
    expect(await takeAll()).toEqual(['a']);
    queue.done('a');
    await clock.advance(1000);
    expect(queue.depth).toBe(0);
  });

  test('a key that fails waits longer each time, up to five minutes, until it is well', async () => {
    const waits: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      const startMs = clock.monotonicMs();
      queue.retry('a');
      while (queue.depth === 0) await clock.advance(1 + Math.floor((waits[i - 1] ?? 0) / 50));
      waits.push(clock.monotonicMs() - startMs);
      await queue.take();
      queue.done('a');
    }
    expect(waits[0]).toBeLessThanOrEqual(6);
    expect(waits[10]).toBeGreaterThanOrEqual(2_560);
    expect(Math.max(...waits)).toBeLessThanOrEqual(306_000);
    expect(waits[19]).toBeGreaterThanOrEqual(150_000);
    queue.forget('a');
    queue.retry('a');
    await clock.advance(5);
    expect(queue.depth).toBe(1);
  });

  test('all retries together come at ten a second after the first hundred', async () => {
    for (let i = 0; i < 150; i += 1) queue.retry(`k-${i}`);
    await clock.advance(10);
    expect(queue.depth).toBe(100);
    await clock.advance(2_000);
    expect(queue.depth).toBe(120);
    await clock.advance(3_000);
    expect(queue.depth).toBe(150);
    expect(await metrics.print()).toContain('minikv_operator_retries_total 150');
  });
});

describe('workers', () => {
  let started: string[];
  let ends: Map<string, (error?: Error) => void>;
  let workers: Workers;
  const run = (work: Work, count = 2): void => {
    workers = new Workers(
      { queue, clock, logger: silentLogger, metrics: workerMetrics(metrics), work },
      { count, deadlineMs: 1_000 },
    );
    workers.start();
  };
  /** Ends when the test says so. */
  const byHand: Work = (key) => {
    started.push(key);
    return new Promise((resolve, reject) => {
      ends.set(key, (error) =>
        error === undefined ? resolve({ requeueMs: 60_000 }) : reject(error),
      );
    });
  };
  beforeEach(() => {
    started = [];
    ends = new Map();
  });

  test('as many keys at once as there are workers, and never two on one key', async () => {
    run(byHand);
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.flush();
    expect(started).toEqual(['a', 'b']);
    queue.add('a');
    await clock.flush();
    expect(started).toEqual(['a', 'b']);
    ends.get('a')?.();
    await clock.flush();
    expect(started).toEqual(['a', 'b', 'c']);
    ends.get('b')?.();
    await clock.flush();
    expect(started).toEqual(['a', 'b', 'c', 'a']);
  });

  test('an answered time brings the key back then; a failure brings it back soon', async () => {
    run(byHand);
    queue.add('a');
    await clock.flush();
    ends.get('a')?.();
    await clock.advance(59_999);
    expect(started).toHaveLength(1);
    await clock.advance(1);
    expect(started).toHaveLength(2);
    ends.get('a')?.(new Error('x'));
    await clock.advance(5);
    expect(started).toHaveLength(3);
    expect(await metrics.print()).toContain('minikv_operator_reconcile_total{result="error"} 1');
  });

  test('a look that takes too long is aborted and comes again', async () => {
    const reasons: unknown[] = [];
    run((key, signal) => {
      started.push(key);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason);
          reject(signal.reason as Error);
        });
      });
    });
    queue.add('a');
    await clock.advance(600);
    expect(workers.longestMs).toBe(600);
    await clock.advance(400);
    expect(reasons).toHaveLength(1);
    expect(await metrics.print()).toContain('minikv_operator_reconcile_total{result="late"} 1');
    await clock.advance(10);
    expect(started).toEqual(['a', 'a']);
    await clock.flush();
    await workers.stop();
    expect(workers.longestMs).toBe(0);
  });

  test('a stop aborts what runs, waits for its end and starts nothing', async () => {
    run(byHand, 1);
    queue.add('a');
    queue.add('b');
    await clock.flush();
    let hasStopped = false;
    const stopped = workers.stop().then(() => {
      hasStopped = true;
    });
    await clock.flush();
    expect(hasStopped).toBe(false);
    ends.get('a')?.(new Error('aborted'));
    await stopped;
    expect(started).toEqual(['a']);
  });
});
