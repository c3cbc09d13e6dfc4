/** A proxy before a coordinator that tells its clients something else than what was answered, where it is asked to. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Answer, call } from './kv.ts';

export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
}

/** What the client is told; null breaks the connection in the middle of the answer. */
export type Lie = (heard: Heard, truth: Answer) => Answer | null;

/** Of one connection, so that they are not passed on. */
const HOP = new Set(['connection', 'content-length', 'host', 'keep-alive', 'transfer-encoding']);

export interface LyingProxy {
  readonly url: string;
  readonly close: () => void;
}

/** Every request goes to `target` and is done there, whatever is told of it. */
export async function lyingProxy(target: string, lie: Lie): Promise<LyingProxy> {
  const server = createServer((request, response) => {
    void forwarded(target, request).then(({ heard, truth }) => {
      const told = lie(heard, truth);
      const { status, headers, body } = told ?? truth;
      const passed = new Headers([...headers].filter(([name]) => !HOP.has(name)));
      if (told !== null && !hasNoBody(heard, status))
        passed.set('content-length', `${body.length}`);
      response.writeHead(status, Object.fromEntries(passed));
      if (told === null)
        response.write(body.subarray(0, body.length / 2), () => response.destroy());
      else response.end(body);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

const hasNoBody = ({ method }: Heard, status: number): boolean =>
  method === 'HEAD' || status === 204 || status === 304;

async function forwarded(
  target: string,
  request: IncomingMessage,
): Promise<{ readonly heard: Heard; readonly truth: Answer }> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const named = Object.entries(request.headers).flatMap(([name, value]) =>
    HOP.has(name) || value === undefined ? [] : [[name, String(value)] as const],
  );
  const headers = new Headers(Object.fromEntries(named));
  const { method = 'GET', url: path = '/' } = request;
  const body = pieces.length === 0 ? null : new Uint8Array(Buffer.concat(pieces));
  const truth = await call(`${target}${path}`, { method, headers, body });
  return { heard: { method, path, headers }, truth };
}
