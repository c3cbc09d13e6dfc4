/**
 * Every row of the table "Bad input" in docs/http.md, over bare sockets where no client would send it.
 * After each test the server still answers a plain request and holds no connection.
 */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { KvError } from '../../common/errors.ts';
import { MIB } from '../../common/units.ts';
import { type HttpFixture, openHttp } from '../../testing/http-fixture.ts';
import { call, jsonOf, RawSocket, rawCall, statusOf } from '../../testing/raw-http.ts';

const MAX_OBJECT = 100_000;
let http: HttpFixture;

beforeAll(async () => {
  http = await openHttp({
    maxObjectBytes: MAX_OBJECT,
    limits: {
      headersTimeoutMs: 300,
      bodyTimeoutMs: 200,
      bodyProgressBytes: 1000,
      checkIntervalMs: 50,
      connectionsPerAddressMax: 20,
    },
  });
});

afterEach(async () => {
  http.gateway.failure = null;
  http.gateway.refusal = null;
  expect((await call(http.port, 'GET /health')).status).toBe(200);
});

afterAll(() => http.server.close(0));

const GET = 'GET /kv/x HTTP/1.1\r\nHost: h\r\n';
const PUT = 'PUT /kv/x HTTP/1.1\r\nHost: h\r\n';
const CHUNKED = `${PUT}Transfer-Encoding: chunked\r\n`;

