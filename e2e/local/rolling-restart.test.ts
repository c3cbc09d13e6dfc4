/**
 * Goal: stopping a process on purpose costs nobody more than one retry, a leader hands over before it
 * goes, and a cluster that was stopped as a whole starts again from its clean marks.
 * Method: SIGTERM to each of the six in turn under load whose clients retry once on another
 * coordinator; to a leader that serves on for its shutdown delay; to all six at once.
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { call, get, keyUrl } from '../harness/kv.ts';
import { RetryingLoad } from '../harness/retrying-load.ts';
import { waitFor } from '../harness/wait-for.ts';

jest.setTimeout(120_000);
const KIB = 1024;
/** The one coordinator that is started with a shutdown delay. */
const DELAYED = 'c1';
const DELAY_MS = 1500;
let cluster: Cluster;
let load: RetryingLoad;

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

function startLoad(): void {
  load = new RetryingLoad({
    urls: cluster.urls,
    writers: 4,
    readers: 4,
    keysPerWriter: 23,
    sizes: [0, 100, KIB, 20 * KIB, 400 * KIB],
  });
  load.start();
}

test('a rolling restart of all six: each request succeeds at its first retry at the latest', async () => {
  startLoad();
  const stopMs: Record<string, number> = {};
  for (const { name } of cluster.rows) {
    const startedMs = performance.now();
    await cluster.kill(name, 'SIGTERM');
    stopMs[name] = Math.round(performance.now() - startedMs);
    const delay = name === DELAYED ? ['--shutdown-delay', `${DELAY_MS}ms`] : [];
    cluster.restart(name, (argv) => [...argv, ...delay]);
    await cluster.ready();
  }
  const report = await load.stop();
  console.log('rolling restart', { ...report, stopMs });
  expect(report.failures).toEqual([]);
  expect(await load.readBack()).toEqual([]);
  expect(report.writes).toBeGreaterThan(100);
});

test('a leader that is told to stop hands over at once and serves on for its delay', async () => {
  const leader = DELAYED;
  const url = httpUrl(cluster.row(leader).http);
  await lead(leader);
  const { term } = await cluster.status(url);
  startLoad();
  const startedMs = performance.now();
  const ended = cluster.kill(leader, 'SIGTERM');
  await waitFor('it has handed over', 2000, async () => {
    const status = await cluster.status(url);
    return (
      status['state'] === 'stopping' && status['is_leader'] === false && status['leader'] !== null
    );
  });
  const handedOverMs = Math.round(performance.now() - startedMs);
  expect((await cluster.status(url))['term']).toBe(Number(term) + 1);
  expect((await call(`${url}/health/ready`)).status).toBe(503);
  const served = await call(keyUrl(url, 'after-handover'), { method: 'PUT', body: 'x' });
  expect([served.status, served.headers.get('connection')]).toEqual([201, 'close']);
  // A second signal changes nothing: it is still there for the rest of its delay.
  const again = cluster.kill(leader, 'SIGTERM');
  expect((await get(url, 'after-handover')).status).toBe(200);
  await Promise.all([ended, again]);
  const stoppedMs = Math.round(performance.now() - startedMs);
  const report = await load.stop();
  cluster.restart(leader);
  console.log('a leader stops', { ...report, handedOverMs, stoppedMs });
  expect(report.failures).toEqual([]);
  expect(stoppedMs).toBeGreaterThanOrEqual(DELAY_MS);
});

/** Makes a coordinator the leader, wherever leadership is. */
async function lead(name: string): Promise<void> {
  await waitFor(`${name} leads`, 20_000, async () => {
    const from = httpUrl(cluster.row(await cluster.leader()).http);
    const answer = await call(`${from}/admin/leader/transfer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to: name }),
    });
    return answer.status === 200 && (await cluster.leader()) === name;
  });
}

test('all six at once: they start again from their clean marks, with all the data', async () => {
  await cluster.ready();
  startLoad();
  await waitFor('some writes', 10_000, () => load.written > 50);
  await load.stop();
  const before = new Map<string, number>();
  for (const { name } of cluster.rows) before.set(name, (await cluster.log(name)).length);
  const startedMs = performance.now();
  await Promise.all(cluster.rows.map(({ name }) => cluster.kill(name, 'SIGTERM')));
  const stopMs = Math.round(performance.now() - startedMs);
  for (const { name } of cluster.rows) cluster.restart(name);
  await cluster.ready();
  console.log('all six at once', { stopMs });
  expect(await load.readBack()).toEqual([]);
  for (const { name, role } of cluster.rows) {
    const news = (await cluster.log(name)).slice(before.get(name));
    expect(news).not.toMatch(/cannot be trusted|damage|recovering|did not stop cleanly/);
    if (role === 'coordinator') continue;
    expect(lineWith(news, 'folder opened')).toMatchObject({ cleanStop: true });
    expect(lineWith(news, 'volume recovered')).toMatchObject({
      clean: true,
      fromSnapshot: true,
      replayedRecords: 0,
      tornBytes: 0,
    });
  }
});

/** The fields of the log line with this message. */
function lineWith(log: string, message: string): unknown {
  const line = log.split('\n').find((each) => each.includes(`"msg":"${message}"`));
  return JSON.parse(line ?? 'null');
}
