import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeKey } from '../../api/key-path.ts';
import { utf8 } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import { type HttpFixture, openHttp } from '../../testing/http-fixture.ts';
import { call, jsonOf, RawSocket } from '../../testing/raw-http.ts';

let http: HttpFixture;

beforeAll(async () => {
  http = await openHttp();
});

beforeEach(() => {
  http.gateway.values.clear();
  http.gateway.failure = null;
  http.gateway.openBody = null;
});

afterAll(() => http.server.close(0));

describe('the life of a key', () => {
  test('created, replaced, read, headed, deleted, gone', async () => {
    const created = await call(http.port, 'PUT /kv/a/b', {
      body: 'one',
      headers: { 'content-type': 'text/x', 'x-minikv-meta-owner': 'me' },
    });
    expect(created.status).toBe(201);
    expect(created.headers).toMatchObject({ 'x-replicas': '2/3', 'x-minikv-leader': 'coord-1' });
    expect(created.headers['x-minikv-txn']).toMatch(/^[0-9a-f]{32}$/);

    const got = await call(http.port, 'GET /a/b');
    expect([got.status, got.body.toString()]).toEqual([200, 'one']);
    expect(got.headers).toMatchObject({
      etag: created.headers.etag,
      'content-type': 'text/x',
      'x-minikv-meta-owner': 'me',
      'x-raft-index': created.headers['x-raft-index'],
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
    });
    const blake3 = got.headers['x-content-blake3'] as string;
    expect(got.headers['digest']).toBe(`blake3=${Buffer.from(blake3, 'hex').toString('base64')}`);

    expect((await call(http.port, 'POST /a/b', { body: 'four' })).status).toBe(200);
    const head = await call(http.port, 'HEAD /kv/a/b');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '4', 0]);
    expect(head.headers['content-type']).toBe('application/octet-stream');

    const deleted = await call(http.port, 'DELETE /kv/a/b');
    expect([deleted.status, deleted.body.length]).toEqual([204, 0]);
    expect((await call(http.port, 'GET /kv/a/b')).status).toBe(404);
    const again = await call(http.port, 'DELETE /kv/a/b');
    expect([again.status, jsonOf(again)['code']]).toEqual([404, 'KEY_NOT_FOUND']);
    expect((await call(http.port, 'HEAD /kv/a/b')).status).toBe(404);
  });

  test('an empty value, without a body at all', async () => {
    expect((await call(http.port, 'PUT /kv/empty')).status).toBe(201);
    const got = await call(http.port, 'GET /kv/empty');
    expect([got.status, got.headers['content-length']]).toEqual([200, '0']);
  });

  test('any key of valid UTF-8 comes back byte for byte', async () => {
    const text = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((key) => key.isWellFormed() && !key.includes('\0'));
    await fc.assert(
      fc.asyncProperty(text, async (key) => {
        const path = `/kv/${encodeKey(utf8(key))}`;
        expect((await call(http.port, `PUT ${path}`, { body: key })).status).toBeLessThan(202);
        expect(http.gateway.values.has(key)).toBe(true);
        expect((await call(http.port, `GET ${path}`)).body.toString()).toBe(key);
      }),
      { numRuns: 60 },
    );
  });

  test('a chunked body and one in many pieces are stored whole', async () => {
    const body = Buffer.alloc(300_000, 'abc');
    await call(http.port, 'PUT /kv/large', { body });
    expect((await call(http.port, 'GET /kv/large')).body.equals(body)).toBe(true);
  });

  test('bodies that come in one packet with their headers, several of them, keep to their requests', async () => {
    const put = (key: string, value: string): string =>
      `PUT /kv/${key} HTTP/1.1\r\nHost: x\r\nContent-Length: ${value.length}\r\n\r\n${value}`;
    const chunked = 'PUT /kv/p3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    const raw = new RawSocket(http.port);
    raw.send(`${put('p1', 'first')}${put('p2', '')}${chunked}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n`);
    await raw.until(/(HTTP\/1\.1 201[^]*){3}/);
    raw.send(put('p4', 'later'));
    await raw.until(/(HTTP\/1\.1 201[^]*){4}/);
    raw.socket.destroy();
    const stored = async (key: string): Promise<string> =>
      (await call(http.port, `GET /kv/${key}`)).body.toString();
    expect(await Promise.all(['p1', 'p2', 'p3', 'p4'].map(stored))).toEqual([
      'first',
      '',
      'onetwo',
      'later',
    ]);
  });

  test('kept headers above 2 KiB get 431', async () => {
    const headers = { 'x-minikv-meta-long': 'v'.repeat(2100) };
    expect((await call(http.port, 'PUT /kv/h', { body: 'v', headers })).status).toBe(431);
  });
});

