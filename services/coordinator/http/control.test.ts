import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { clusterViewSchema, coordinatorStatusSchema } from '../../api/admin.ts';
import { errorBodySchema, notImplementedBodySchema } from '../../api/error-body.ts';
import { coordinatorReadySchema, liveSchema } from '../../api/health.ts';
import { CONTROL_ROUTES, DATA_ROUTES, MISSING_ROUTES } from '../../api/routes.ts';
import { ERRORS } from '../../common/errors.ts';
import { type HttpFixture, openHttp } from '../../testing/http-fixture.ts';
import { call, jsonOf, RawSocket, rawCall, statusOf } from '../../testing/raw-http.ts';

const json = { 'content-type': 'application/json' };
const pathOf = (path: string): string =>
  path
    .replace(':id', 'a'.repeat(32))
    .replace('*', 'some/key')
    .replace(/:[a-zA-Z]+/g, 'name');

describe('one port for all', () => {
  let http: HttpFixture;
  beforeAll(async () => {
    http = await openHttp();
  });
  afterAll(() => http.server.close(0));

  test.each([...DATA_ROUTES, ...CONTROL_ROUTES].map(({ method, path }) => `${method} ${path}`))(
    '%s is answered',
    async (line) => {
      const [method = '', path = ''] = line.split(' ');
      const answer = await call(http.port, `${method} ${pathOf(path)}`);
      expect(answer.headers['x-request-id']).toBeDefined();
      expect([405, 500, 501]).not.toContain(answer.status);
      if (answer.status >= 400 && method !== 'HEAD') errorBodySchema.parse(jsonOf(answer));
    },
  );

  test.each([
    ...MISSING_ROUTES.map(({ method, path }) => `${method} ${path}`),
    'GET /watch/other',
    'PUT /s3/bucket/deep/key',
  ])('%s is 501 with the body that names the feature', async (line) => {
    const [method = '', path = ''] = line.split(' ');
    const answer = await call(http.port, `${method} ${pathOf(path)}`);
    expect(answer.status).toBe(501);
    expect(notImplementedBodySchema.parse(jsonOf(answer)).code).toBe('NOT_IMPLEMENTED');
  });

  test('bodies have their shapes', async () => {
    const body = async (path: string) => jsonOf(await call(http.port, `GET ${path}`));
    liveSchema.parse(await body('/health/live'));
    expect(coordinatorReadySchema.parse(await body('/health/ready')).ready).toBe(true);
    coordinatorStatusSchema.parse(await body('/admin/status'));
    clusterViewSchema.parse(await body('/admin/cluster'));
    expect((await call(http.port, 'GET /health')).body.toString()).toBe('OK\n');
  });

  test('metrics are Prometheus text with the names minikv has always had', async () => {
    const answer = await call(http.port, 'GET /metrics');
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
    for (const name of ['requests_total', 'errors_total', 'active_connections']) {
      expect(answer.body.toString()).toMatch(new RegExp(`^minikv_${name} \\d`, 'm'));
    }
    expect(answer.body.toString()).toContain('minikv_endpoint_requests_total{path="/kv"}');
    expect(answer.body.toString()).toContain('minikv_request_duration_ms_bucket{le="2500"}');
  });

  test.each([
    'GET /admin/none',
    'GET /internal/volumes/heartbeat',
    'DELETE /health',
    'GET /health/',
  ])('%s is no route and no key', async (line) => {
    const answer = await call(http.port, line);
    expect([answer.status, jsonOf(answer)['code']]).toEqual([400, 'RESERVED_KEY']);
  });

  test('the wrong method on a route is 405 naming the right ones', async () => {
    const answer = await call(http.port, 'GET /admin/bootstrap');
    expect([answer.status, answer.headers.allow]).toEqual([405, 'POST']);
  });

  test('bootstrap, transfer and volumes reach the port', async () => {
    const post = (path: string, body: unknown, headers = {}) =>
      call(http.port, `POST ${path}`, {
        body: JSON.stringify(body),
        headers: { ...json, ...headers },
      });
    const members = [{ nodeId: 1, name: 'a', address: 'a:5001' }];
    const cluster = { 'x-minikv-cluster-id': 'c'.repeat(32) };
    http.admin.calls.length = 0;
    const armed = await post('/admin/bootstrap', { clusterId: 'c'.repeat(32), members }, cluster);
    expect(jsonOf(armed)).toEqual({ state: 'armed' });
    expect((await call(http.port, 'POST /admin/leader/transfer')).status).toBe(200);
    expect((await post('/admin/leader/transfer', { to: 'coord-2' })).status).toBe(200);
    expect(jsonOf(await post('/admin/volumes/v%31', { disk: 1, zone: 'z' }))).toEqual({
      index: 10,
    });
    expect(http.admin.calls).toEqual([
      'bootstrap',
      'transfer any',
      'transfer coord-2',
      'volume v1 z',
    ]);
    expect((await post('/admin/volumes/v1', {})).status).toBe(400);
    expect((await post('/admin/volumes/%zz', { zone: 'z' })).status).toBe(400);
    expect((await post('/admin/bootstrap', { clusterId: 'x', members })).status).toBe(400);
  });

  test('another cluster is refused', async () => {
    const headers = { 'x-minikv-cluster-id': 'd'.repeat(32) };
    for (const line of ['GET /admin/status', 'GET /admin/cluster', 'POST /admin/leader/transfer']) {
      const answer = await call(http.port, line, { headers });
      expect([answer.status, jsonOf(answer)['code']]).toEqual([409, 'WRONG_CLUSTER']);
    }
  });

  test('an epoch is raised before the action; a lower one is refused; people send none', async () => {
    const transfer = (epoch?: string) =>
      call(http.port, 'POST /admin/leader/transfer', {
        headers: epoch === undefined ? {} : { 'x-minikv-operator-epoch': epoch },
      });
    http.admin.calls.length = 0;
    expect((await transfer('5')).status).toBe(200);
    expect((await transfer('5')).status).toBe(200);
    const stale = await transfer('4');
    expect([stale.status, jsonOf(stale)['code']]).toEqual([409, 'STALE_EPOCH']);
    expect((await transfer('x')).status).toBe(400);
    expect((await transfer()).status).toBe(200);
    const moved = 'transfer any';
    expect(http.admin.calls).toEqual(['raise 5', moved, moved, moved]);
  });
});

