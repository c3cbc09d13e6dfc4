/**
 * Streams over real loopback sockets: each test waits for events and never for time, except where a
 * silent peer must be noticed by keepalive.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../common/clock.ts';
import { type ErrorCode, KvError } from '../common/errors.ts';
import { seededRandom } from '../common/random.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { Inbox } from '../testing/inbox.ts';
import { decodeFailure, FRAME, type FrameKind, FrameReader, frameOf, prefaceOf } from './frames.ts';
import { type Failure, Failure as FailureCodec } from './generated/common.ts';
import { openLink } from './link.ts';
import { bidi, startRpcServer } from './server.ts';
import { tcpNetwork } from './tcp-network.ts';
import { type BidiMethod, type Link, type Outgoing, RPC_LIMITS, type RpcServer } from './types.ts';

/** Any small message serves; Failure has two texts. */
const codec = {
  encode: (value: Failure) => [FailureCodec.encode(value).finish()],
  decode: (bytes: Buffer) => FailureCodec.decode(bytes),
};
const TALK: BidiMethod<Failure, Failure> = {
  path: '/test.Test/Talk',
  requestStream: true,
  responseStream: true,
  requestSerialize: codec.encode,
  requestDeserialize: codec.decode,
  responseSerialize: codec.encode,
  responseDeserialize: codec.decode,
};

type Event =
  | { readonly kind: 'open'; readonly outgoing: Outgoing<Failure> }
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'closed'; readonly code: ErrorCode; readonly reason: KvError };

const say = (text: string): Failure => ({ code: '', message: text });
const MEBIBYTE = 'x'.repeat(1024 * 1024);

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Records what happens; `hear` may refuse by throwing. */
function recorder(inbox: Inbox<Event>, hear: (text: string) => void = () => undefined) {
  return (outgoing: Outgoing<Failure>) => {
    inbox.push({ kind: 'open', outgoing });
    return {
      onMessage(message: Failure) {
        hear(message.message);
        inbox.push({ kind: 'message', text: message.message });
      },
      onDrain: () => inbox.push({ kind: 'drain' }),
      onClosed(reason: Error) {
        if (!(reason instanceof KvError)) throw reason;
        inbox.push({ kind: 'closed', code: reason.code, reason });
      },
    };
  };
}

async function serve(inbox: Inbox<Event>, port = 0, hear?: (text: string) => void) {
  const server: RpcServer = await startRpcServer(
    { clock: systemClock, logger: silentLogger, network: tcpNetwork },
    { bind: `127.0.0.1:${port}`, services: [bidi(TALK, recorder(inbox, hear))] },
  );
  cleanups.push(() => server.close(0));
  return server;
}

function dial(inbox: Inbox<Event>, address: () => string): Link {
  const link = openLink(
    { clock: systemClock, random: seededRandom(1), logger: silentLogger, network: tcpNetwork },
    { method: TALK, address, onOpen: recorder(inbox) },
  );
  cleanups.push(() => link.close());
  return link;
}

async function opened(inbox: Inbox<Event>): Promise<Outgoing<Failure>> {
  const event = await inbox.until(({ kind }) => kind === 'open');
  if (event.kind !== 'open') throw new Error('not open');
  return event.outgoing;
}

async function closed(inbox: Inbox<Event>): Promise<KvError> {
  const event = await inbox.until(({ kind }) => kind === 'closed');
  if (event.kind !== 'closed') throw new Error('not closed');
  return event.reason;
}

const message = (text: string): Event => ({ kind: 'message', text });

type Frame = { readonly kind: number; readonly payload: Buffer } | 'closed';

/** A dialling end by hand: what it writes is up to the test, what comes back are frames. */
function rawStream(port: number, preface: Uint8Array = prefaceOf(TALK.path)) {
  const inbox = new Inbox<Frame>();
  const reader = new FrameReader((kind, payload) => inbox.push({ kind, payload }));
  const socket = connect(port, '127.0.0.1');
  socket.on('data', (bytes: Buffer) => reader.push(bytes));
  socket.on('error', () => undefined);
  socket.on('close', () => inbox.push('closed'));
  socket.write(preface);
  cleanups.push(() => void socket.destroy());
  const send = (kind: FrameKind, payload: Uint8Array): void => {
    socket.write(frameOf(kind, payload));
  };
  /** The reason that the server gives before it closes; null: none. */
  const refused = async (): Promise<ErrorCode | null> => {
    const last = await inbox.until((frame) => frame === 'closed' || frame.kind === FRAME.failure);
    return last === 'closed' ? null : decodeFailure(last.payload).code;
  };
  return { socket, inbox, send, refused };
}