describe('what is not HTTP/1.1 gets 400 and a closed connection', () => {
  test.each([
    ['garbage bytes', '\x00\x01\x02\x03\r\n\r\n'],
    ['line feeds only', 'GET /kv/x HTTP/1.1\nHost: h\n\n'],
    ['a folded header', `${GET}X-A: 1\r\n folded\r\n\r\n`],
    ['a space before the colon', `${GET}X-A : 1\r\n\r\n`],
    ['NUL in a header', `${GET}X-A: a\0b\r\n\r\n`],
    ['NUL in the URL', 'GET /kv/a\0b HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['a bad chunk', `${CHUNKED}\r\nzz\r\nhello\r\n`],
    ['length and chunks', `${CHUNKED}Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
    ['two lengths', `${PUT}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
    ['a negative length', `${PUT}Content-Length: -1\r\n\r\n`],
    ['a length beyond 2^64', `${PUT}Content-Length: 99999999999999999999999\r\n\r\n`],
    ['another transfer coding', `${PUT}Transfer-Encoding: gzip\r\n\r\nhello`],
    ['no Host', 'GET /kv/x HTTP/1.1\r\n\r\n'],
    ['an unknown method', 'FROB /kv/x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['an absolute target', 'GET http://evil/kv/x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['no version', 'GET /\r\n\r\n'],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['Upgrade', `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`],
  ])('%s', async (_name, bytes) => {
    const raw = new RawSocket(http.port);
    raw.send(bytes);
    const received = await raw.until(/\r\n\r\n/);
    raw.socket.end();
    await raw.closed();
    expect(statusOf(received)).toBe(400);
    expect(http.gateway.values.has('x')).toBe(false);
  });

  test.each([
    ['HTTP/2.0', 'GET /kv/x HTTP/2.0\r\nHost: h\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('%s gets 505 or 400', async (_name, bytes) => {
    const raw = new RawSocket(http.port);
    raw.send(bytes);
    const received = await raw.until(/\r\n\r\n/);
    raw.socket.destroy();
    expect([400, 505]).toContain(statusOf(received));
  });

  describe('while an earlier PUT of the connection has no answer yet', () => {
    let release: () => void = () => undefined;
    let raw: RawSocket;
    beforeEach(async () => {
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const begun = http.gateway.bodiesBegun;
      http.gateway.readBody = async (body) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of body) pieces.push(piece);
        await held;
        return Buffer.concat(pieces);
      };
      raw = new RawSocket(http.port);
      raw.send(`${PUT}Content-Length: 5\r\n\r\nfirst`);
      while (http.gateway.bodiesBegun === begun) await new Promise(setImmediate);
      http.gateway.readBody = null;
    });
    afterEach(async () => {
      release();
      while (!http.gateway.values.delete('x')) await new Promise(setImmediate);
    });

    test('later requests wait, and take effect in their order', async () => {
      raw.send(`${PUT}Content-Length: 6\r\n\r\nsecond${GET}\r\n${GET}Connection: close\r\n\r\n`);
      // Another connection is served meanwhile.
      expect((await call(http.port, 'GET /kv/x')).status).toBe(404);
      release();
      const received = await raw.closed();
      expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual([
        'HTTP/1.1 201',
        ...Array.from({ length: 3 }, () => 'HTTP/1.1 200'),
      ]);
      expect(received.match(/second/g)).toHaveLength(2);
    });

    test.each([
      ['a chunk that is none', `${CHUNKED}\r\nzz\r\n`],
      ['a CONNECT', 'CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n'],
    ])('%s gets no answer that could be taken for that of the PUT', async (_name, bytes) => {
      raw.send(bytes);
      expect(await raw.closed()).toBe('');
    });
  });

  test('a 400 of the parser is never written into the answer of an earlier request', async () => {
    http.gateway.store('slow', Buffer.alloc(10));
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    http.gateway.openBody = async function* () {
      yield Buffer.alloc(5);
      await held;
      yield Buffer.alloc(5);
    };
    const raw = new RawSocket(http.port);
    raw.send('GET /kv/slow HTTP/1.1\r\nHost: h\r\n\r\n');
    await raw.until(/\0{5}/);
    raw.send('garbage\r\n\r\n');
    const received = await raw.closed();
    release();
    http.gateway.openBody = null;
    expect(received).not.toContain('400');
    expect(received.endsWith('\0'.repeat(5))).toBe(true);
  });
});

describe('limits of the head', () => {
  test('headers above 16 KiB get 431', async () => {
    expect(statusOf(await rawCall(http.port, `${GET}X-A: ${'a'.repeat(20_000)}\r\n\r\n`))).toBe(
      431,
    );
  });

  test.each([9_000, 100_000])('a target of %i bytes gets 414', async (length) => {
    const raw = new RawSocket(http.port);
    raw.send(`GET /kv/${'a'.repeat(length)} HTTP/1.1\r\nHost: h\r\n\r\n`);
    expect(statusOf(await raw.until(/\r\n\r\n/))).toBe(414);
    raw.socket.destroy();
  });

  test('100 headers pass, 101 get 431', async () => {
    const many = (count: number): string => {
      const lines = Array.from({ length: count - 2 }, (_, i) => `X-${i}: 1\r\n`).join('');
      return `GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${lines}\r\n`;
    };
    expect(statusOf(await rawCall(http.port, many(100)))).toBe(200);
    expect(statusOf(await rawCall(http.port, many(101)))).toBe(431);
  });
});

describe('slow clients get 408 and lose their connection', () => {
  test.each([
    ['that say nothing', ''],
    ['that stop in the headers', 'GET /kv/x HTTP/1.1\r\nHos'],
    ['that stop in the body', `${PUT}Content-Length: 10\r\n\r\nhello`],
    ['that stop in a chunk', `${CHUNKED}\r\n5\r\nhel`],
  ])('%s', async (_name, bytes) => {
    const received = await rawCall(http.port, bytes);
    expect(statusOf(received)).toBe(408);
    expect(http.gateway.values.has('x')).toBe(false);
  });

  test('that send a byte now and then, below the minimum rate', async () => {
    const raw = new RawSocket(http.port);
    raw.send(`${PUT}Content-Length: 1000\r\n\r\n`);
    const drip = setInterval(() => raw.socket.writable && raw.send('x'), 20);
    const received = await raw.closed();
    clearInterval(drip);
    expect(statusOf(received)).toBe(408);
  });

  test('too many connections of one address get 429', async () => {
    const idle = Array.from({ length: 20 }, () => new RawSocket(http.port));
    await Promise.all(
      idle.map((raw) => new Promise((resolve) => raw.socket.once('connect', resolve))),
    );
    const received = await rawCall(http.port, '');
    expect(statusOf(received)).toBe(429);
    expect(received).toContain('Retry-After: 1');
    for (const raw of idle) raw.socket.destroy();
    await Promise.all(idle.map((raw) => raw.closed()));
  });
});

describe('keys', () => {
  test.each(['/kv/%zz', '/kv/%', '/kv/%ff', '/kv/%c0%af', '/kv/%00', '/kv/', '/'])(
    '%s gets 400 INVALID_KEY',
    async (path) => {
      const answer = await call(http.port, `PUT ${path}`, { body: 'v' });
      expect([answer.status, jsonOf(answer)['code']]).toEqual([400, 'INVALID_KEY']);
    },
  );

  test('1025 bytes get 400, 1024 pass', async () => {
    expect((await call(http.port, `PUT /kv/${'a'.repeat(1025)}`, { body: 'v' })).status).toBe(400);
    expect((await call(http.port, `PUT /kv/${'%41'.repeat(1024)}`, { body: 'v' })).status).toBe(
      201,
    );
  });

  test.each(['/a/../b', '%2e%2e%2f', '..', 'a%5Cb', '%5C', '/', '//evil/x', '%252e'])(
    '%s is an opaque key that comes back exactly',
    async (encoded) => {
      const put = await call(http.port, `PUT /kv/${encoded}`, { body: encoded });
      expect(put.status).toBe(201);
      expect(http.gateway.values.has(decodeURIComponent(encoded))).toBe(true);
      const got = await call(http.port, `GET /kv/${encoded}`);
      expect(got.body.toString()).toBe(encoded);
    },
  );

  test.each([
    'health',
    'metrics',
    'admin/x',
    'kv',
    'batch',
    's3/b',
    'm%65trics/x',
    'internal/x',
    'range',
  ])('the alias refuses PUT /%s, which /kv/ takes', async (key) => {
    const answer = await call(http.port, `PUT /${key}`, { body: 'v' });
    const body = jsonOf(answer);
    if (key === 's3/b') expect(answer.status).toBe(501);
    else expect([answer.status, body['code']]).toEqual([400, 'RESERVED_KEY']);
    if (key !== 's3/b') expect(body['message']).toContain(`/kv/${key}`);
    expect((await call(http.port, `PUT /kv/${key}`, { body: 'v' })).status).toBe(201);
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString'])(
    '%s is a key like any other',
    async (key) => {
      expect((await call(http.port, `GET /${key}`)).status).toBe(404);
      expect((await call(http.port, `PUT /${key}`, { body: 'v' })).status).toBe(201);
      expect((await call(http.port, `GET /kv/${key}`)).body.toString()).toBe('v');
    },
  );
});

describe('methods', () => {
  test.each(['TRACE', 'PATCH', 'OPTIONS', 'PROPFIND'])('%s gets 405 and Allow', async (method) => {
    for (const path of ['/kv/x', '/x', '/health', '/kv']) {
      const answer = await call(http.port, `${method} ${path}`);
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toContain('GET');
    }
  });

  test('CONNECT gets 405', async () => {
    const received = await rawCall(http.port, 'CONNECT evil:80 HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(statusOf(received)).toBe(405);
    expect(received).toContain('Allow: ');
  });

  test('a read or a DELETE with a body gets 400', async () => {
    for (const method of ['GET', 'DELETE']) {
      expect((await call(http.port, `${method} /kv/x`, { body: 'b' })).status).toBe(400);
    }
  });
});

describe('Expect', () => {
  const expecting = `${PUT}Expect: 100-continue\r\n`;

  test('100 is sent once all checks have passed', async () => {
    const raw = new RawSocket(http.port);
    raw.send(`${expecting}Content-Length: 5\r\n\r\n`);
    await raw.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    raw.send('hello');
    await raw.until(/HTTP\/1\.1 201 Created/);
    raw.socket.destroy();
    expect(http.gateway.values.delete('x')).toBe(true);
  });

  test.each(['', 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n'])(
    'of a PUT without a body is met at once (%j)',
    async (more) => {
      const received = await rawCall(http.port, `${expecting}${more}Connection: close\r\n\r\n`);
      expect(received).toMatch(/HTTP\/1\.1 201 Created/);
      expect(http.gateway.values.delete('x')).toBe(true);
    },
  );

  test('a promise about a body that is not there is kept', async () => {
    const promise = 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\nConnection: close\r\n';
    expect(statusOf(await rawCall(http.port, `${PUT}${promise}\r\n`))).toBe(201);
    expect(http.gateway.values.delete('x')).toBe(true);
  });

  test('too large gets 413, no space 507, no leader 503, without 100 and without a body', async () => {
    const begun = http.gateway.bodiesBegun;
    const large = `${expecting}Content-Length: ${MAX_OBJECT + 1}\r\n\r\n`;
    expect(statusOf(await rawCall(http.port, large))).toBe(413);
    for (const [code, status] of [
      ['NO_SPACE', 507],
      ['NO_LEADER', 503],
    ] as const) {
      http.gateway.refusal = new KvError(code, 'refused');
      const received = await rawCall(http.port, `${expecting}Content-Length: 5\r\n\r\n`);
      expect(statusOf(received)).toBe(status);
    }
    expect(http.gateway.bodiesBegun).toBe(begun);
  });

  test('another expectation gets 417', async () => {
    const answer = await call(http.port, 'PUT /kv/x', { body: 'v', headers: { expect: 'a-pony' } });
    expect(answer.status).toBe(417);
  });
});

describe('bodies', () => {
  test('a length above the maximum gets 413 before the body is read', async () => {
    const begun = http.gateway.bodiesBegun;
    const raw = new RawSocket(http.port);
    raw.send(`${PUT}Content-Length: ${MAX_OBJECT + 1}\r\n\r\n`);
    const received = await raw.until(/"TOO_LARGE"/);
    expect(statusOf(received)).toBe(413);
    expect(received).toContain('Connection: close');
    expect(http.gateway.bodiesBegun).toBe(begun);
    raw.socket.destroy();
  });

  test('a client that reads only after it has sent all of a refused body sees the answer', async () => {
    const patient = await openHttp({ maxObjectBytes: MAX_OBJECT, limits: { lingerMs: 10_000 } });
    const raw = new RawSocket(patient.port);
    raw.socket.pause();
    raw.send(`${PUT}Content-Length: ${8 * MIB}\r\n\r\n`);
    for (let sent = 0; sent < 8 * MIB; sent += MIB) {
      await new Promise((resolve) => raw.socket.write(Buffer.alloc(MIB), resolve));
    }
    raw.socket.resume();
    expect(statusOf(await raw.closed())).toBe(413);
    await patient.server.close(0);
  });

  test('chunks get 413 when they pass the maximum, and nothing is applied', async () => {
    const raw = new RawSocket(http.port);
    raw.send(`${CHUNKED}\r\n`);
    for (let sent = 0; sent <= MAX_OBJECT; sent += 10_000) {
      raw.send(`2710\r\n${'a'.repeat(10_000)}\r\n`);
    }
    expect(statusOf(await raw.until(/"TOO_LARGE"/))).toBe(413);
    raw.socket.destroy();
    expect(http.gateway.values.has('x')).toBe(false);
  });

  test('a client that goes away in the body changes nothing and aborts the signal', async () => {
    const raw = new RawSocket(http.port);
    const seen = http.gateway.contexts.length;
    raw.send(`${PUT}Content-Length: 10\r\n\r\nhello`);
    while (http.gateway.contexts.length === seen) await new Promise((r) => setTimeout(r, 5));
    const { signal } = http.gateway.contexts.at(-1)!;
    const aborted = new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    raw.socket.destroy();
    await aborted;
    expect(http.gateway.values.has('x')).toBe(false);
  });

  test('a client that ends its half in the body gets no success', async () => {
    const raw = new RawSocket(http.port);
    raw.send(`${PUT}Content-Length: 10\r\n\r\nhello`);
    raw.socket.end();
    expect([0, 400]).toContain(statusOf(await raw.closed()));
    expect(http.gateway.values.has('x')).toBe(false);
  });

  const hashes = {
    'content-md5': (text: string) => createHash('md5').update(text).digest('base64'),
    digest: (text: string) => `sha-256=${createHash('sha256').update(text).digest('base64')}`,
  };

  test.each(Object.entries(hashes))('%s is checked: 422 and not applied', async (name, hash) => {
    const put = (promised: string) =>
      call(http.port, 'PUT /kv/hashed', { body: 'hello', headers: { [name]: promised } });
    const wrong = await put(hash('other'));
    expect([wrong.status, jsonOf(wrong)['code']]).toEqual([422, 'CHECKSUM_MISMATCH']);
    expect(http.gateway.values.has('hashed')).toBe(false);
    expect((await put(hash('hello'))).status).toBe(201);
    http.gateway.values.delete('hashed');
  });

  test('X-Content-BLAKE3 is checked: 422 and not applied', async () => {
    const headers = { 'x-content-blake3': '0'.repeat(64) };
    const answer = await call(http.port, 'PUT /kv/hashed', { body: 'hello', headers });
    expect(answer.status).toBe(422);
    expect(http.gateway.values.has('hashed')).toBe(false);
  });

  test.each([
    ['content-md5', 'abc'],
    ['content-md5', '!!!!'],
    ['digest', 'sha-256=abc'],
    ['digest', 'nothing'],
    ['x-content-blake3', 'abc'],
  ])('a malformed %s (%s) gets 400', async (name, value) => {
    const answer = await call(http.port, 'PUT /kv/x', { body: 'v', headers: { [name]: value } });
    expect(answer.status).toBe(400);
  });

  test('an encoded body gets 415', async () => {
    const headers = { 'content-encoding': 'gzip' };
    expect((await call(http.port, 'PUT /kv/x', { body: 'v', headers })).status).toBe(415);
  });

  test('Content-Range on a write gets 400, X-Minikv-TTL 501', async () => {
    const put = (headers: Record<string, string>) =>
      call(http.port, 'PUT /kv/x', { body: 'v', headers });
    expect((await put({ 'content-range': 'bytes 0-0/1' })).status).toBe(400);
    const ttl = await put({ 'x-minikv-ttl': '60' });
    expect(ttl.status).toBe(501);
    expect(jsonOf(ttl)).toMatchObject({ error: 'not implemented', code: 'NOT_IMPLEMENTED' });
    expect(http.gateway.values.has('x')).toBe(false);
  });
});

describe('conditions', () => {
  test.each([
    ['empty', ['If-Match: ']],
    ['unquoted', ['If-Match: abc']],
    ['half quoted', ['If-None-Match: "abc']],
    ['a star in a list', ['If-Match: *, "a"']],
    ['twice', ['If-Match: "a"', 'If-Match: "b"']],
    ['contradictory', ['If-Match: "a"', 'If-None-Match: "b"']],
  ])('%s gets 400', async (_name, lines) => {
    for (const method of ['PUT', 'GET', 'DELETE']) {
      const head = `${method} /kv/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n`;
      expect(statusOf(await rawCall(http.port, `${head}${lines.join('\r\n')}\r\n\r\n`))).toBe(400);
    }
  });

  test('a false one gets 412', async () => {
    const put = await call(http.port, 'PUT /kv/c', {
      body: 'v',
      headers: { 'if-match': '"other"' },
    });
    expect([put.status, jsonOf(put)['code']]).toEqual([412, 'PRECONDITION_FAILED']);
  });
});

describe('queries', () => {
  test.each([
    '/kv?limit=-1',
    '/kv?limit=NaN',
    '/kv?limit=1e99',
    '/kv?limit=0',
    '/kv?limit=',
    '/kv?limit=1&limit=2',
    '/kv?cursor=abc',
    '/kv?cursor=AAAAAAAAAAAA',
    '/kv?unknown=1',
    '/kv?consistency=eventual',
    '/kv?prefix=%zz',
    '/kv/x?consistency=eventual',
    '/kv/x?redirect=maybe',
    '/kv/x?consistancy=stale',
    '/range?include_values=perhaps',
    '/txn/abc',
    '/txn/%zz',
  ])('%s gets 400', async (path) => {
    expect((await call(http.port, `GET ${path}`)).status).toBe(400);
  });

  test('X-Min-Raft-Index and Idempotency-Key must be well-formed', async () => {
    for (const value of ['-1', 'x', '1e3']) {
      const headers = { 'x-min-raft-index': value };
      expect((await call(http.port, 'GET /kv/x', { headers })).status).toBe(400);
    }
    for (const value of ['a b', 'k'.repeat(256)]) {
      const headers = { 'idempotency-key': value };
      expect((await call(http.port, 'PUT /kv/x', { body: 'v', headers })).status).toBe(400);
    }
  });
});

describe('JSON of admin calls and transactions', () => {
  const post = (body: string | Uint8Array, type = 'application/json') =>
    call(http.port, 'POST /transaction', { body, headers: { 'content-type': type } });
  const op = '{"op":"put","key":"k","value":"v"}';

  test.each([
    ['no JSON', '{'],
    ['a wrong type', '{"operations":"x"}'],
    ['an unknown field', `{"operations":[${op}],"more":1}`],
    ['equal names', '{"operations":[{"op":"delete","op":"delete","key":"k"}]}'],
    ['__proto__', '{"operations":[{"op":"delete","key":"k","__proto__":{"x":1}}]}'],
    ['depth 33', `{"operations":${'['.repeat(33)}${']'.repeat(33)}}`],
    ['a key twice', `{"operations":[${op},${op}]}`],
    ['no operation', '{"operations":[]}'],
    ['both values', '{"operations":[{"op":"put","key":"k","value":"v","valueBase64":"dg=="}]}'],
    ['a check of nothing', '{"operations":[{"op":"check","key":"k"}]}'],
    ['an empty key', '{"operations":[{"op":"delete","key":""}]}'],
    ['half a surrogate', '{"operations":[{"op":"delete","key":"\\ud800"}]}'],
  ])('%s gets 400', async (_name, body) => {
    expect((await post(body)).status).toBe(400);
    expect(http.gateway.values.has('k')).toBe(false);
  });

  test('bytes that are no UTF-8 get 400', async () => {
    expect((await post(Uint8Array.of(0x7b, 0xff, 0x7d))).status).toBe(400);
  });

  test('another type gets 415', async () => {
    expect((await post('{}', 'text/plain')).status).toBe(415);
    expect((await post('{}', 'application/jsonp')).status).toBe(415);
  });

  test('above the limit gets 413', async () => {
    const answer = await call(http.port, 'POST /admin/bootstrap', {
      body: ' '.repeat(1024 * 1024 + 1),
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(413);
  });
});

describe('what the cluster refuses', () => {
  test.each([
    ['NOT_LEADER', 503],
    ['NO_LEADER', 503],
    ['NO_QUORUM', 503],
    ['TOO_FEW_VOLUMES', 503],
    ['STOPPING', 503],
    ['OVERLOADED', 503],
    ['TOO_MANY_REQUESTS', 429],
  ] as const)('%s is %i with Retry-After and not_applied', async (code, status) => {
    http.gateway.failure = new KvError(code, 'not now');
    for (const line of ['PUT /kv/x', 'GET /kv/x', 'DELETE /kv/x', 'GET /kv', 'POST /x']) {
      const answer = await call(http.port, line);
      expect(answer.status).toBe(status);
      expect(answer.headers['retry-after']).toBe('1');
      expect(jsonOf(answer)).toMatchObject({ code, outcome: 'not_applied' });
    }
  });

  test('an unknown outcome is 504 with requestId and txnId', async () => {
    http.gateway.failure = new KvError('DEADLINE_EXCEEDED', 'nobody knows yet', {
      detail: { txnId: 'f'.repeat(32) },
    });
    const answer = await call(http.port, 'PUT /kv/x', { body: 'v' });
    expect(answer.status).toBe(504);
    expect(jsonOf(answer)).toMatchObject({ outcome: 'unknown', txnId: 'f'.repeat(32) });
    expect(answer.headers['x-minikv-txn']).toBe('f'.repeat(32));
    expect(jsonOf(answer)['requestId']).toBe(answer.headers['x-request-id']);
  });

  test('quota and space are 507', async () => {
    http.gateway.failure = new KvError('NO_SPACE', 'full');
    expect((await call(http.port, 'PUT /kv/x', { body: 'v' })).status).toBe(507);
  });

  test('an Idempotency-Key with another body is 422, with the same one the first outcome', async () => {
    const headers = { 'idempotency-key': 'once' };
    const put = (body: string) => call(http.port, 'PUT /kv/once', { body, headers });
    const [first, second] = [await put('a'), await put('a')];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.etag).toBe(first.headers.etag);
    expect((await put('b')).status).toBe(422);
  });
});

test('after all that no connection is left behind', async () => {
  const text = (await call(http.port, 'GET /metrics')).body.toString();
  expect(/^minikv_active_connections (\d+)$/m.exec(text)?.[1]).toBe('1');
});
