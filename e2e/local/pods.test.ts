/**
 * Goal: what an orchestrator relies on. A cluster forms once and only when told; probes and status
 * answer whatever is missing; settings files are followed; a folder belongs to one process, one name
 * and one cluster; a wiped volume never passes for the old one; nothing is written outside of the
 * data folders, by whatever user.
 * Method: pods on loopback; the test is the operator. The stories follow each other on one cluster.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { ClusterView } from '../../services/api/admin.ts';
import { call, get, keyUrl, put } from '../harness/kv.ts';
import { CLUSTER_ID, Pods } from '../harness/pods.ts';
import { waitFor } from '../harness/wait-for.ts';

jest.setTimeout(60_000);
let pods: Pods;

beforeAll(async () => {
  pods = await Pods.create();
});

afterAll(async () => {
  await pods.stop();
}, 90_000);

/** Status and body of an admin call. */
async function ask(name: string, path: string, body?: unknown) {
  const answer = await pods.call(name, path, body);
  return { status: answer.status, body: JSON.parse(answer.body.toString()) as unknown };
}

async function view(): Promise<ClusterView> {
  for (const { name } of pods.coordinators()) {
    const { status, body } = await ask(name, '/admin/cluster');
    if (status === 200) return body as ClusterView;
  }
  throw new Error('no view of the cluster');
}

const lives = (name: string): Promise<void> =>
  waitFor(`${name} lives`, 20_000, async () => {
    return (await pods.call(name, '/health/live')).status === 200;
  });

const lastLine = (name: string): string =>
  pods.pod(name).log.join('').trimEnd().split('\n').at(-1) ?? '';

/** Puts `count` keys and answers their names. */
async function fill(prefix: string, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => `${prefix}/${i}`);
  for (const key of keys) {
    const { status } = await put(pods.http('c1'), key, Buffer.from(`value of ${key}`));
    expect([200, 201]).toContain(status);
  }
  return keys;
}

async function expectAll(keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    const { status, body } = await get(pods.http('c2'), key);
    expect([status, body.toString()]).toEqual([200, `value of ${key}`]);
  }
}

