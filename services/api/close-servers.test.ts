/** Real servers and sockets: what is tested is the end of connections. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { systemClock } from '../common/clock.ts';
import { type ClosableServer, closable, closeServers } from './close-servers.ts';

interface Served {
  readonly server: ClosableServer;
  readonly socket: Socket;
  /** The answer to the request that the socket has sent: begun, not ended. */
  readonly answer: ServerResponse;
  readonly text: () => string;
}

const listening = (server: Server): Promise<void> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function served(): Promise<Served> {
  const answering = Promise.withResolvers<ServerResponse>();
  const server = createServer({ keepAliveTimeout: 60_000 }, (_req, res) => {
    res.writeHead(200, { 'content-length': 4 });
    res.write('be');
    answering.resolve(res);
  });
  const closing = closable(server);
  await listening(server);
  const socket = connect(portOf(server), '127.0.0.1');
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return { server: closing, socket, answer: await answering.promise, text: () => text };
}

test('a connection goes when the answer that it waits for has ended, not at the end of the grace', async () => {
  const { server, socket, answer, text } = await served();
  const gone = new Promise((resolve) => socket.once('close', resolve));
  const startedMs = performance.now();
  const closing = closeServers([server], systemClock, 30_000);
  answer.end('en');
  await Promise.all([closing, gone]);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  expect(text()).toMatch(/been$/);
});

test('an answer that does not end is cut off when the grace is over', async () => {
  const { server, socket, text } = await served();
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  await Promise.all([closeServers([server], systemClock, 200), gone]);
  expect(text()).toMatch(/be$/);
});

test('a connection on which nothing ever came does not hold the server up', async () => {
  const server = createServer();
  const accepted = new Promise((resolve) => server.once('connection', resolve));
  const closing = closable(server);
  await listening(server);
  const socket = connect(portOf(server), '127.0.0.1');
  socket.on('error', () => undefined);
  const gone = new Promise((resolve) => socket.once('close', resolve));
  await accepted;
  const startedMs = performance.now();
  await Promise.all([closeServers([closing], systemClock, 30_000), gone]);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
