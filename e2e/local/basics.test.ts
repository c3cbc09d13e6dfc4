/**
 * Goal: what the README shows works on a fresh cluster, and survives SIGKILL of all six processes.
 * Method: one cluster, plain HTTP to all coordinators, kill, restart, read back.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';
import { call, get, keyUrl, put, randomValue, remove } from '../harness/kv.ts';
import { waitFor } from '../harness/wait-for.ts';

let cluster: Cluster;
const url = (i: number): string => cluster.urls[i % cluster.urls.length] ?? '';

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

describe('a fresh 3 + 3 cluster', () => {
  test('creates, replaces, reads and deletes a key through any coordinator', async () => {
    const created = await put(url(0), 'greeting', Buffer.from('hello'));
    expect(created.status).toBe(201);
    expect(created.headers.get('x-replicas')).toBe('3/3');
    const replaced = await put(url(1), 'greeting', Buffer.from('hello again'));
    expect(replaced.status).toBe(200);
    for (const i of [0, 1, 2]) {
      const read = await get(url(i), 'greeting');
      expect(read.status).toBe(200);
      expect(read.body.toString()).toBe('hello again');
      expect(read.headers.get('etag')).toBe(replaced.headers.get('etag'));
    }
    expect((await remove(url(2), 'greeting')).status).toBe(204);
    expect((await get(url(0), 'greeting')).status).toBe(404);
    expect((await remove(url(0), 'greeting')).status).toBe(404);
  });

  test('of many concurrent If-None-Match: * exactly one creates', async () => {
    const attempts = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        put(url(i), 'only-once', Buffer.from(String(i)), { 'if-none-match': '*' }),
      ),
    );
    expect(attempts.map(({ status }) => status).sort()).toEqual([
      201,
      ...Array<number>(11).fill(412),
    ]);
  });

  test('serves ranges, large values and lists', async () => {
    const value = randomValue(9 * 1024 * 1024 + 7);
    expect((await put(url(0), 'large/one', value)).status).toBe(201);
    const whole = await get(url(1), 'large/one');
    expect(whole.body.equals(value)).toBe(true);
    const part = await get(url(2), 'large/one', { range: 'bytes=1048570-2097160' });
    expect(part.status).toBe(206);
    expect(part.body.equals(value.subarray(1_048_570, 2_097_161))).toBe(true);
    const page = await call(`${url(0)}/kv?prefix=large/`);
    expect(page.status).toBe(200);
    expect(page.body.toString()).toContain('large/one');
  });

  test('a transaction is all or nothing', async () => {
    const transact = (operations: unknown) =>
      call(`${url(1)}/transaction`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ operations }),
      });
    const both = await transact([
      { op: 'put', key: 'txn/a', value: '1' },
      { op: 'put', key: 'txn/b', value: '2' },
    ]);
    expect(both.status).toBe(200);
    const refused = await transact([
      { op: 'put', key: 'txn/a', value: 'changed' },
      { op: 'put', key: 'txn/b', value: 'changed', ifNoneMatch: '*' },
    ]);
    expect(refused.status).toBe(412);
    expect((await get(url(0), 'txn/a')).body.toString()).toBe('1');
  });

  test('everything acknowledged is there after SIGKILL of all six processes', async () => {
    const values = new Map(
      Array.from({ length: 40 }, (_, i) => [`keep/${i}`, randomValue(i * 997)]),
    );
    for (const [key, value] of values) expect((await put(url(0), key, value)).status).toBe(201);
    await Promise.all(cluster.rows.map(({ name }) => cluster.kill(name, 'SIGKILL')));
    for (const { name } of cluster.rows) cluster.restart(name);
    await cluster.ready();
    for (const [key, value] of values) {
      await waitFor(`${key} reads`, 20_000, async () => (await get(url(1), key)).status === 200);
      expect((await get(url(1), key)).body.equals(value)).toBe(true);
    }
    await waitFor('writes again', 20_000, async () => {
      const { status } = await call(keyUrl(url(2), 'after'), { method: 'PUT', body: 'x' });
      return status === 201 || status === 200;
    });
  }, 120_000);
});
