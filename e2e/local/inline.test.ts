/**
 * Goal: small values that coordinators keep themselves are as lasting as those on volumes, and a client
 * sees no difference but their speed.
 * Method: one cluster as it comes, which keeps values up to 2 KiB; plain HTTP to all coordinators; every process killed,
 * and in the end all volumes gone.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';
import { calm, holdings, rebuilt } from '../harness/health.ts';
import { call, get, keyUrl, put, randomValue, remove } from '../harness/kv.ts';
import { waitFor } from '../harness/wait-for.ts';

const INLINE_MAX = 2048;
const WAIT_MS = 30_000;

let cluster: Cluster;
const url = (i: number): string => cluster.urls[i % cluster.urls.length] ?? '';

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

async function readsEverywhere(key: string, value: Buffer): Promise<void> {
  for (const base of cluster.urls) {
    let read = Buffer.alloc(0);
    await waitFor(`${key} from ${base}`, WAIT_MS, async () => {
      const { status, body } = await get(base, key);
      read = Buffer.from(body);
      return status === 200;
    });
    expect(read.equals(value)).toBe(true);
  }
}

const bytesOnVolumes = async (): Promise<number> =>
  (await holdings(cluster)).reduce((sum, { open, staged, live }) => sum + open + staged + live, 0);

test('a small value is on no volume, and else like any other', async () => {
  const value = randomValue(INLINE_MAX);
  const created = await put(url(0), 'small', value);
  expect([created.status, created.headers.get('x-replicas')]).toEqual([201, '3/3']);
  expect(await bytesOnVolumes()).toBe(0);
  await readsEverywhere('small', value);
  const part = await get(url(1), 'small', { range: 'bytes=10-19' });
  expect([part.status, part.body.equals(value.subarray(10, 20))]).toEqual([206, true]);
  const redirected = await call(`${keyUrl(url(2), 'small')}?redirect=1`);
  expect([redirected.status, redirected.body.equals(value)]).toEqual([200, true]);
  const etag = created.headers.get('etag') ?? '';
  expect((await get(url(0), 'small', { 'if-none-match': etag })).status).toBe(304);
  expect((await put(url(1), 'small', value, { 'if-match': '"other"' })).status).toBe(412);
  expect((await put(url(1), 'small', value, { 'if-match': etag })).status).toBe(200);
  expect((await remove(url(2), 'small')).status).toBe(204);
  expect((await get(url(0), 'small')).status).toBe(404);
});

test('a value may grow onto volumes and shrink back', async () => {
  const [small, large] = [randomValue(100), randomValue(INLINE_MAX + 1)];
  await put(url(0), 'changing', large);
  expect(await bytesOnVolumes()).toBeGreaterThan(3 * INLINE_MAX);
  await readsEverywhere('changing', large);
  expect((await put(url(1), 'changing', small)).status).toBe(200);
  await readsEverywhere('changing', small);
  expect((await put(url(2), 'changing', large)).status).toBe(200);
  await readsEverywhere('changing', large);
});

test('all that was answered outlives SIGKILL of all six', async () => {
  const values = Array.from({ length: 200 }, (_, i) => [`kept/${i}`, randomValue(16 * i)] as const);
  const answers = await Promise.all(values.map(([key, value], i) => put(url(i), key, value)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  await Promise.all(cluster.rows.map(({ name }) => cluster.kill(name, 'SIGKILL')));
  for (const { name } of cluster.rows) cluster.restart(name);
  await calm(cluster);
  for (const [key, value] of values) await readsEverywhere(key, value);
  expect(await rebuilt(cluster)).toEqual([]);
}, 120_000);

test('without a volume small values are taken and read, and large ones refused', async () => {
  const volumes = cluster.rows.filter(({ role }) => role === 'volume');
  await Promise.all(volumes.map(({ name }) => cluster.kill(name, 'SIGKILL')));
  const small = randomValue(1000);
  expect((await put(url(0), 'alone', small)).status).toBe(201);
  await readsEverywhere('alone', small);
  await waitFor('large values to be refused', WAIT_MS, async () => {
    return (await put(url(1), 'large', randomValue(INLINE_MAX + 1))).status === 503;
  });
  for (const { name } of volumes) cluster.restart(name);
  await calm(cluster);
}, 120_000);