describe('a new cluster', () => {
  const request = (clusterId = CLUSTER_ID) => ({ clusterId, members: pods.members() });

  test('forms only by the call, once every member has been seen', async () => {
    for (const name of ['c1', 'c2']) pods.start(name);
    for (const name of ['c1', 'c2']) await lives(name);
    expect(await ask('c1', '/admin/status')).toMatchObject({
      status: 200,
      body: { name: 'c1', state: 'empty', clusterId: null, podUid: 'uid-of-c1', nodeId: 0 },
    });
    expect(await pods.isReady('c1')).toBe(false);
    // Told to stop while it waits for the others, it goes as one that has nothing to lose.
    expect(await pods.end('c2', 'SIGTERM')).toBe(0);
    pods.start('c2');
    await lives('c2');
    expect(await ask('c1', '/admin/bootstrap', request())).toMatchObject({
      status: 503,
      body: { code: 'PEER_UNKNOWN', detail: { peer: 'c3' } },
    });
    pods.start('c3');
    await lives('c3');
    for (const { name } of pods.coordinators()) {
      const answered = await ask(name, '/admin/bootstrap', request());
      expect(answered.status).toBe(200);
      expect(await ask(name, '/admin/bootstrap', request())).toMatchObject({ status: 200 });
    }
    for (const name of ['v1', 'v2', 'v3']) pods.start(name);
    await pods.ready();
    expect(await ask('c2', '/admin/bootstrap', request())).toEqual({
      status: 200,
      body: { state: 'member' },
    });
    expect(await ask('c2', '/admin/bootstrap', request('f'.repeat(32)))).toMatchObject({
      status: 409,
      body: { code: 'CLUSTER_EXISTS' },
    });
  });

  test('is told from any coordinator, members and volumes by name, number and version', async () => {
    const seen = await Promise.all(
      pods
        .coordinators()
        .map(async ({ name }) => (await ask(name, '/admin/cluster')).body as ClusterView),
    );
    for (const { leader, members, volumes, data } of seen) {
      expect(leader).toEqual(seen[0]?.leader);
      expect(members.map(({ nodeId, name, state }) => [nodeId, name, state])).toEqual([
        [1, 'c1', 'member'],
        [2, 'c2', 'member'],
        [3, 'c3', 'member'],
      ]);
      for (const { version } of [...members, ...volumes]) expect(version).toMatch(/^\d+\.\d+\.\d+/);
      expect(volumes.map(({ name, live, zone }) => [name, live, zone]).sort()).toEqual([
        ['v1', true, 'node-of-v1'],
        ['v2', true, 'node-of-v2'],
        ['v3', true, 'node-of-v3'],
      ]);
      expect(data).toEqual({ underReplicated: 0, lost: 0 });
    }
    expect(await ask('v1', '/admin/status')).toMatchObject({
      status: 200,
      body: { name: 'v1', state: 'serving', clusterId: CLUSTER_ID, podUid: 'uid-of-v1', boots: 1 },
    });
  });

  test('takes changes on the admin port only, and from the newest operator', async () => {
    const { leader, term } = await view();
    const to = leader.name === 'c1' ? 'c2' : 'c1';
    const transfer = (url: string, epoch: string) =>
      call(`${url}/admin/leader/transfer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-minikv-operator-epoch': epoch },
        body: JSON.stringify({ to, expectedTerm: term }),
      });
    const { status, body } = await transfer(pods.http(leader.name), '7');
    expect([status, body.toString()]).toEqual([403, expect.stringContaining('ADMIN_PORT_ONLY')]);
    const moved = await transfer(pods.admin(leader.name), '7');
    expect(moved.status).toBe(200);
    expect(JSON.parse(moved.body.toString())).toMatchObject({ leader: { name: to } });
    expect((await view()).operatorEpoch).toBe(7);
    const stale = await transfer(pods.admin(to), '6');
    expect([stale.status, stale.body.toString()]).toEqual([
      409,
      expect.stringContaining('STALE_EPOCH'),
    ]);
    expect((await transfer(pods.admin(to), '7')).status).toBe(200);
  });

  test('hands out signed redirects that the volumes accept', async () => {
    const value = Buffer.from('redirected');
    expect((await put(pods.http('c1'), 'redirect', value)).status).toBe(201);
    const answer = await call(`${keyUrl(pods.http('c3'), 'redirect')}?redirect=1`);
    expect(answer.status).toBe(307);
    const location = new URL(answer.headers.get('location') ?? '');
    const { hostname } = location;
    expect(hostname).toMatch(/^v[123]\.test$/);
    location.hostname = pods.pod(hostname.slice(0, 2)).ip;
    expect((await call(location.href)).body).toEqual(value);
    location.searchParams.set('token', '0'.repeat(64));
    expect((await call(location.href)).status).toBe(403);
  });
});

describe('settings', () => {
  const metric = async (name: string, wanted: string): Promise<number> => {
    const text = (await pods.call(name, '/metrics')).body.toString();
    const line = text.split('\n').find((each) => each.startsWith(`${wanted} `));
    return Number(line?.split(' ')[1] ?? Number.NaN);
  };

  test('of a mounted folder are followed when its links are swapped', async () => {
    const cached = 'minikv_blob_cache_bytes';
    await put(pods.http('c1'), 'cached', Buffer.alloc(1000, 'x'));
    await get(pods.http('c1'), 'cached');
    expect(await metric('c1', cached)).toBeGreaterThan(1000);
    const kept = { clusterId: CLUSTER_ID, maxObject: '999', blobCache: '0', fence: '61s' };
    const peers = pods.members().map(({ name, address }) => `${name}=${address}`);
    await pods.swapSettings('coordinator', { ...kept, peers });
    await pods.swapSettings('volume', { clusterId: CLUSTER_ID, logLevel: 'debug', fsync: 'never' });
    await waitFor('the cache is emptied', 7000, async () => (await metric('c1', cached)) === 0);
    const refused = await put(pods.http('c1'), 'cached', Buffer.alloc(1000, 'y'));
    expect(refused.status).toBe(413);
    expect((await ask('c1', '/admin/status')).body).toMatchObject({ pendingRestart: ['fence'] });
    await waitFor('the volume has followed', 7000, async () => {
      const { pendingRestart } = await pods.json('v1', '/admin/status');
      return JSON.stringify(pendingRestart) === '["fsync"]';
    });
    await pods.swapSettings('coordinator', { clusterId: CLUSTER_ID, peers });
    await pods.swapSettings('volume', { clusterId: CLUSTER_ID });
  });
});

describe('a folder', () => {
  test('holds what the process made in it, and the mount nothing else of it', async () => {
    expect((await readdir(pods.pod('c1').mount)).sort()).toEqual(['coordinator', 'lost+found']);
    expect((await readdir(pods.pod('v1').mount)).sort()).toEqual(['blobs', 'lost+found', 'wal']);
  });

  test('belongs to one process, until that one dies, however it dies', async () => {
    const second = pods.twin('v1');
    pods.start(second);
    expect(await pods.ended(second)).toBe(1);
    expect(lastLine(second)).toMatch(/another process already uses this folder/);
    await pods.end('v1', 'SIGKILL');
    pods.start('v1');
    await waitFor('v1 is ready', 20_000, () => pods.isReady('v1'));
  });

  test.each([
    ['c3', { MINIKV_CLUSTER_ID: 'e'.repeat(32) }, /belongs to cluster/],
    ['v3', { MINIKV_CLUSTER_ID: 'e'.repeat(32) }, /belongs to another cluster/],
    ['v3', { VOLUME_ID: 'v9' }, /belongs to a volume of another name/],
  ])('of %s refuses %j with exit code 78 and the reason', async (name, wrong, reason) => {
    await pods.end(name, 'SIGKILL');
    pods.start(name, wrong);
    expect(await pods.ended(name)).toBe(78);
    expect(lastLine(name)).toMatch(reason);
    const told = await readFile(pods.pod(name).terminationLog, 'utf8');
    expect(told.trimEnd()).toBe(lastLine(name));
    pods.start(name);
    await waitFor(`${name} is ready`, 20_000, () => pods.isReady(name));
  });
});

describe('a volume', () => {
  test('that left and is back gets the copies that it missed', async () => {
    expect(await pods.end('v3', 'SIGTERM')).toBe(0);
    const keys = await fill('missed', 20);
    expect((await view()).data.underReplicated).toBeGreaterThanOrEqual(20);
    pods.start('v3');
    await waitFor('nothing is missing', 20_000, async () => {
      return (await view()).data.underReplicated === 0;
    });
    await expectAll(keys);
  });

  test('whose folder was wiped gets a new number, and the old disk is not forgotten', async () => {
    const keys = await fill('kept', 20);
    const before = (await view()).volumes.find(({ name }) => name === 'v2');
    expect(before?.refs).toBeGreaterThanOrEqual(20);
    await pods.end('v2', 'SIGKILL');
    for (const folder of ['blobs', 'wal']) {
      await rm(join(pods.pod('v2').mount, folder), { recursive: true });
    }
    pods.start('v2');
    await waitFor('v2 is ready', 20_000, () => pods.isReady('v2'));
    const { volumes, data } = await view();
    const disks = volumes.filter(({ name }) => name === 'v2');
    expect(disks.map(({ live }) => live)).toEqual([false, true]);
    expect(disks[0]).toMatchObject({ disk: before?.disk, refs: before?.refs });
    expect(disks[1]?.disk).toBeGreaterThan(before?.disk ?? 0);
    expect(data.underReplicated).toBeGreaterThanOrEqual(20);
    await expectAll(keys);
    const gone = { disk: before?.disk, state: 'gone' };
    expect((await ask('c1', '/admin/volumes/v2', gone)).status).toBe(200);
    await waitFor('all copies are made anew', 20_000, async () => {
      return (await view()).data.underReplicated === 0;
    });
    for (const name of ['v1', 'v3']) await pods.end(name, 'SIGKILL');
    await expectAll(keys);
    for (const name of ['v1', 'v3']) pods.start(name);
    await pods.ready();
  });
});

describe('without a quorum', () => {
  test('a coordinator lives, is ready and tells its own view; it knows that it knows no more', async () => {
    await fill('stale', 1);
    await waitFor('c3 has the key', 5000, async () => {
      const { status } = await call(`${keyUrl(pods.http('c3'), 'stale/0')}?consistency=stale`);
      return status === 200;
    });
    for (const name of ['c1', 'c2']) await pods.end(name, 'SIGKILL');
    await waitFor('c3 has no leader', 20_000, async () => {
      return (await pods.json('c3', '/admin/status'))['leader'] === null;
    });
    expect((await pods.call('c3', '/health/live')).status).toBe(200);
    expect(await pods.isReady('c3')).toBe(true);
    expect(await ask('c3', '/admin/status')).toMatchObject({
      status: 200,
      body: { state: 'member', clusterId: CLUSTER_ID, caughtUp: true },
    });
    const [seen, written] = await Promise.all([
      ask('c3', '/admin/cluster'),
      put(pods.http('c3'), 'stale/0', Buffer.from('no')),
    ]);
    expect(seen).toMatchObject({
      status: 503,
      body: { code: 'NO_LEADER', outcome: 'not_applied' },
    });
    expect(written.status).toBe(503);
    const stale = await call(`${keyUrl(pods.http('c3'), 'stale/0')}?consistency=stale`);
    expect([stale.status, stale.body.toString()]).toEqual([200, 'value of stale/0']);
    for (const name of ['c1', 'c2']) pods.start(name);
    await pods.ready();
    expect((await put(pods.http('c1'), 'stale/0', Buffer.from('yes'))).status).toBe(200);
    for (const name of ['c3', 'v1']) expect(await pods.end(name, 'SIGTERM')).toBe(0);
  });
});
