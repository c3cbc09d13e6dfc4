/** The generator against a server that answers as it is told: what counts, and what is an error. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { Connection, type Traffic } from './connection.ts';
import { type Dialect, speechOf } from './dialect.ts';
import { FollowingConnection } from './following.ts';
import { randomBodies } from './values.ts';
import { Gets, Measured, Misses, Mix, Puts, type Work, type WorkloadOptions } from './workload.ts';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

type Reply = (seen: Seen, socket: Socket) => void;

let server: Server;
afterEach(() => new Promise<void>((settle) => server.close(() => settle())));

/** Parses requests with Content-Length and hands them to `reply`, one after the other. */
function listen(reply: Reply): Promise<number> {
  server = createServer((socket) => {
    let got = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (piece: Buffer) => {
      got = Buffer.concat([got, piece]);
      for (;;) {
        const end = got.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = got.toString('latin1', 0, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (got.length < end + 4 + length) return;
        const [method = '', path = ''] = head.split(' ');
        const body = Buffer.from(got.subarray(end + 4, end + 4 + length));
        got = got.subarray(end + 4 + length);
        reply({ method, path, body }, socket);
      }
    });
  });
  return new Promise((settle) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      settle(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

const answer = (status: number, body: Uint8Array | string): Buffer =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} X\r\nContent-Length: ${body.length}\r\nA: b\r\n\r\n`),
    Buffer.from(body),
  ]);

interface Options extends WorkloadOptions {
  readonly sizeBytes: number;
}

interface Choice {
  readonly connections?: number;
  readonly sizeBytes?: number;
  readonly space?: number;
  readonly dialect?: Dialect;
  readonly bodies?: readonly Buffer[];
}

const KV: Dialect = { kind: 'paths', prefixes: ['/kv/bench/t/'], suffix: '' };

function optionsFor(port: number, choice: Choice = {}): Options {
  const { connections = 3, sizeBytes = 100, space = 0, dialect = KV } = choice;
  const bodies = choice.bodies ?? randomBodies(sizeBytes);
  const speech = speechOf(dialect, { sizeBytes, bodies, space });
  return { targets: [{ host: '127.0.0.1', port }], connections, sizeBytes, speech };
}

/** Runs the traffic to its end, or until it has seen `operations` answers and errors. */
async function drive(work: Work, options: Options, operations: number, follows = false) {
  const traffic = new Measured(work);
  let left = operations;
  const spent = (): void => {
    left -= 1;
    if (left === 0) traffic.stop();
  };
  const counted: Traffic = {
    next: (lane) => traffic.next(lane),
    answered(lane, got) {
      traffic.answered(lane, got);
      spent();
    },
    broken(lane, why) {
      traffic.broken(lane, why);
      spent();
    },
  };
  await Promise.all(
    Array.from({ length: options.connections }, async (_, lane) => {
      const parts = { lane, bodyBytesMax: options.speech.answerBytesMax };
      const target = options.targets[0]!;
      const connection = follows
        ? new FollowingConnection(target, counted, parts)
        : new Connection(target, counted, parts);
      await connection.run();
    }),
  );
  return traffic.tally();
}

/** A store in a map, with what a test wants otherwise. */
function store(odd: (seen: Seen, socket: Socket) => Buffer | null = () => null) {
  const values = new Map<string, Buffer>();
  const reply: Reply = (seen, socket) => {
    const strange = odd(seen, socket);
    if (strange !== null) {
      socket.write(strange);
      return;
    }
    if (seen.method === 'PUT') values.set(seen.path, seen.body);
    const known = values.get(seen.path);
    socket.write(seen.method === 'PUT' ? answer(201, '') : answer(known ? 200 : 404, known ?? ''));
  };
  return { values, reply };
}

test.each([0, 1, 5, 100, 300_000])('values of %d bytes are read back as written', async (size) => {
  const { values, reply } = store();
  const options = optionsFor(await listen(reply), { sizeBytes: size });
  expect(await drive(new Puts(options, 20), options, 1e9)).toMatchObject({
    operations: 20,
    errors: {},
  });
  expect(values.size).toBe(20);
  expect([...values.keys()].sort()[7]).toBe('/kv/bench/t/0000000000000007');
  if (size > 1)
    expect(new Set([...values.values()].map((body) => body.toString('hex'))).size).toBe(20);
  const got = await drive(new Gets(options, 20), options, 60);
  expect(got.operations).toBeGreaterThanOrEqual(60);
  expect(got.errors).toEqual({});
});

test('a flipped bit, a short value and another key are wrong bytes', async () => {
  for (const spoil of [
    (body: Buffer) => body.fill((body[50] ?? 0) ^ 1, 50, 51),
    (body: Buffer) => body.subarray(0, 99),
    (body: Buffer) => body.fill((body[0] ?? 0) ^ 1, 0, 1),
  ]) {
    const { values, reply } = store();
    const options = optionsFor(await listen(reply), { connections: 1 });
    await drive(new Puts(options, 1), options, 1e9);
    for (const [path, body] of values) values.set(path, spoil(Buffer.from(body)));
    const { operations, errors } = await drive(new Gets(options, 1), options, 3);
    expect([operations, errors]).toEqual([0, { 'wrong bytes': 3 }]);
    await new Promise<void>((settle) => server.close(() => settle()));
  }
});

test('only 2xx counts, refusals are named by their code', async () => {
  let turn = 0;
  const { reply } = store(() => {
    turn += 1;
    return turn % 2 === 0 ? answer(503, '{"code":"NO_LEADER","message":"m"}') : null;
  });
  const options = optionsFor(await listen(reply), { connections: 1 });
  const { operations, errors } = await drive(new Puts(options), options, 10);
  expect([operations, errors]).toEqual([5, { '503 NO_LEADER': 5 }]);
});

test('filling repeats what was refused or broken until every key is there', async () => {
  let turn = 0;
  const { values, reply } = store((_seen, socket) => {
    turn += 1;
    if (turn % 5 === 0) socket.destroy();
    return turn % 5 === 0 || turn % 3 === 0 ? answer(500, 'oh') : null;
  });
  const options = optionsFor(await listen(reply));
  const { operations, errors } = await drive(new Puts(options, 30), options, 1e9);
  expect(operations).toBe(30);
  expect(values.size).toBe(30);
  expect(errors['500 oh']).toBeGreaterThan(0);
  expect(errors['the connection was closed']).toBeGreaterThan(0);
});

test('an answer in many pieces is one answer; what is not understood is an error', async () => {
  const strange: Buffer[] = [
    Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'),
    Buffer.concat([answer(201, ''), Buffer.from('x')]),
  ];
  let turn = 0;
  const reply: Reply = (_seen, socket) => {
    turn += 1;
    const odd = turn % 3 === 0 ? strange[(turn / 3) % 2] : undefined;
    if (odd !== undefined) {
      socket.write(odd);
      return;
    }
    socket.setNoDelay(true);
    const pieces = [...answer(201, 'abc')].map((byte) => Buffer.of(byte));
    const step = (): void => {
      const piece = pieces.shift();
      if (piece === undefined) return;
      socket.write(piece);
      setImmediate(step);
    };
    step();
  };
  const options = optionsFor(await listen(reply), { connections: 1 });
  const { operations, errors } = await drive(new Puts(options), options, 12);
  expect(operations).toBe(8);
  expect(errors).toEqual({
    'an answer without Content-Length: HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip': 2,
    'more bytes came than the answer has': 2,
  });
});

/** Chunks of growing sizes, and then the last one. */
function chunked(status: number, body: Buffer): Buffer {
  const pieces: Uint8Array[] = [
    Buffer.from(`HTTP/1.1 ${status} X\r\nTransfer-Encoding: chunked\r\n\r\n`),
  ];
  for (let at = 0, size = 1; at < body.length; at += size, size = size * 3) {
    const piece = body.subarray(at, at + size);
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')]);
}

test.each([1, 100, 300_000])('an answer of %d bytes in chunks is read whole', async (size) => {
  const { values, reply } = store();
  const inChunks: Reply = (seen, socket) => {
    if (seen.method === 'PUT') reply(seen, socket);
    else socket.write(chunked(200, values.get(seen.path) ?? Buffer.alloc(0)));
  };
  const options = optionsFor(await listen(inChunks), { sizeBytes: size });
  await drive(new Puts(options, 5), options, 1e9);
  const { operations, errors } = await drive(new Gets(options, 5), options, 20);
  expect([operations >= 20, errors]).toEqual([true, {}]);
});

test('bytes after the last chunk and a chunk without a size are errors', async () => {
  const strange = ['1\r\nx\r\n0\r\n\r\ny', 'x\r\n'];
  let turn = 0;
  const options = optionsFor(
    await listen((_seen, socket) => {
      const body = strange[turn % 2] ?? '';
      turn += 1;
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
    }),
    { connections: 1 },
  );
  expect(await drive(new Puts(options), options, 2)).toMatchObject({
    operations: 0,
    errors: { 'more bytes came than the answer has': 1, 'a chunk without a size': 1 },
  });
});

test('keys of two spaces do not meet, and each key stays at its prefix', async () => {
  const { values, reply } = store();
  const port = await listen(reply);
  const bodies = randomBodies(100);
  const dialect: Dialect = { kind: 'paths', prefixes: ['/3,', '/7,'], suffix: '00c0ffee' };
  for (const space of [1, 0xab]) {
    const options = optionsFor(port, { space, dialect, bodies });
    await drive(new Puts(options, 3), options, 1e9);
    expect((await drive(new Gets(options, 3), options, 9)).errors).toEqual({});
  }
  expect([...values.keys()].sort()).toEqual(
    ['3,0001', '7,0001', '3,0001', '3,00ab', '7,00ab', '3,00ab']
      .map((prefix, i) => `/${prefix}${String(i % 3).padStart(12, '0')}00c0ffee`)
      .sort(),
  );
});

test('a key that is not there must be absent', async () => {
  const { reply } = store();
  const options = optionsFor(await listen(reply));
  expect((await drive(new Misses(options, 10), options, 9)).errors).toEqual({});
  await drive(new Puts(options, 10), options, 1e9);
  const { operations, errors } = await drive(new Misses(options, 10), options, 9);
  expect(operations).toBe(0);
  expect(errors['a value of a key that is not there']).toBeGreaterThanOrEqual(9);
});

test('a mix is nine PUTs to a GET, and a wrong value in it is an error', async () => {
  const methods: string[] = [];
  const { values, reply } = store();
  const port = await listen((seen, socket) => {
    methods.push(seen.method);
    reply(seen, socket);
  });
  const bodies = randomBodies(100);
  const [there, fresh] = [0, 1].map((space) => optionsFor(port, { space, bodies }));
  await drive(new Puts(there!, 10), there!, 1e9);
  methods.length = 0;
  const mix = (): Mix => new Mix(new Puts(fresh!), new Gets(there!, 10));
  expect((await drive(mix(), there!, 3000)).errors).toEqual({});
  const share = methods.filter((method) => method === 'GET').length / methods.length;
  expect(share).toBeGreaterThan(0.07);
  expect(share).toBeLessThan(0.13);
  for (const path of values.keys()) values.set(path, Buffer.alloc(100));
  expect(Object.keys((await drive(mix(), there!, 200)).errors)).toEqual(['wrong bytes']);
});

/** etcd's gateway as far as the generator needs it, over a map of real keys and values. */
function gateway() {
  const values = new Map<string, Buffer>();
  const reply: Reply = ({ path, body }, socket) => {
    const { key, value } = JSON.parse(body.toString()) as { key: string; value?: string };
    const name = Buffer.from(key, 'base64').toString();
    if (path === '/v3/kv/put') {
      values.set(name, Buffer.from(value ?? '', 'base64'));
      socket.write(answer(200, '{"header":{"revision":"7"}}'));
      return;
    }
    const held = values.get(name)?.toString('base64');
    const kvs = held === undefined ? '' : `,"kvs":[{"key":"${key}","value":"${held}"}],"count":"1"`;
    socket.write(chunked(200, Buffer.from(`{"header":{"revision":"7"}${kvs}}`)));
  };
  return { values, reply };
}

test.each([1, 6, 100, 1024, 1_000_000])('%d bytes through etcd and back', async (sizeBytes) => {
  const { values, reply } = gateway();
  const dialect: Dialect = { kind: 'etcd', prefix: 'bench/t/' };
  const options = optionsFor(await listen(reply), { sizeBytes, dialect });
  expect((await drive(new Puts(options, 20), options, 1e9)).operations).toBe(20);
  expect([...values.keys()].sort()[7]).toBe('bench/t/0000000000000007');
  expect([...values.values()].every(({ length }) => length === sizeBytes)).toBe(true);
  expect(new Set([...values.values()].map((body) => body.toString('hex'))).size).toBe(20);
  expect((await drive(new Gets(options, 20), options, 30)).errors).toEqual({});
  for (const body of values.values()) body[sizeBytes - 1] = (body[sizeBytes - 1] ?? 0) ^ 1;
  expect(Object.keys((await drive(new Gets(options, 20), options, 5)).errors)).toEqual([
    'wrong bytes',
  ]);
});

test('etcd answers 200 for a key that is not there', async () => {
  const { values, reply } = gateway();
  const dialect: Dialect = { kind: 'etcd', prefix: 'bench/t/' };
  const options = optionsFor(await listen(reply), { dialect });
  expect((await drive(new Misses(options, 10), options, 9)).errors).toEqual({});
  expect(Object.keys((await drive(new Gets(options, 10), options, 9)).errors)).toEqual([
    'wrong bytes',
  ]);
  await drive(new Puts(options, 10), options, 1e9);
  expect(values.size).toBe(10);
  expect((await drive(new Misses(options, 10), options, 9)).operations).toBe(0);
});

test('redirects are followed, one that leads nowhere is an error, and the time is that of both', async () => {
  const { values, reply } = store();
  let port = 0;
  const seen: string[] = [];
  let isGone = false;
  const redirecting: Reply = (asked, socket) => {
    seen.push(asked.path);
    const inner = asked.path.replace('/there', '');
    if (asked.method === 'GET' && !asked.path.startsWith('/there')) {
      const path = asked.path.replace('?redirect=1', '');
      const location = `http://127.0.0.1:${port}/there${path}?token=a`;
      socket.write(`HTTP/1.1 307 X\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
    } else if (isGone && asked.method === 'GET') {
      socket.write(answer(503, '{"code":"STALE_REDIRECT"}'));
    } else if (asked.method === 'GET' && seen.length % 7 === 0) {
      socket.destroy();
    } else {
      reply({ ...asked, path: inner.replace('?token=a', '') }, socket);
    }
  };
  port = await listen(redirecting);
  const dialect: Dialect = { ...KV, getQuery: '?redirect=1', follows: true };
  const options = optionsFor(port, { dialect, connections: 2 });
  await drive(new Puts(options, 5), options, 1e9, true);
  expect(values.size).toBe(5);
  const { operations, errors } = await drive(new Gets(options, 5), options, 100, true);
  expect(Object.keys(errors)).toEqual(['the connection was closed']);
  expect(operations).toBeGreaterThan(60);
  expect(seen.filter((path) => path.startsWith('/there')).length).toBeGreaterThanOrEqual(100);
  isGone = true;
  expect(
    (await drive(new Gets(options, 5), options, 6, true)).errors['503 STALE_REDIRECT'],
  ).toBeGreaterThanOrEqual(6);
});
