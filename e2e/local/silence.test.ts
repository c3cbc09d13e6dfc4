/**
 * Goal: a process that falls silent and closes nothing (a power cut, a frozen machine) costs little: a
 * volume is left out of what is running after a second and avoided from then on, a leader is replaced.
 * Method: SIGSTOP, and the time that requests take. Every figure is printed; the bounds leave room for
 * a busy machine.
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Cluster, httpUrl, ON_VOLUMES } from '../harness/cluster.ts';
import { type Answer, call, get, keyUrl, put, randomValue } from '../harness/kv.ts';
import { waitFor } from '../harness/wait-for.ts';

jest.setTimeout(60_000);
const KIB = 1024;
const STALL_MS = 1000;
/** What a busy machine may add. */
const SLACK_MS = 900;
let cluster: Cluster;

beforeAll(async () => {
  // No cache: each read must find a volume that answers.
  cluster = await Cluster.start([], { ...ON_VOLUMES, MINIKV_BLOB_CACHE: '0' });
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

const url = (i = 0): string => cluster.urls[i % cluster.urls.length] ?? '';

async function timed(request: Promise<Answer>): Promise<Answer & { readonly tookMs: number }> {
  const startedMs = performance.now();
  const answer = await request;
  return { ...answer, tookMs: Math.round(performance.now() - startedMs) };
}

const created = (answer: Answer): unknown => [answer.status, answer.headers.get('x-replicas')];

/** A body of two halves; the second one leaves when `go` resolves. */
function halves(bytes: Buffer, go: Promise<unknown>): ReadableStream<Uint8Array> {
  const middle = bytes.length / 2;
  const parts = [bytes.subarray(0, middle), bytes.subarray(middle)];
  return new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      if (part === undefined) {
        controller.close();
        return;
      }
      if (parts.length === 0) await go;
      controller.enqueue(new Uint8Array(part));
    },
  });
}

test('a silent volume is left out of a running staging and avoided at once by new requests', async () => {
  const keys = Array.from({ length: 30 }, (_, i) => `before/${i}`);
  for (const key of keys)
    expect(created(await put(url(), key, randomValue(KIB)))).toEqual([201, '3/3']);
  const large = randomValue(4 * 1024 * KIB);
  const { promise: stopped, resolve: go } = Promise.withResolvers<undefined>();
  const init = { method: 'PUT', body: halves(large, stopped), duplex: 'half' as const };
  const uploading = timed(call(keyUrl(url(), 'running'), init));
  await waitFor('the upload is staged in part', 5000, async () => {
    const text = (await call(`${url()}/metrics`)).body.toString();
    return /^minikv_two_phase_in_flight [1-9]/m.test(text);
  });
  await cluster.kill('v2', 'SIGSTOP');
  const silentSinceMs = performance.now();
  go(undefined);
  const upload = await uploading;
  const leftOutMs = Math.round(performance.now() - silentSinceMs);
  expect(created(upload)).toEqual([201, '2/3']);
  expect((await get(url(), 'running')).body.equals(large)).toBe(true);
  // The gateway that has met the silence writes on without it.
  const next = await timed(put(url(), 'next', randomValue(KIB)));
  expect(created(next)).toEqual([201, '2/3']);
  const reads: number[] = [];
  for (const key of keys) {
    const { status, tookMs } = await timed(get(url(), key));
    expect(status).toBe(200);
    reads.push(tookMs);
  }
  // Another gateway has to find out by itself: one read, or as many as wait at the same time.
  const elsewhere = await Promise.all(keys.map((key) => timed(get(url(1), key))));
  const failedOverMs = Math.max(...elsewhere.map(({ tookMs }) => tookMs));
  const slowestReadMs = Math.max(...reads);
  console.log('a silent volume', {
    leftOutMs,
    nextWriteMs: next.tookMs,
    slowestReadMs,
    failedOverMs,
  });
  expect(leftOutMs).toBeLessThan(STALL_MS + SLACK_MS);
  expect(next.tookMs).toBeLessThan(SLACK_MS);
  expect(slowestReadMs).toBeLessThan(SLACK_MS);
  expect(elsewhere.map(({ status }) => status)).toEqual(keys.map(() => 200));
  expect(failedOverMs).toBeLessThan(STALL_MS + SLACK_MS);
  await cluster.kill('v2', 'SIGCONT');
  await waitFor('the volume takes copies again', 20_000, async () => {
    return (await put(url(), 'again', randomValue(10))).headers.get('x-replicas') === '3/3';
  });
});

test('a silent leader is replaced', async () => {
  const leader = await cluster.leader();
  const others = cluster.rows.filter(({ role, name }) => role === 'coordinator' && name !== leader);
  const [first] = others.map(({ http }) => httpUrl(http));
  if (first === undefined) throw new Error('no other coordinator');
  const term = (await cluster.status(first))['term'];
  await cluster.kill(leader, 'SIGSTOP');
  const silentSinceMs = performance.now();
  // Requests that come while nobody leads wait for the next leader.
  const waiting = Promise.all([
    timed(get(first, 'next')),
    timed(put(first, 'next', Buffer.from('x'))),
  ]);
  let now: Record<string, unknown> = {};
  await waitFor('another one leads', 20_000, async () => {
    now = await cluster.status(first);
    return now['leader'] !== null && Number(now['term']) > Number(term);
  });
  const replacedMs = Math.round(performance.now() - silentSinceMs);
  const written = await timed(put(first, 'after', randomValue(KIB)));
  const writesMs = Math.round(performance.now() - silentSinceMs);
  const [read, write] = await waiting;
  const waitedMs = { read: read.tookMs, write: write.tookMs };
  console.log('a silent leader', { replacedMs, writesMs, waitedMs });
  expect([read.status, write.status]).toEqual([200, 200]);
  expect(Math.max(read.tookMs, write.tookMs)).toBeLessThan(1500 + 2 * SLACK_MS);
  expect(written.status).toBe(201);
  expect(replacedMs).toBeLessThan(1500 + SLACK_MS);
  await cluster.kill(leader, 'SIGCONT');
  await cluster.ready();
  await waitFor('the old leader follows', 20_000, async () => {
    const { http } = cluster.row(leader);
    return (await get(httpUrl(http), 'after')).status === 200;
  });
});
