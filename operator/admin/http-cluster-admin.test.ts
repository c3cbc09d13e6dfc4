/** The admin port against a coordinator's own HTTP server, and against servers that misbehave. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '../../services/common/clock.ts';
import { type HttpFixture, openHttp } from '../../services/testing/http-fixture.ts';
import { ManualClock, settle } from '../../services/testing/manual-clock.ts';
import { HttpClusterAdmin } from './http-cluster-admin.ts';
import type { Target } from './types.ts';

const { signal } = new AbortController();
const ID = 'ab'.repeat(16);
const calls: string[] = [];
let fixture: HttpFixture;
let admin: HttpClusterAdmin;
const servers: Server[] = [];

beforeEach(async () => {
  calls.length = 0;
  fixture = await openHttp({ withAdminPort: true });
  admin = new HttpClusterAdmin({
    clock: systemClock,
    onCall: (call, result) => calls.push(`${call} ${result}`),
  });
});

afterEach(async () => {
  await admin.close();
  await fixture.server.close(0);
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const at = (port: number | null, more: Partial<Target> = {}): Target => ({
  pod: 'demo-coordinator-0',
  uid: fixture.admin.status().podUid,
  address: `127.0.0.1:${port ?? 0}`,
  ...more,
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const readOne = async (target: Target) => {
  const { coordinators, cluster } = await admin.read(
    { coordinators: [target], volumes: [], clusterId: fixture.admin.clusterId() },
    signal,
  );
  return { status: coordinators[target.pod], cluster };
};

test('status and cluster of a coordinator', async () => {
  const { status, cluster } = await readOne(at(fixture.server.adminPort));
  expect(status).toMatchObject({ name: fixture.admin.status().name });
  expect(cluster).not.toBe('unknown');
  expect(calls.sort()).toEqual(['cluster ok', 'status ok']);
});

test('the answer of another pod is not believed', async () => {
  const { status } = await readOne(at(fixture.server.adminPort, { uid: 'another' }));
  expect(status).toBe('unknown');
});

test.each<[string, RequestListener]>([
  ['not understood', (_req, res) => res.end('{"state":"empty"}')],
  ['no JSON', (_req, res) => res.end('empty')],
  ['5xx', (_req, res) => res.writeHead(503).end()],
  ['cut', (req) => req.socket.destroy()],
])('%s is unknown', async (_what, listener) => {
  const port = await serve(listener);
  expect(await readOne(at(port))).toEqual({ status: 'unknown', cluster: 'unknown' });
});

test('nobody there, and no address', async () => {
  expect((await readOne(at(1))).status).toBe('unknown');
  expect((await readOne(at(null, { address: null }))).status).toBe('unknown');
});

test('a silent pod is given up after two seconds and holds nobody up', async () => {
  const clock = new ManualClock();
  const late = new HttpClusterAdmin({ clock, onCall: () => undefined });
  let asked = 0;
  const silent = await serve(() => {
    asked += 1;
  });
  const other = { ...at(fixture.server.adminPort), pod: 'demo-coordinator-1' };
  const reading = late.read(
    { coordinators: [at(silent), other], volumes: [], clusterId: null },
    signal,
  );
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(2000);
  await settle();
  const { coordinators } = await reading;
  expect(coordinators['demo-coordinator-0']).toBe('unknown');
  expect(coordinators['demo-coordinator-1']).toMatchObject({ podUid: at(0).uid });
  await late.close();
});

test('changes carry who asks, and a refusal says why', async () => {
  const seen: unknown[] = [];
  const answers = [
    { status: 200, body: {} },
    { status: 409, body: { code: 'STALE_EPOCH' } },
    { status: 409, body: { code: 'TARGET_BEHIND' } },
    { status: 504, body: { code: 'TRANSFER_FAILED', outcome: 'unknown' } },
  ];
  const port = await serve((req, res) => {
    let text = '';
    req.on('data', (piece) => {
      text += String(piece);
    });
    req.on('end', () => {
      const { 'x-minikv-cluster-id': id, 'x-minikv-operator-epoch': epoch } = req.headers;
      seen.push({ url: req.url, id, epoch, body: JSON.parse(text) as unknown });
      const { status, body } = answers[seen.length - 1]!;
      const whole = { message: 'm', retryable: false, outcome: 'not_applied', requestId: 'r' };
      res.writeHead(status).end(JSON.stringify({ ...whole, error: 'e', ...body }));
    });
  });
  const transfer = () =>
    admin.transferLeader(at(port), { to: 2, expectedTerm: 7, clusterId: ID, epoch: 9 }, signal);
  expect(await transfer()).toEqual({ kind: 'done' });
  expect(await transfer()).toEqual({ kind: 'deposed' });
  expect(await transfer()).toMatchObject({ kind: 'refused', code: 'TARGET_BEHIND' });
  expect(await transfer()).toMatchObject({ kind: 'unknown' });
  expect(seen[0]).toEqual({
    url: '/admin/leader/transfer',
    id: ID,
    epoch: '9',
    body: { to: 2, expectedTerm: 7 },
  });
});

test('a coordinator takes the calls as they are sent', async () => {
  const target = at(fixture.server.adminPort);
  const clusterId = fixture.admin.clusterId() ?? ID;
  const members = [{ nodeId: 1, name: 'demo-coordinator-0', address: 'a:1' }];
  expect(await admin.bootstrap(target, { clusterId, members }, signal)).toEqual({ kind: 'done' });
  const caller = { clusterId, epoch: 2 ** 52 };
  const zone = { volume: 'v1', disk: 1, zone: 'a', ...caller };
  expect(await admin.setZone(target, zone, signal)).toEqual({ kind: 'done' });
  expect(fixture.admin.operatorEpoch()).toBe(2 ** 52);
});
