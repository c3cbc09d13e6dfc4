import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { volumeStatusSchema } from '../../api/admin.ts';
import { errorBodySchema } from '../../api/error-body.ts';
import { liveSchema, volumeHealthSchema, volumeReadySchema } from '../../api/health.ts';
import { VOLUME_ROUTES } from '../../api/routes.ts';
import { systemClock } from '../../common/clock.ts';
import { type CopyId, copyId, diskId } from '../../common/ids.ts';
import { seededRandom } from '../../common/random.ts';
import { signRedirect } from '../../common/redirect-token.ts';
import { MIB } from '../../common/units.ts';
import type { ReadResult } from '../../storage/types.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { call, jsonOf, rawCall, statusOf } from '../../testing/raw-http.ts';
import { type HttpServer, startVolumeHttp } from './server.ts';
import type { VolumeHttpPort } from './volume-http-port.ts';

const KEY = 'ab'.repeat(32);
const DISK = diskId(3);
const ID = copyId('1'.repeat(32));

class FakeVolume implements VolumeHttpPort {
  readonly copies = new Map<CopyId, Uint8Array>();
  isReady = true;
  key: string | null = KEY;
  /** Replaces the answer to a read from the given offset on. */
  bad: { readonly from: number; readonly result: ReadResult } | null = null;

  status = () => ({
    name: 'vol-1',
    clusterId: 'c'.repeat(32),
    disk: 3,
    session: 9,
    boots: 1,
    podUid: '',
    version: '0.0.0',
    state: 'serving' as const,
    pendingRestart: [],
    digest: 'native' as const,
  });
  usage = () => ({ copies: this.copies.size, bytes: 10 });
  readiness = () => ({ ready: this.isReady, reason: this.isReady ? null : 'recovering' });
  disk = () => DISK;
  redirectKey = () => this.key;
  size = (id: CopyId) => this.copies.get(id)?.length ?? null;

  async read(id: CopyId, offset: number, length: number): Promise<ReadResult> {
    if (this.bad !== null && offset >= this.bad.from) return this.bad.result;
    const data = this.copies.get(id);
    if (data === undefined) return { kind: 'absent' };
    return {
      kind: 'found',
      data: data.subarray(offset, offset + length),
      sizeBytes: data.length,
      crc: null,
    };
  }
}

let volume: FakeVolume;
let http: HttpServer;

beforeAll(async () => {
  volume = new FakeVolume();
  http = await startVolumeHttp(
    {
      metrics: createMetrics(),
      logger: silentLogger,
      clock: systemClock,
      random: seededRandom(1),
      port: volume,
    },
    { httpBind: '127.0.0.1:0', adminBind: '127.0.0.1:0' },
  );
});

beforeEach(() => {
  volume.copies.set(ID, Buffer.from('0123456789'));
  volume.bad = null;
  volume.key = KEY;
  volume.isReady = true;
});

afterAll(() => http.close(0));

function signed(id: CopyId, change: { key?: string; disk?: number; lifeMs?: number } = {}): string {
  const disk = diskId(change.disk ?? 3);
  const expiresMs = Date.now() + (change.lifeMs ?? 10_000);
  const token = signRedirect(change.key ?? KEY, { copyId: id, disk, expiresMs });
  return `/blob/${id}?disk=${disk}&expires=${expiresMs}&token=${token}`;
}

describe('a signed redirect', () => {
  test('gets the bytes, a range of them, or their size', async () => {
    const got = await call(http.port, `GET ${signed(ID)}`);
    expect([got.status, got.body.toString()]).toEqual([200, '0123456789']);
    expect(got.headers['x-request-id']).toBeDefined();
    const part = await call(http.port, `GET ${signed(ID)}`, { headers: { range: 'bytes=2-4' } });
    expect([part.status, part.body.toString()]).toEqual([206, '234']);
    expect(part.headers['content-range']).toBe('bytes 2-4/10');
    const head = await call(http.port, `HEAD ${signed(ID)}`);
    expect([head.status, head.headers['content-length']]).toEqual([200, '10']);
    const beyond = await call(http.port, `GET ${signed(ID)}`, { headers: { range: 'bytes=10-' } });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */10']);
  });

  test('streams a large copy and an empty one', async () => {
    const large = Buffer.from(seededRandom(5).bytes(3 * MIB + 17));
    volume.copies.set(ID, large);
    expect((await call(http.port, `GET ${signed(ID)}`)).body.equals(large)).toBe(true);
    volume.copies.set(ID, new Uint8Array(0));
    const empty = await call(http.port, `GET ${signed(ID)}`);
    expect([empty.status, empty.headers['content-length']]).toEqual([200, '0']);
  });

  test('to a copy that is away or bad is 503 STALE_REDIRECT, never 404', async () => {
    const stale = async (path: string) => {
      const answer = await call(http.port, `GET ${path}`);
      expect([answer.status, jsonOf(answer)['code']]).toEqual([503, 'STALE_REDIRECT']);
      expect(answer.headers['retry-after']).toBe('1');
    };
    await stale(signed(copyId('2'.repeat(32))));
    await stale(signed(ID, { disk: 4 }));
    for (const result of [{ kind: 'torn' }, { kind: 'corrupt', why: 'crc' }] as const) {
      volume.bad = { from: 0, result };
      await stale(signed(ID));
    }
  });

  test('to a copy that turns out bad on the way breaks the connection', async () => {
    volume.copies.set(ID, new Uint8Array(3 * MIB));
    volume.bad = { from: MIB, result: { kind: 'corrupt', why: 'crc' } };
    await expect(call(http.port, `GET ${signed(ID)}`)).rejects.toThrow(
      /aborted|hang up|ECONNRESET/,
    );
  });
});