describe('conditions', () => {
  test('create only, replace only, compare and set', async () => {
    const put = (headers: Record<string, string>) =>
      call(http.port, 'PUT /kv/c', { body: 'v', headers });
    expect((await put({ 'if-match': '*' })).status).toBe(412);
    const created = await put({ 'if-none-match': '*' });
    expect(created.status).toBe(201);
    expect((await put({ 'if-none-match': '*' })).status).toBe(412);
    const swapped = await put({ 'if-match': `"x", ${created.headers.etag ?? ''}` });
    expect(swapped.status).toBe(200);
    expect((await put({ 'if-match': created.headers.etag ?? '' })).status).toBe(412);
    const stale = { 'if-match': created.headers.etag ?? '' };
    expect((await call(http.port, 'DELETE /kv/c', { headers: stale })).status).toBe(412);
  });

  test('reads: 304 where the client has it, 412 where it wanted another', async () => {
    const etag = `"${http.gateway.store('r', utf8('v'))}"`;
    const get = (headers: Record<string, string>) => call(http.port, 'GET /kv/r', { headers });
    const same = await get({ 'if-none-match': `W/${etag}` });
    expect([same.status, same.headers.etag, same.body.length]).toEqual([304, etag, 0]);
    expect((await get({ 'if-none-match': '"other"' })).status).toBe(200);
    expect((await get({ 'if-match': '"other"' })).status).toBe(412);
    expect((await get({ 'if-match': etag })).status).toBe(200);
  });
});

