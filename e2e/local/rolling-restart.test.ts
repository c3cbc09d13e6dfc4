/**
 * Goal: stopping a process on purpose costs nobody more than one retry, and a cluster that was stopped
 * as a whole starts again from its clean marks.
 * Method: SIGTERM to each of the six in turn under load whose clients retry once on another
 * coordinator; then to all six at once.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';
import { RetryingLoad } from '../harness/retrying-load.ts';

const KIB = 1024;
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

test('a rolling restart of all six: each request succeeds at its first retry at the latest', async () => {
  const load = new RetryingLoad({
    urls: cluster.urls,
    writers: 4,
    readers: 4,
    keysPerWriter: 23,
    sizes: [0, 100, KIB, 20 * KIB, 400 * KIB],
  });
  load.start();
  const stopMs: Record<string, number> = {};
  for (const { name } of cluster.rows) {
    const startedMs = performance.now();
    await cluster.kill(name, 'SIGTERM');
    stopMs[name] = Math.round(performance.now() - startedMs);
    cluster.restart(name);
    await cluster.ready();
  }
  const report = await load.stop();
  console.log('rolling restart', { ...report, stopMs });
  expect(report.failures).toEqual([]);
  expect(await load.readBack()).toEqual([]);
  expect(report.writes).toBeGreaterThan(100);
}, 120_000);
