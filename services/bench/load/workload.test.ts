/** The generator against a server that answers as it is told: what counts, and what is an error. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { Connection, type Traffic } from './connection.ts';
import { Gets, Puts, randomBodies, type WorkloadOptions } from './workload.ts';

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

const optionsFor = (port: number, over: Partial<WorkloadOptions> = {}): WorkloadOptions => ({
  targets: [{ host: '127.0.0.1', port }],
  connections: 3,
  sizeBytes: 100,
  prefix: 'bench/t/',
  bodies: randomBodies(over.sizeBytes ?? 100),
  ...over,
});

/** Runs the traffic to its end, or until it has seen `operations` answers and errors. */
async function drive(traffic: Puts | Gets, options: WorkloadOptions, operations: number) {
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
    Array.from({ length: options.connections }, (_, lane) =>
      new Connection(options.targets[0]!, counted, {
        lane,
        bodyBytesMax: options.sizeBytes,
      }).run(),
    ),
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
  expect([...values.keys()].sort()[7]).toBe('/kv/bench/t/000000000007');
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
    Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
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
    'an answer without Content-Length: HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked': 2,
    'more bytes came than the answer has': 2,
  });
});
