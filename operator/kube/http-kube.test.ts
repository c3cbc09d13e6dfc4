/** Paths, queries, deadlines and failures on the wire, against a server on loopback that answers by hand. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../services/common/clock.ts';
import { createMetrics, type Metrics } from '../../services/telemetry/metrics.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { HttpKube } from './http-kube.ts';
import { HttpTransport } from './http-transport.ts';
import { KINDS } from './kinds.ts';
import type { KubeError } from './kube-error.ts';
import { requestMetrics } from './metrics.ts';
import type { WatchEvent } from './types.ts';

const signal = new AbortController().signal;
const POD = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'n' } };

let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let seen: string[];
let sockets: Set<unknown>;
let transport: HttpTransport;
let kube: HttpKube;
let metrics: Metrics;
let token: string;

const open = (clock = systemClock): void => {
  const { port } = server.address() as AddressInfo;
  transport = new HttpTransport({
    access: {
      serverUrl: new URL(`http://127.0.0.1:${port}/base/`),
      authorize: async () => ({ headers: { authorization: token }, tls: {} }),
    },
    clock,
    metrics: requestMetrics(metrics),
    userAgent: 'test',
  });
  kube = new HttpKube(transport);
};

beforeEach(async () => {
  seen = [];
  sockets = new Set();
  token = 'Bearer one';
  metrics = createMetrics();
  answer = (_request, response) => response.end(JSON.stringify(POD));
  server = createServer((request, response) => {
    sockets.add(request.socket);
    let body = '';
    request.on('data', (piece: Buffer) => {
      body += piece.toString();
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url}`);
      answer(request, response, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open();
});

afterEach(async () => {
  await transport.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const failure = async (call: Promise<unknown>): Promise<KubeError> => {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  return error as KubeError;
};
const status = (response: ServerResponse, code: number, body: object): void => {
  response.statusCode = code;
  response.end(JSON.stringify({ kind: 'Status', code, ...body }));
};
const counted = async (): Promise<string[]> =>
  (await metrics.print()).split('\n').filter((line) => line.startsWith('minikv_operator_kube_'));

describe('requests', () => {
  test('each call has the path, the query and the body that the API server wants', async () => {
    const bodies: string[] = [];
    answer = (request, response, body) => {
      bodies.push(`${request.headers['content-type']} ${body}`);
      response.end(JSON.stringify({ ...POD, items: [POD], metadata: { ...POD.metadata } }));
    };
    const key = { namespace: 'n', name: 'a' };
    await kube.get(KINDS.node, { name: 'x/y' }, { signal });
    await kube.list(KINDS.pod, { labelSelector: 'a=b', limit: 5, continueFrom: 'c', signal });
    await kube.apply(KINDS.pod, POD, { manager: 'm', force: true, subresource: 'status', signal });
    await kube.create(KINDS.pod, POD, { signal });
    await kube.replace(KINDS.pod, POD, { signal });
    await kube.delete(KINDS.statefulSet, key, { uid: 'u', propagation: 'Orphan', signal });
    await kube.evict(key, { uid: 'u', resourceVersion: '7', signal });
    expect(seen).toEqual([
      'GET /base/api/v1/nodes/x%2Fy',
      'GET /base/api/v1/pods?labelSelector=a%3Db&limit=5&continue=c',
      'PATCH /base/api/v1/namespaces/n/pods/a/status?fieldManager=m&force=true&fieldValidation=Strict',
      'POST /base/api/v1/namespaces/n/pods?fieldManager=minikv-operator',
      'PUT /base/api/v1/namespaces/n/pods/a?fieldManager=minikv-operator',
      'DELETE /base/apis/apps/v1/namespaces/n/statefulsets/a',
      'POST /base/api/v1/namespaces/n/pods/a/eviction',
    ]);
    expect(bodies[2]).toBe(`application/apply-patch+yaml ${JSON.stringify(POD)}`);
    expect(bodies[5]).toBe(
      'application/json {"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u"},"propagationPolicy":"Orphan"}',
    );
    expect(bodies[6]).toContain('"preconditions":{"uid":"u","resourceVersion":"7"}');
  });

  test('three hundred requests one after the other share connections, and a new token is sent', async () => {
    const tokens = new Set<string | undefined>();
    answer = (request, response) => {
      tokens.add(request.headers.authorization);
      response.end(JSON.stringify(POD));
    };
    for (let i = 0; i < 300; i += 1) {
      if (i === 150) token = 'Bearer two';
      await kube.get(KINDS.pod, { namespace: 'n', name: 'a' }, { signal });
    }
    expect(sockets.size).toBeLessThanOrEqual(2);
    expect([...tokens]).toEqual(['Bearer one', 'Bearer two']);
  });

  test('items of a list get the kind of the list', async () => {
    answer = (_request, response) =>
      response.end(
        JSON.stringify({
          metadata: { resourceVersion: '9', continue: 'more' },
          items: [{ metadata: { name: 'a' } }],
        }),
      );
    expect(await kube.list(KINDS.pod, { signal })).toEqual({
      items: [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }],
      resourceVersion: '9',
      next: 'more',
    });
  });

  test('a kind is served when discovery lists it', async () => {
    answer = (request, response) =>
      request.url === '/base/apis/apps/v1'
        ? response.end(JSON.stringify({ resources: [{ name: 'statefulsets' }] }))
        : response.writeHead(404).end('404 page not found');
    expect(await kube.serves(KINDS.statefulSet, { signal })).toBe(true);
    expect(await kube.serves(KINDS.podMonitor, { signal })).toBe(false);
  });
});

describe('failures', () => {
  test('a Status says why, with causes and the time to wait', async () => {
    answer = (_request, response) => {
      response.setHeader('retry-after', '3');
      status(response, 403, {
        reason: 'Forbidden',
        message: 'no',
        details: { causes: [{ reason: 'NamespaceTerminating', message: 'going', field: 'x' }] },
      });
    };
    const error = await failure(kube.create(KINDS.pod, POD, { signal }));
    expect(error).toMatchObject({ code: 403, reason: 'Forbidden', message: 'no' });
    expect(error.retryAfterMs).toBe(3000);
    expect(error.isNamespaceTerminating).toBe(true);
    expect(error.isUnknown).toBe(false);
    expect(await counted()).toContain(
      'minikv_operator_kube_requests_total{verb="create",resource="pods",code="403"} 1',
    );
  });

  test.each([
    [409, 'AlreadyExists', ['isAlreadyExists']],
    [409, 'Conflict', ['isConflict']],
    [410, 'Expired', ['isGone']],
    [422, 'Invalid', ['isInvalid']],
    [429, 'TooManyRequests', ['isTooManyRequests']],
    [404, 'NotFound', ['isNotFound']],
    [500, 'InternalError', ['isUnknown']],
  ])('%s %s is told apart from the others', async (code, reason, is) => {
    answer = (_request, response) => status(response, code, { reason });
    const error = await failure(kube.replace(KINDS.pod, POD, { signal }));
    const names = [
      'isAlreadyExists',
      'isConflict',
      'isGone',
      'isInvalid',
      'isTooManyRequests',
      'isNotFound',
      'isUnknown',
    ] as const;
    expect(names.filter((name) => error[name])).toEqual(is);
  });

  test('an absent object is null, and a garbled answer is no object', async () => {
    answer = (_request, response) => status(response, 404, { reason: 'NotFound' });
    expect(await kube.get(KINDS.pod, { namespace: 'n', name: 'a' }, { signal })).toBeNull();
    answer = (_request, response) => response.end('{"kind":"Pod"}');
    const error = await failure(kube.get(KINDS.pod, { namespace: 'n', name: 'a' }, { signal }));
    expect(error).toMatchObject({ code: 0, reason: 'Malformed' });
  });

  test('an eviction has its own time, whatever less its caller gives a call', async () => {
    const clock = new ManualClock();
    await transport.close();
    metrics = createMetrics();
    open(clock);
    const arrived = new Promise<void>((resolve) => {
      answer = () => resolve();
    });
    let isOver = false;
    const call = kube.evict({ namespace: 'n', name: 'a' }, { signal, deadlineMs: 10_000 });
    const ended = failure(call).then((error) => {
      isOver = true;
      return error;
    });
    await arrived;
    await clock.advance(19_999);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect((await ended).isUnknown).toBe(true);
  });

  test('a server that never answers is left at the deadline, and nobody knows the outcome', async () => {
    const clock = new ManualClock();
    await transport.close();
    metrics = createMetrics();
    open(clock);
    const asked = new Promise<void>((resolve) => {
      answer = () => resolve();
    });
    const call = failure(kube.create(KINDS.pod, POD, { signal, deadlineMs: 700 }));
    await asked;
    await clock.advance(699);
    await clock.advance(1);
    const error = await call;
    expect(error).toMatchObject({ code: 0, reason: 'DeadlineExceeded', isUnknown: true });
    expect(await counted()).toContain(
      'minikv_operator_kube_requests_total{verb="create",resource="pods",code="none"} 1',
    );
  });

  test('an aborted call says what it was aborted with', async () => {
    const stop = new AbortController();
    answer = () => stop.abort(new Error('lease lost'));
    const error = await failure(kube.create(KINDS.pod, POD, { signal: stop.signal }));
    expect(error.message).toBe('lease lost');
  });

  test('only requests that may change something count as writes, and the Lease does not', async () => {
    await kube.get(KINDS.pod, { namespace: 'n', name: 'a' }, { signal });
    await kube.replace(KINDS.lease, POD, { signal });
    expect(await counted()).toContain('minikv_operator_kube_writes_total 0');
    await kube.apply(KINDS.pod, POD, { manager: 'm', signal });
    expect(await counted()).toContain('minikv_operator_kube_writes_total 1');
  });
});

describe('watch', () => {
  const line = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;
  async function watched(): Promise<WatchEvent[]> {
    const events: WatchEvent[] = [];
    const options = { resourceVersion: '5', timeoutSeconds: 300, signal };
    for await (const event of kube.watch(KINDS.pod, options)) events.push(event);
    return events;
  }
  const sends = (...pieces: string[]): void => {
    answer = (_request, response) => {
      for (const piece of pieces) response.write(piece);
      response.end();
    };
  };

  test('lines become events, wherever the bytes are cut', async () => {
    const text =
      line('ADDED', { metadata: { name: 'ä' } }) +
      line('BOOKMARK', { metadata: { resourceVersion: '8' } }) +
      line('DELETED', { metadata: { name: 'ä' } });
    answer = (_request, response) => {
      const bytes = Buffer.from(text);
      for (let i = 0; i < bytes.length; i += 7) response.write(bytes.subarray(i, i + 7));
      response.end();
    };
    const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ä' } };
    expect(await watched()).toEqual([
      { kind: 'added', object },
      { kind: 'bookmark', resourceVersion: '8' },
      { kind: 'deleted', object },
    ]);
    expect(seen).toEqual([
      'GET /base/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300',
    ]);
  });

  test.each([
    ['a cut line', '{"type":"ADDED","obj'],
    ['a line that is not JSON', '{"type":\n'],
    ['an unknown type', line('RENAMED', { metadata: { name: 'a' } })],
    ['a bookmark of nothing', line('BOOKMARK', { metadata: {} })],
  ])('%s is an error, not an end', async (_what, text) => {
    sends(line('ADDED', { metadata: { name: 'a' } }), text);
    expect(await failure(watched())).toMatchObject({ code: 0, reason: 'TornLine' });
  });

  test('an error event carries its code', async () => {
    sends(line('ERROR', { code: 410, reason: 'Expired', message: 'too old' }));
    expect((await failure(watched())).isGone).toBe(true);
  });

  test('a connection that breaks within the stream is an error', async () => {
    answer = (_request, response) => {
      response.write(line('ADDED', { metadata: { name: 'a' } }));
      setTimeout(() => response.destroy(), 5);
    };
    expect(await failure(watched())).toMatchObject({ code: 0, reason: 'NoAnswer' });
  });

  test('a watch that is refused says why', async () => {
    answer = (_request, response) => status(response, 410, { reason: 'Expired' });
    expect((await failure(watched())).isGone).toBe(true);
  });
});