describe('an admin port of its own', () => {
  let http: HttpFixture;
  let adminPort: number;
  beforeAll(async () => {
    http = await openHttp({ withAdminPort: true });
    adminPort = http.server.adminPort ?? 0;
  });
  afterAll(() => http.server.close(0));

  test.each(
    CONTROL_ROUTES.map((route) => [`${route.method} ${route.path}`, route.access] as const),
  )(
    '%s (%s) is answered there; on the HTTP port only what changes nothing',
    async (line, access) => {
      const [method = '', path = ''] = line.split(' ');
      const there = await call(adminPort, `${method} ${pathOf(path)}`);
      expect([403, 404]).not.toContain(there.status);
      const here = await call(http.port, `${method} ${pathOf(path)}`);
      if (access === 'observe') expect(here.status).toBe(200);
      else expect([here.status, jsonOf(here)['code']]).toEqual([403, 'ADMIN_PORT_ONLY']);
    },
  );

  test.each(DATA_ROUTES.map(({ method, path }) => `${method} ${path}`))(
    '%s is not answered there',
    async (line) => {
      const [method = '', path = ''] = line.split(' ');
      expect((await call(adminPort, `${method} ${pathOf(path)}`)).status).toBe(404);
    },
  );

  test('answers probes while clients have taken all room of the HTTP port', async () => {
    const full = await openHttp({ withAdminPort: true, limits: { connectionsMax: 3 } });
    const idle = Array.from({ length: 3 }, () => new RawSocket(full.port));
    await Promise.all(
      idle.map((raw) => new Promise((resolve) => raw.socket.once('connect', resolve))),
    );
    expect(statusOf(await rawCall(full.port, ''))).toBe(429);
    expect((await call(full.server.adminPort ?? 0, 'GET /health/live')).status).toBe(200);
    for (const raw of idle) raw.socket.destroy();
    await full.server.close(0);
  });
});

describe('before the node has recovered', () => {
  test('it lives, is not ready, and serves nothing else', async () => {
    const http = await openHttp({ isReady: false });
    expect((await call(http.port, 'GET /health/live')).status).toBe(200);
    expect((await call(http.port, 'GET /metrics')).status).toBe(200);
    const ready = await call(http.port, 'GET /health/ready');
    expect([ready.status, jsonOf(ready)['reason']]).toEqual([503, 'starting']);
    for (const line of ['GET /kv/x', 'PUT /x', 'GET /kv', 'GET /admin/status', 'POST /batch']) {
      const answer = await call(http.port, line);
      expect([answer.status, jsonOf(answer)['code']]).toEqual([503, 'NOT_READY']);
    }
    http.server.serveAdmin(http.admin);
    expect((await call(http.port, 'GET /admin/status')).status).toBe(200);
    expect((await call(http.port, 'GET /kv/x')).status).toBe(503);
    http.admin.ready = false;
    expect(jsonOf(await call(http.port, 'GET /health/ready'))['reason']).toBe('recovering');
    http.server.serveData(http.gateway);
    expect((await call(http.port, 'GET /kv/x')).status).toBe(404);
    await http.server.close(0);
  });
});

test('every error code has a heading in docs/errors.md, and no heading is left over', () => {
  const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const headings = [...text.matchAll(/^### ([A-Z_]+)$/gm)].map(([, code]) => code);
  expect(headings.toSorted()).toEqual(Object.keys(ERRORS).toSorted());
});