describe('a link', () => {
  test('carries messages both ways in order', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const link = dial(here, () => `127.0.0.1:${server.port}`);
    const dialler = await opened(here);
    const accepter = await opened(there);
    expect(link.connected).toBe(true);
    expect(dialler.remote).toBe(`127.0.0.1:${server.port}`);
    for (const text of ['a', 'b', 'c']) dialler.send(say(text));
    for (const text of ['d', 'e', 'f']) accepter.send(say(text));
    for (const text of ['a', 'b', 'c']) expect(await there.next()).toEqual(message(text));
    for (const text of ['d', 'e', 'f']) expect(await here.next()).toEqual(message(text));
  });

  test('comes back by itself after the server restarts on the same port', async () => {
    const here = new Inbox<Event>();
    const first = new Inbox<Event>();
    const server = await serve(first);
    const { port } = server;
    const link = dial(here, () => `127.0.0.1:${port}`);
    await opened(here);
    await server.close(0);
    expect(await closed(here)).toMatchObject({ code: 'STOPPING' });
    expect(link.connected).toBe(false);
    const second = new Inbox<Event>();
    await serve(second, port);
    (await opened(here)).send(say('again'));
    await opened(second);
    expect(await second.next()).toEqual(message('again'));
  });

  test('dials the address that holds at that attempt', async () => {
    const here = new Inbox<Event>();
    const before = new Inbox<Event>();
    const after = new Inbox<Event>();
    const old = await serve(before);
    const moved = await serve(after);
    let { port } = old;
    dial(here, () => `localhost:${port}`);
    await opened(here);
    port = moved.port;
    await old.close(0);
    await closed(here);
    (await opened(here)).send(say('found you'));
    await opened(after);
    expect(await after.next()).toEqual(message('found you'));
  });

  test('redials on demand, dropping the present stream', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const link = dial(here, () => `127.0.0.1:${server.port}`);
    await opened(here);
    link.redial();
    expect((await closed(here)).code).toBe('UNAVAILABLE');
    await opened(here);
    expect(link.connected).toBe(true);
  });

  test('closed for good, it dials no more and says so once', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const link = dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    link.close();
    link.redial();
    expect((await closed(here)).code).toBe('UNAVAILABLE');
    expect(outgoing.send(say('too late'))).toBe(false);
    await closed(there);
    expect(here.waiting).toEqual([]);
    expect(link.connected).toBe(false);
  });

  test('gets what was queued through before a graceful close', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    await opened(there);
    for (const text of ['leaving', 'now']) outgoing.send(say(text));
    outgoing.close();
    expect(await there.next()).toEqual(message('leaving'));
    expect(await there.next()).toEqual(message('now'));
    await closed(there);
    await closed(here);
  });

  test('notices a peer that falls silent without closing the connection', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const proxy = await silenceableProxy(server.port);
    const link = dial(here, () => `127.0.0.1:${proxy.port}`);
    await opened(here);
    proxy.silence();
    expect((await closed(here)).code).toBe('UNAVAILABLE');
    expect((await closed(there)).code).toBe('UNAVAILABLE');
    link.close();
  }, 10_000);

  test('gives up on an address that accepts and never answers, then finds the right one', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const mute = await listening(createServer(() => undefined));
    let { port } = mute;
    dial(here, () => `127.0.0.1:${port}`);
    ({ port } = server);
    await opened(here);
  });
});

describe('back-pressure', () => {
  test('send answers false above the high-water mark and onDrain follows', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    const answers = Array.from({ length: 9 }, () => outgoing.send(say(MEBIBYTE)));
    expect(answers.slice(0, 7)).toEqual(Array.from({ length: 7 }, () => true));
    expect(answers.at(-1)).toBe(false);
    expect(await here.next()).toEqual({ kind: 'drain' });
    expect(outgoing.send(say('more'))).toBe(true);
    await there.until((event) => event.kind === 'message' && event.text === 'more');
  });

  test('a peer that never reads is cut off at the hard limit', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    const { socket } = rawStream(server.port);
    socket.pause();
    const accepter = await opened(there);
    const sendsMax = RPC_LIMITS.queuedBytesMax / MEBIBYTE.length;
    for (let sends = 0; sends < sendsMax; sends += 1) accepter.send(say(MEBIBYTE));
    expect((await closed(there)).code).toBe('OVERLOADED');
  });

  test('a peer that leaves is gone at once, whatever still waits to reach it', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    const { socket } = rawStream(server.port);
    socket.pause();
    const accepter = await opened(there);
    // More than the buffers of both ends take.
    for (let sends = 0; sends < 32; sends += 1) accepter.send(say(MEBIBYTE));
    socket.end();
    expect((await closed(there)).message).toContain('ended the stream');
  });

  test('a dialling end is cut off at the hard limit too', async () => {
    const here = new Inbox<Event>();
    const server = await serve(new Inbox<Event>());
    dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    const sendsMax = RPC_LIMITS.queuedBytesMax / MEBIBYTE.length;
    for (let sends = 0; sends < sendsMax; sends += 1) outgoing.send(say(MEBIBYTE));
    expect(outgoing.send(say('x'))).toBe(false);
    expect((await closed(here)).code).toBe('OVERLOADED');
  });
});