describe('ranges', () => {
  const get = (headers: Record<string, string>, line = 'GET /kv/ten') =>
    call(http.port, line, { headers });

  beforeEach(() => {
    http.gateway.store('ten', utf8('0123456789'));
  });

  test.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=5-99', '56789', 'bytes 5-9/10'],
  ])('%s', async (range, text, contentRange) => {
    const answer = await get({ range });
    expect([answer.status, answer.body.toString()]).toEqual([206, text]);
    expect(answer.headers['content-range']).toBe(contentRange);
  });

  test('beyond the end and many ranges get 416 with the size; malformed ones the whole', async () => {
    for (const range of ['bytes=10-', 'bytes=0-1,4-5']) {
      const answer = await get({ range });
      expect([answer.status, answer.headers['content-range']]).toEqual([416, 'bytes */10']);
    }
    expect((await get({ range: 'bytes=4-2' })).status).toBe(200);
    expect((await get({ range: 'bytes=0-1' }, 'HEAD /kv/ten')).status).toBe(200);
  });

  test('If-Range sends the whole when the value is another', async () => {
    const etag = (await get({})).headers.etag ?? '';
    expect((await get({ range: 'bytes=0-1', 'if-range': etag })).status).toBe(206);
    expect((await get({ range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200);
  });

  test('a value replaced between look-up and opening is judged anew', async () => {
    const find = http.gateway.find.bind(http.gateway);
    http.gateway.find = async (key, context) => {
      const found = await find(key, context);
      http.gateway.store('ten', utf8('abc'));
      return found;
    };
    const answer = await get({ range: 'bytes=-2' });
    http.gateway.find = find;
    expect([answer.status, answer.body.toString()]).toEqual([206, 'bc']);
    expect(answer.headers['content-range']).toBe('bytes 1-2/3');
  });
});

describe('reads of a chosen age and place', () => {
  test('stale says how old at most, and the minimum index is passed on', async () => {
    http.gateway.store('s', utf8('v'));
    const headers = { 'x-min-raft-index': '7' };
    const answer = await call(http.port, 'GET /kv/s?consistency=stale', { headers });
    expect(answer.headers['x-minikv-age-ms']).toBe('12');
    expect(http.gateway.contexts.at(-1)).toMatchObject({ consistency: 'stale', minIndex: 7 });
  });

  test('redirect=1 answers 307 to the volume', async () => {
    const blob = http.gateway.store('r', utf8('v'));
    const answer = await call(http.port, 'GET /kv/r?redirect=1');
    expect(answer.status).toBe(307);
    expect(answer.headers.location).toContain(`/blob/${blob}?`);
    expect((await call(http.port, 'GET /kv/none?redirect=1')).status).toBe(404);
  });
});

describe('listings', () => {
  beforeEach(() => {
    for (const key of ['a/1', 'a/2', 'a/3', 'b', 'ä']) http.gateway.store(key, utf8(key));
  });

  test('pages follow one another by cursor, to the end and not beyond', async () => {
    const keys: string[] = [];
    let cursor = '';
    do {
      const path = `/kv?prefix=a%2F&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const page = jsonOf(await call(http.port, `GET ${path}`));
      const entries = page['entries'] as { key: string; etag: string; size: number }[];
      expect(entries[0]?.etag).toMatch(/^"[0-9a-f]{32}"$/);
      keys.push(...entries.map(({ key }) => key));
      cursor = (page['cursor'] as string | null) ?? '';
    } while (cursor !== '');
    expect(keys).toEqual(['a/1', 'a/2', 'a/3']);
  });

  test('a cursor of another listing gets 400', async () => {
    const { cursor } = jsonOf(await call(http.port, 'GET /kv?prefix=a&limit=1'));
    const answer = await call(http.port, `GET /kv?prefix=b&limit=1&cursor=${String(cursor)}`);
    expect(answer.status).toBe(400);
  });

  test('/kv ends before `end`, /range with it', async () => {
    const kv = jsonOf(await call(http.port, 'GET /kv?start=a/2&end=b'));
    expect((kv['entries'] as { key: string }[]).map(({ key }) => key)).toEqual(['a/2', 'a/3']);
    const range = jsonOf(await call(http.port, 'GET /range?start=a/2&end=b'));
    expect(range).toMatchObject({ keys: ['a/2', 'a/3', 'b'], cursor: null });
    expect(range['values']).toBeUndefined();
    const values = jsonOf(await call(http.port, 'GET /range?start=b&include_values=true'));
    expect((values['values'] as { key: string }[]).map(({ key }) => key)).toEqual(['b', 'ä']);
  });

  test('a limit above the cap is capped', async () => {
    expect((await call(http.port, 'GET /kv?limit=99999999')).status).toBe(200);
  });
});

describe('/batch', () => {
  const post = (ops: unknown, headers = {}) =>
    call(http.port, 'POST /batch', {
      body: JSON.stringify({ ops }),
      headers: { 'content-type': 'application/json', ...headers },
    });

  test('each op has its own answer, in order; one key in sequence', async () => {
    http.gateway.store('bytes', Uint8Array.of(0xff, 0));
    const answer = await post([
      { op: 'put', key: 'a', value: 'one' },
      { op: 'get', key: 'a' },
      { op: 'put', key: 'a', valueBase64: Buffer.from('two').toString('base64') },
      { op: 'get', key: 'a' },
      { op: 'get', key: 'bytes' },
      { op: 'get', key: 'none' },
      { op: 'delete', key: 'a' },
      { op: 'delete', key: 'a' },
      { op: 'put', key: '', value: 'x' },
      { op: 'put', key: 'novalue' },
    ]);
    expect(answer.status).toBe(200);
    const results = jsonOf(answer)['results'] as Record<string, unknown>[];
    expect(results.map(({ ok }) => ok)).toEqual([
      ...[true, true, true, true, true],
      ...[false, true, false, false, false],
    ]);
    expect(results[1]).toMatchObject({ key: 'a', value: 'one', error: null });
    expect(results[3]).toMatchObject({ value: 'two' });
    expect(results[4]).toMatchObject({ value: null, valueBase64: '/wA=' });
    expect(results[5]).toMatchObject({ code: 'KEY_NOT_FOUND', outcome: 'not_applied' });
    expect(results[8]).toMatchObject({ code: 'INVALID_KEY' });
  });

  test('one idempotency key makes the whole batch repeatable', async () => {
    const ops = [
      { op: 'put', key: 'i1', value: 'v' },
      { op: 'put', key: 'i2', value: 'v' },
    ];
    const headers = { 'idempotency-key': 'batch-1' };
    const [first, second] = [await post(ops, headers), await post(ops, headers)];
    expect(jsonOf(second)).toEqual(jsonOf(first));
  });

  test('a value too large for a batch is refused alone', async () => {
    http.gateway.store('large', new Uint8Array(1024 * 1024 + 1));
    const results = jsonOf(await post([{ op: 'get', key: 'large' }]))['results'];
    expect(results).toMatchObject([{ ok: false, code: 'TOO_LARGE' }]);
  });
});

describe('/transaction and /txn', () => {
  const post = (operations: unknown) =>
    call(http.port, 'POST /transaction', {
      body: JSON.stringify({ operations }),
      headers: { 'content-type': 'application/json; charset=utf-8' },
    });

  test('all ops or none', async () => {
    const etag = `"${http.gateway.store('old', utf8('v'))}"`;
    const ops = [
      { op: 'put', key: 'new', value: 'n', contentType: 'text/plain', meta: { Owner: 'me' } },
      { op: 'delete', key: 'old', ifMatch: etag },
      { op: 'check', key: 'guard', ifNoneMatch: '*' },
    ];
    const done = await post(ops);
    expect(done.status).toBe(200);
    expect(jsonOf(done)).toMatchObject({
      results: [
        { key: 'new', effect: 'created' },
        { key: 'old', effect: 'deleted' },
        { key: 'guard', effect: 'checked' },
      ],
    });
    const got = await call(http.port, 'GET /kv/new');
    expect(got.headers).toMatchObject({
      'content-type': 'text/plain',
      'x-minikv-meta-owner': 'me',
    });

    const refused = await post([{ op: 'put', key: 'other', value: 'o' }, ops[1]]);
    expect(refused.status).toBe(412);
    expect(jsonOf(refused)).toMatchObject({ code: 'PRECONDITION_FAILED', detail: { failedOp: 1 } });
    expect(http.gateway.values.has('other')).toBe(false);
  });

  test('headers that could not be sent again are refused', async () => {
    const put = (more: object) => post([{ op: 'put', key: 'h', value: 'v', ...more }]);
    expect((await put({ contentType: 'text/\r\nX-Evil: 1' })).status).toBe(400);
    expect((await put({ meta: { 'a b': 'v' } })).status).toBe(400);
    expect((await put({ meta: { a: '\u{1f600}' } })).status).toBe(400);
    // Two bytes each once they are stored.
    expect((await put({ meta: { a: 'é'.repeat(2000) } })).status).toBe(431);
    expect(http.gateway.values.has('h')).toBe(false);
  });

  test('GET /txn/ID tells the outcome', async () => {
    const id = 'a'.repeat(32);
    const ask = async () => jsonOf(await call(http.port, `GET /txn/${id}`));
    expect(await ask()).toEqual({ txnId: id, outcome: 'unknown' });
    http.gateway.answers.set(id, { kind: 'pending' });
    expect(await ask()).toMatchObject({ outcome: 'pending' });
    http.gateway.answers.set(id, { kind: 'not-applied' });
    expect(await ask()).toMatchObject({ outcome: 'not_applied' });
    const index = 5 as never;
    http.gateway.answers.set(id, {
      kind: 'decided',
      outcome: { kind: 'precondition-failed', index, failedOp: 2 },
    });
    expect(await ask()).toMatchObject({
      outcome: 'not_applied',
      decision: 'precondition-failed',
      failedOp: 2,
    });
  });
});

test('an error that is a bug tells the client nothing but its requestId', async () => {
  http.gateway.find = () => Promise.reject(new Error('secret detail'));
  const answer = await call(http.port, 'GET /kv/x');
  Reflect.deleteProperty(http.gateway, 'find');
  expect(answer.status).toBe(500);
  expect(answer.body.toString()).not.toContain('secret');
  expect(jsonOf(answer)).toMatchObject({ code: 'INTERNAL', outcome: 'unknown' });
});

test('unavailable is never 404', async () => {
  http.gateway.store('there', utf8('v'));
  http.gateway.open = () => Promise.reject(new KvError('REPLICAS_UNAVAILABLE', 'all away'));
  const answer = await call(http.port, 'GET /kv/there');
  Reflect.deleteProperty(http.gateway, 'open');
  expect(answer.status).toBe(503);
});
