/** Bodies of 64 MiB pass with the memory of a few pieces; broken ones break the connection. */
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KvError } from '../../common/errors.ts';
import { KIB, MIB } from '../../common/units.ts';
import { type HttpFixture, openHttp } from '../../testing/http-fixture.ts';
import { call, RawSocket } from '../../testing/raw-http.ts';

const SIZE = 64 * MIB;
const PIECE = 256 * KIB;
/** What the kernel may hold of a loopback connection, both ends, with room to spare. */
const IN_FLIGHT_MAX = 24 * MIB;

let http: HttpFixture;

beforeEach(async () => {
  http = await openHttp();
});

afterEach(() => http.server.close(0));

function getLarge(): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request({ port: http.port, path: '/kv/large' }, resolve).once('error', reject).end();
  });
}

/** Resolves when `value` has stayed the same for some turns of the timer. */
async function settled(value: () => number): Promise<number> {
  for (let same = 0, last = -1; same < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    same = value() === last ? same + 1 : 0;
    last = value();
  }
  return value();
}

/** A value of SIZE bytes whose pieces are counted as they are asked for. */
function serveLarge(): { askedBytes: number; isReturned: boolean } {
  const seen = { askedBytes: 0, isReturned: false };
  http.gateway.store('large', Buffer.alloc(1));
  http.gateway.claimSize('large', SIZE);
  http.gateway.openBody = async function* () {
    try {
      for (let sent = 0; sent < SIZE; sent += PIECE) {
        seen.askedBytes += PIECE;
        yield Buffer.alloc(PIECE, sent / PIECE);
      }
    } finally {
      seen.isReturned = true;
    }
  };
  return seen;
}

describe('a GET of 64 MiB', () => {
  test('waits for a slow reader, and gives all bytes in order', async () => {
    const seen = serveLarge();
    const incoming = await getLarge();
    expect(await settled(() => seen.askedBytes)).toBeLessThan(IN_FLIGHT_MAX);
    let bytes = 0;
    let isRight = true;
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      isRight &&= chunk[0] === (Math.floor(bytes / PIECE) & 0xff);
      bytes += chunk.length;
    }
    expect([bytes, isRight, seen.isReturned]).toEqual([SIZE, true, true]);
  });

  test('ends for a reader that stops reading or goes away', async () => {
    await http.server.close(0);
    http = await openHttp({ limits: { sendStallMs: 300 } });
    for (const leave of [(_: IncomingMessage) => undefined, (m: IncomingMessage) => m.destroy()]) {
      const seen = serveLarge();
      const incoming = await getLarge();
      incoming.on('error', () => undefined);
      leave(incoming);
      while (!seen.isReturned) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(seen.askedBytes).toBeLessThan(SIZE);
      incoming.destroy();
    }
  });

  test.each(['throws', 'ends early'])('a body that %s breaks the connection', async (how) => {
    serveLarge();
    http.gateway.openBody = async function* () {
      yield Buffer.alloc(PIECE);
      if (how === 'throws') throw new KvError('DATA_LOSS', 'bad piece');
    };
    // The connection would be kept: only its breaking tells the client.
    const raw = new RawSocket(http.port);
    raw.send('GET /kv/large HTTP/1.1\r\nHost: h\r\n\r\n');
    expect((await raw.closed()).length).toBeLessThan(SIZE);
  });

  test('a body that fails before its first byte is a clean error', async () => {
    serveLarge();
    http.gateway.openBody = async function* () {
      yield await Promise.reject<Buffer>(new KvError('REPLICAS_UNAVAILABLE', 'all away'));
    };
    expect((await call(http.port, 'GET /kv/large')).status).toBe(503);
  });
});

test('a PUT of 64 MiB waits for a slow store, and arrives whole', async () => {
  let takenBytes = 0;
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  http.gateway.readBody = async (body) => {
    for await (const piece of body) {
      takenBytes += piece.length;
      await held;
    }
    return new Uint8Array(0);
  };
  const socket = connect(http.port, '127.0.0.1');
  socket.write('PUT /kv/up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  const piece = Buffer.alloc(PIECE);
  const chunk = Buffer.concat([Buffer.from('40000\r\n'), piece, Buffer.from('\r\n')]);
  const answer = new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(data.toString('latin1')));
  });
  const sending = (async () => {
    for (let sent = 0; sent < SIZE; sent += PIECE) {
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    }
    socket.write('0\r\n\r\n');
  })();
  expect(await settled(() => socket.bytesWritten)).toBeLessThan(IN_FLIGHT_MAX);
  goOn();
  await sending;
  expect(await answer).toContain('201 Created');
  expect(takenBytes).toBe(SIZE);
  socket.destroy();
});

describe('draining', () => {
  test('answers close their connections, readiness falls, requests are still served', async () => {
    http.server.beginDrain();
    const put = await call(http.port, 'PUT /kv/d', { body: 'v' });
    expect([put.status, put.headers.connection]).toEqual([201, 'close']);
    const raw = new RawSocket(http.port);
    raw.send('GET /kv/d HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await raw.closed()).toContain('Connection: close');
    const ready = await call(http.port, 'GET /health/ready');
    expect([ready.status, ready.body.toString()]).toEqual([
      503,
      expect.stringContaining('stopping'),
    ]);
    expect((await call(http.port, 'GET /health/live')).status).toBe(200);
  });

  test('close lets a running request end and refuses new connections', async () => {
    let goOn: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    http.gateway.store('large', Buffer.alloc(10));
    http.gateway.openBody = async function* () {
      yield Buffer.alloc(5);
      await held;
      yield Buffer.alloc(5);
    };
    const raw = new RawSocket(http.port);
    raw.send('GET /kv/large HTTP/1.1\r\nHost: h\r\n\r\n');
    await raw.until(/\0{5}/);
    const idle = new RawSocket(http.port);
    idle.send('GET /health HTTP/1.1\r\nHost: h\r\n\r\n');
    await idle.until(/OK\n$/);
    const closing = http.server.close(5000);
    await idle.closed();
    await expect(call(http.port, 'GET /health')).rejects.toThrow(/ECONNREFUSED/);
    goOn();
    await raw.until(/\0{10}/);
    raw.socket.end();
    await closing;
  });

  test('close cuts what has not ended in time', async () => {
    const raw = new RawSocket(http.port);
    raw.send('PUT /kv/never HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello');
    await settled(() => http.gateway.bodiesBegun);
    await http.server.close(20);
    await raw.closed();
    expect(http.gateway.values.has('never')).toBe(false);
  });
});
