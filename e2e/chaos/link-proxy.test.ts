import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { seededRandom } from '../../services/common/random.ts';
import { freeAddress } from '../../services/testing/free-port.ts';
import { waitFor } from '../harness/wait-for.ts';
import { CLEAR_LINK, LinkProxy } from './link-proxy.ts';

const HOST = '127.0.0.1';
let server: Server;
let far: Socket[];
let proxy: LinkProxy;
let at: { host: string; port: number };

beforeEach(async () => {
  far = [];
  const target = { host: HOST, port: await freePort() };
  // What comes goes back.
  server = createServer((socket) => {
    far.push(socket);
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(target.port, HOST, resolve);
  });
  at = { host: HOST, port: await freePort() };
  proxy = await LinkProxy.open(at, target, seededRandom(1));
});

afterEach(() => {
  proxy.close();
  for (const socket of far) socket.destroy();
  server.close();
});

const freePort = async (): Promise<number> =>
  Number((await freeAddress()).slice(`${HOST}:`.length));

interface Near {
  readonly socket: Socket;
  heard: Buffer;
  end: 'open' | 'ended' | 'reset';
}

function dial(): Near {
  const near: Near = { socket: connect(at), heard: Buffer.alloc(0), end: 'open' };
  near.socket.on('data', (piece: Buffer) => {
    near.heard = Buffer.concat([near.heard, piece]);
  });
  near.socket.on('error', () => {
    near.end = 'reset';
  });
  near.socket.on('end', () => {
    near.end = 'ended';
  });
  return near;
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 150));

describe('a link', () => {
  test('carries everything in its order and ends as its ends do', async () => {
    const near = dial();
    const bytes = randomBytes(3 * 1024 * 1024);
    near.socket.end(bytes);
    await waitFor('the end', 5000, () => near.end === 'ended');
    expect(near.heard.equals(bytes)).toBe(true);
  });

  test('that is slow carries the same bytes later', async () => {
    proxy.set({ ...CLEAR_LINK, trouble: 'slow' });
    const near = dial();
    const bytes = randomBytes(64 * 1024);
    const startMs = performance.now();
    for (let i = 0; i < 64; i += 1) near.socket.write(bytes.subarray(i * 1024, (i + 1) * 1024));
    await waitFor('all of it', 10_000, () => near.heard.length === bytes.length);
    expect(near.heard.equals(bytes)).toBe(true);
    expect(performance.now() - startMs).toBeGreaterThan(80);
    near.socket.destroy();
  });

  test('that is cut one way holds back what goes that way, until it is healed', async () => {
    const near = dial();
    near.socket.write('one');
    await waitFor('an echo', 5000, () => near.heard.toString() === 'one');
    proxy.set({ ...CLEAR_LINK, cutOut: true });
    near.socket.write('two');
    far[0]?.write('more');
    await waitFor('the other way', 5000, () => near.heard.toString() === 'onemore');
    await settled();
    expect(near.heard.toString()).toBe('onemore');
    proxy.set(CLEAR_LINK);
    await waitFor('what was held back', 5000, () => near.heard.toString() === 'onemoretwo');
    near.socket.destroy();
  });

  test('that is half open takes everything and answers nothing, also afterwards', async () => {
    proxy.set({ ...CLEAR_LINK, trouble: 'half-open' });
    const near = dial();
    near.socket.write('lost');
    await settled();
    proxy.set(CLEAR_LINK);
    await settled();
    expect([near.heard.length, near.end]).toEqual([0, 'open']);
    near.socket.destroy();
    const next = dial();
    next.socket.write('heard');
    await waitFor('a new connection', 5000, () => next.heard.toString() === 'heard');
    next.socket.destroy();
  });

  test('that resets breaks every connection within a second', async () => {
    const near = dial();
    near.socket.write('x');
    await waitFor('an echo', 5000, () => near.heard.length === 1);
    proxy.set({ ...CLEAR_LINK, trouble: 'reset' });
    await waitFor('the reset', 5000, () => near.end === 'reset');
  });
});
