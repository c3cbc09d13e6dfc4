/**
 * How an HTTP server ends: it listens no more, answers that are on their way end, and each connection
 * goes as soon as it is idle. Node closes only those that are idle at that very moment; one whose
 * answer began before would be kept for the client's next request until the grace is over.
 */
import type { Clock, Timer } from '../common/clock.ts';

const LOOK_EVERY_MS = 50;

/** What is needed of `node:http`'s Server. */
export interface ClosableServer {
  close(closed: () => void): unknown;
  closeIdleConnections(): void;
  closeAllConnections(): void;
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