describe('bad input on a stream', () => {
  test('a message above the limit is refused at both ends', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    const large = 'x'.repeat(RPC_LIMITS.messageBytesMax + 1);
    expect(() => outgoing.send(say(large))).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
    const raw = rawStream(server.port);
    raw.socket.write(Buffer.of(1, 0, 0x40, 0, FRAME.message));
    expect(await raw.refused()).toBe('TOO_LARGE');
    outgoing.send(say('still here'));
    await there.until((event) => event.kind === 'message' && event.text === 'still here');
  });

  test('garbage instead of a message ends that stream with INVALID_ARGUMENT', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    const raw = rawStream(server.port);
    raw.send(FRAME.message, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff]));
    expect(await raw.refused()).toBe('INVALID_ARGUMENT');
    expect((await closed(there)).code).toBe('INVALID_ARGUMENT');
  });

  test('a refusal keeps its code and detail, and nothing is delivered after it', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there, 0, (text) => {
      if (text === 'bad')
        throw new KvError('WRONG_CLUSTER', 'ou est-ce? où', { detail: { a: 'é' } });
    });
    dial(here, () => `127.0.0.1:${server.port}`);
    const outgoing = await opened(here);
    await opened(there);
    for (const text of ['good', 'bad', 'late']) outgoing.send(say(text));
    const reason = await closed(here);
    expect(reason.code).toBe('WRONG_CLUSTER');
    expect(reason.message).toBe('ou est-ce? où');
    expect(reason.detail).toEqual({ a: 'é' });
    expect(await there.next()).toEqual(message('good'));
    expect(await there.next()).toMatchObject({ kind: 'closed', code: 'WRONG_CLUSTER' });
    await opened(here);
  });

  test('a method that is not there is refused by its name', async () => {
    const server = await serve(new Inbox<Event>());
    const raw = rawStream(server.port, prefaceOf('/test.Test/Nothing'));
    expect(await raw.refused()).toBe('NOT_IMPLEMENTED');
  });

  test.each([
    ['another version', Buffer.concat([Buffer.from('MKVS'), Buffer.of(2, 0)])],
    ['another beginning', Buffer.from('MKVX------')],
  ])('a preface of %s is refused', async (_what, preface) => {
    const server = await serve(new Inbox<Event>());
    expect(await rawStream(server.port, preface).refused()).toBe('INVALID_ARGUMENT');
  });

  test('preface and frames may come byte by byte', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    const { socket } = rawStream(server.port, Buffer.alloc(0));
    const frame = frameOf(FRAME.message, Buffer.concat(TALK.requestSerialize(say('slowly'))));
    for (const byte of Buffer.concat([prefaceOf(TALK.path), frame])) {
      await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    }
    await opened(there);
    expect(await there.next()).toEqual(message('slowly'));
  });

  test('a frame of a kind from the future is passed over', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    const { socket, send } = rawStream(server.port);
    socket.write(Buffer.of(1, 0, 0, 0, 200, 7));
    send(FRAME.message, Buffer.concat(TALK.requestSerialize(say('known'))));
    await opened(there);
    expect(await there.next()).toEqual(message('known'));
  });

  test('a ping is answered', async () => {
    const server = await serve(new Inbox<Event>());
    const { send, inbox } = rawStream(server.port);
    send(FRAME.ping, Buffer.alloc(0));
    await inbox.until((frame) => frame !== 'closed' && frame.kind === FRAME.pong);
  });

  test('bytes that are no HTTP/2 leave the server serving', async () => {
    const here = new Inbox<Event>();
    const server = await serve(new Inbox<Event>());
    const socket = connect(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.resume();
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.on('close', resolve));
    dial(here, () => `127.0.0.1:${server.port}`);
    await opened(here);
  });

  test('streams beyond the cap are refused', async () => {
    const there = new Inbox<Event>();
    const server = await serve(there);
    for (let streams = 0; streams < RPC_LIMITS.streamsMax; streams += 1) {
      // They answer the server's pings: a busy machine may need longer for them all than a silent one is kept.
      const { socket, send } = rawStream(server.port);
      socket.on('data', () => send(FRAME.pong, Buffer.alloc(0)));
      await opened(there);
    }
    expect(await rawStream(server.port).refused()).toBe('OVERLOADED');
  });
});

describe('a closing server', () => {
  test('lets open streams go on for the grace, then says STOPPING', async () => {
    const here = new Inbox<Event>();
    const there = new Inbox<Event>();
    const server = await serve(there);
    const { port } = server;
    dial(here, () => `127.0.0.1:${port}`);
    const outgoing = await opened(here);
    await opened(there);
    const closing = server.close(200);
    outgoing.send(say('in the grace'));
    expect(await there.next()).toEqual(message('in the grace'));
    await closing;
    expect(await closed(here)).toMatchObject({ code: 'STOPPING' });
  });

  test('is done at once when nothing is open', async () => {
    const server = await serve(new Inbox<Event>());
    await server.close(60_000);
  });
});

async function listening(server: Server): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('not listening');
  return { port: address.port };
}

/** Forwards bytes until silenced; then it swallows them, as a network does after a power cut. */
async function silenceableProxy(target: number) {
  let isSilent = false;
  const pipe = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      if (!isSilent) to.write(bytes);
    });
  };
  const proxy = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    far.on('error', () => undefined);
    cleanups.push(() => void far.destroy());
    pipe(near, far);
    pipe(far, near);
  });
  const { port } = await listening(proxy);
  return {
    port,
    silence: () => {
      isSilent = true;
    },
  };
}