describe('without a valid signature it is 403 FORBIDDEN_TOKEN', () => {
  const good = () => signed(ID);
  test.each([
    ['no token', () => `/blob/${ID}`],
    ['another key', () => signed(ID, { key: 'cd'.repeat(32) })],
    ['expired', () => signed(ID, { lifeMs: -1 })],
    ['another copy', () => good().replace(ID, '2'.repeat(32))],
    ['another disk', () => good().replace('disk=3', 'disk=4')],
    ['a later expiry', () => good().replace(/expires=\d+/, `expires=${Date.now() + 99_999}`)],
    ['a short token', () => good().slice(0, -2)],
    ['no hex', () => good().replace(/token=../, 'token=zz')],
    ['a key in place of a copy', () => '/blob/some-key?disk=3&expires=1&token=00'],
    ['a key as path', () => '/some-key'],
    ['a key below /kv', () => '/kv/some-key'],
    ['dots', () => '/blob/../../etc/passwd'],
  ])('%s', async (_name, path) => {
    const answer = await call(http.port, `GET ${path()}`);
    expect([answer.status, jsonOf(answer)['code']]).toEqual([403, 'FORBIDDEN_TOKEN']);
  });

  test('also while the volume has not been told the key', async () => {
    volume.key = null;
    expect((await call(http.port, `GET ${good()}`)).status).toBe(403);
  });
});

describe('probes and status', () => {
  test('have their shapes', async () => {
    const body = async (path: string) => jsonOf(await call(http.port, `GET ${path}`));
    liveSchema.parse(await body('/health/live'));
    expect(volumeHealthSchema.parse(await body('/health'))).toMatchObject({
      status: 'healthy',
      volume_id: 'vol-1',
      total_keys: 1,
      total_bytes: 10,
    });
    expect(volumeReadySchema.parse(await body('/health/ready'))).toEqual({
      ready: true,
      reason: null,
    });
    volumeStatusSchema.parse(await body('/admin/status'));
  });

  test('while recovering it lives and is not ready', async () => {
    volume.isReady = false;
    expect((await call(http.port, 'GET /health/live')).status).toBe(200);
    const ready = await call(http.port, 'GET /health/ready');
    expect([ready.status, jsonOf(ready)['reason']]).toEqual([503, 'recovering']);
  });

  test('another cluster is refused', async () => {
    const headers = { 'x-minikv-cluster-id': 'd'.repeat(32) };
    expect((await call(http.port, 'GET /admin/status', { headers })).status).toBe(409);
  });

  test.each(VOLUME_ROUTES.filter(({ access }) => access === 'observe').map(({ path }) => path))(
    '%s is answered on both ports',
    async (path) => {
      for (const port of [http.port, http.adminPort ?? 0]) {
        expect((await call(port, `GET ${path}`)).status).toBe(200);
      }
    },
  );

  test('the admin port hands out no bytes', async () => {
    expect((await call(http.adminPort ?? 0, `GET ${signed(ID)}`)).status).toBe(404);
  });
});

describe('bad input', () => {
  test.each([
    ['garbage', '\0\0\r\n\r\n', 400],
    ['no Host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    [
      'a long target',
      `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
      414,
    ],
    ['long headers', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['a body', 'GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab', 400],
    [
      'Expect',
      'PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
      417,
    ],
    ['HTTP/2.0', 'GET /health HTTP/2.0\r\nHost: h\r\nConnection: close\r\n\r\n', 505],
  ])('%s', async (_name, bytes, status) => {
    expect(statusOf(await rawCall(http.port, bytes))).toBe(status);
  });

  test.each(['PUT', 'POST', 'DELETE', 'PATCH'])('%s is 405', async (method) => {
    const answer = await call(http.port, `${method} /health`);
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD']);
    errorBodySchema.parse(jsonOf(answer));
  });
});
