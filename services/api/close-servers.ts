/**
 * How an HTTP server ends: it listens no more, answers that are on their way end, and each connection
 * goes as soon as it is idle. Node closes only those that are idle at that very moment; one whose
 * answer began before would be kept for the client's next request until the grace is over. And it takes
 * one on which nothing has come yet for busy, as a client leaves it that gives up a request while it
 * connects.
 */
import type { Clock, Timer } from '../common/clock.ts';

const LOOK_EVERY_MS = 50;

/** What is needed of `node:http`'s Server; made by `closable`. */
export interface ClosableServer {
  close(closed: () => void): unknown;
  closeIdleConnections(): void;
  closeAllConnections(): void;
}

interface OpenSocket {
  readonly bytesRead: number;
  destroy(): unknown;
  once(event: 'close', closed: () => void): unknown;
}

/** A server of `node:http`, whose connections can be seen. */
export interface WatchableServer extends ClosableServer {
  on(event: 'connection', opened: (socket: OpenSocket) => void): unknown;
}

/** `server` with an eye on its sockets; before it listens. */
export function closable(server: WatchableServer): ClosableServer {
  const sockets = new Set<OpenSocket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  let silent: readonly OpenSocket[] = [];
  return {
    close: (closed) => server.close(closed),
    closeIdleConnections: () => {
      server.closeIdleConnections();
      // What has been silent from one look to the next: a request may be on its way to a new one.
      for (const socket of silent) if (socket.bytesRead === 0) socket.destroy();
      silent = [...sockets].filter(({ bytesRead }) => bytesRead === 0);
    },
    closeAllConnections: () => server.closeAllConnections(),
  };
}

/** Resolves once all are closed, after at most `graceMs`: then what is still open is cut off. */
export async function closeServers(
  servers: readonly ClosableServer[],
  clock: Clock,
  graceMs: number,
): Promise<void> {
  const endMs = clock.monotonicMs() + graceMs;
  const sweep = (): Timer => {
    const isOver = clock.monotonicMs() >= endMs;
    for (const server of servers) {
      if (isOver) server.closeAllConnections();
      else server.closeIdleConnections();
    }
    return clock.after(LOOK_EVERY_MS, () => {
      timer = sweep();
    });
  };
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(resolve)));
  let timer = sweep();
  await Promise.all(closed);
  timer.cancel();
}
