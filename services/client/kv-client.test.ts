/** The client against a server over real HTTP: bytes, keys, fail-over and damaged answers. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { FakeKvServer, refuse } from '../testing/kv-server.ts';
import { failureOf } from './http.ts';
import { KvClient } from './kv-client.ts';

let server: FakeKvServer;
let client: KvClient;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

beforeEach(async () => {
  server = await FakeKvServer.start();
  client = new KvClient([server.url], { deadlineMs: 2000, silenceMs: 5000 });
});
afterEach(async () => {
  await client.close();
  await server.stop();
});

describe('keys and values', () => {
  test('put, get, head, delete', async () => {
    const bytes = Buffer.from('hello');
    const first = await client.put('a/b', bytes, { digest: digestOf(bytes) });
    expect(first).toMatchObject({ created: true, replicas: '3/3', raftIndex: 1 });
    expect((await client.put('a/b', bytes)).created).toBe(false);
    expect(text(await client.getBytes('a/b'))).toBe('hello');
    expect(await client.head('a/b')).toMatchObject({ sizeBytes: 5, digest: digestOf(bytes) });
    await client.delete('a/b');
    await expect(client.getBytes('a/b')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
    await expect(client.head('a/b')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
    await expect(client.delete('a/b')).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
  });

  test.each(['..', '../x', '/x//y/', 'a b%2f?#&+', 'käse/名', '\\x', 'health'])(
    'the key %j arrives as it is',
    async (key) => {
      await client.put(key, Buffer.from('v'));
      expect([...server.values.keys()]).toEqual([key]);
      expect(text(await client.getBytes(key))).toBe('v');
    },
  );

  test('content type and meta are kept with a value', async () => {
    await client.put('k', Buffer.from('v'), { contentType: 'text/x', meta: { mode: '755' } });
    const found = await client.head('k');
    expect([found.contentType, found.meta('mode'), found.meta('none')]).toEqual([
      'text/x',
      '755',
      '',
    ]);
  });

  test('a stream of known size is sent as it comes and opened again for a retry', async () => {
    let opened = 0;
    let refusals = 1;
    server.fault = (request, response) => {
      if (refusals === 0) return false;
      refusals -= 1;
      request.resume().on('end', () => refuse(response, new KvError('NO_LEADER', 'none')));
      return true;
    };
    async function* pieces(): AsyncGenerator<Uint8Array> {
      opened += 1;
      for (let i = 0; i < 10; i += 1) yield Buffer.alloc(1000, i);
    }
    await client.put('big', { sizeBytes: 10_000, open: pieces });
    expect(opened).toBe(2);
    expect(server.values.get('big')?.bytes.length).toBe(10_000);
  });

  test('a key that is none is refused before anything is sent', async () => {
    await expect(client.put('', Buffer.alloc(0))).rejects.toMatchObject({ code: 'INVALID_KEY' });
    await expect(client.put('x'.repeat(1025), Buffer.alloc(0))).rejects.toThrow('1024');
    expect(server.seen).toEqual([]);
  });

  test('listing follows the cursor from page to page', async () => {
    for (let i = 0; i < 25; i += 1) server.store(`k/${String(i).padStart(2, '0')}`, Buffer.of(i));
    server.store('other', Buffer.of(0));
    server.pageSize = 10;
    const keys: string[] = [];
    for await (const entry of client.list('k/')) keys.push(entry.key);
    expect(keys).toHaveLength(25);
    expect(keys.at(-1)).toBe('k/24');
    expect(server.seen).toHaveLength(3);
  });
});

describe('when something breaks', () => {
  test('a coordinator that is not there is passed over', async () => {
    const gone = await FakeKvServer.start();
    const url = gone.url;
    await gone.stop();
    const both = new KvClient([url, server.url], { deadlineMs: 2000 });
    await both.put('k', Buffer.from('v'));
    expect(text(await both.getBytes('k'))).toBe('v');
    await both.close();
    const none = new KvClient([url], { deadlineMs: 50 });
    await expect(none.getBytes('k')).rejects.toThrow(`cannot connect to ${url.origin}`);
    await none.close();
  });

  test('a write whose answer got lost is repeated under the same Idempotency-Key', async () => {
    let losses = 1;
    server.fault = (request) => {
      if (losses === 0) return false;
      losses -= 1;
      request.resume().on('end', () => request.socket.destroy());
      return true;
    };
    await client.put('k', Buffer.from('v'));
    const keys = server.seen.map(({ idempotencyKey }) => idempotencyKey);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
    await client.put('k', Buffer.from('v'));
    expect(server.seen.at(-1)?.idempotencyKey).not.toBe(keys[0]);
  });

  const wrong = (bytes: string) => (promised: string) => {
    let left = 1;
    server.fault = (_request, response) => {
      if (left === 0) return false;
      left -= 1;
      const headers = { 'content-length': 5, 'x-content-blake3': digestOf(Buffer.from(promised)) };
      response.writeHead(200, headers);
      response.write(bytes);
      setImmediate(() => (bytes.length < 5 ? response.destroy() : response.end()));
      return true;
    };
  };

  test('a value that arrives damaged, or breaks off, is asked for again', async () => {
    server.store('k', Buffer.from('hello'));
    wrong('hellO')('hello');
    expect(text(await client.getBytes('k'))).toBe('hello');
    wrong('hel')('hello');
    expect(text(await client.getBytes('k'))).toBe('hello');
  });

  test('a damaged stream ends in an error, never cleanly', async () => {
    wrong('hellO')('hello');
    const { body } = await client.get('k');
    const reading = async (): Promise<void> => {
      for await (const _piece of body);
    };
    await expect(reading()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });
});

describe('failureOf', () => {
  const header = (name: string): string => (name === 'retry-after' ? '2' : '');
  test('takes code, outcome and words from our error body', () => {
    const body = { code: 'NO_LEADER', message: 'm', outcome: 'unknown', requestId: 'r' };
    const failure = failureOf(503, JSON.stringify(body), header);
    expect(failure).toMatchObject({ outcome: 'unknown', retryable: true, retryAfterMs: 2000 });
    expect(failure.error).toMatchObject({ code: 'NO_LEADER', message: 'm' });
  });

  test.each([
    [404, 'KEY_NOT_FOUND', false],
    [418, 'INVALID_ARGUMENT', false],
    [500, 'INTERNAL', false],
    [502, 'DEADLINE_EXCEEDED', true],
    [503, 'NOT_READY', true],
    [507, 'NO_SPACE', false],
  ])('judges a bare %d by its status', (status, code, retryable) => {
    const failure = failureOf(status, '<html>', header);
    expect(failure.error.code).toBe(code);
    expect(failure.retryable).toBe(retryable);
  });
});
