/**
 * Wider HTTP/2 windows for a server. grpc-js lets only a client set them, and Node's default of
 * 64 KiB makes a sender wait a round trip for each quarter of a chunk; the diagnostics channel of
 * node:http2 is the public way to the server's sessions.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Http2Stream, ServerHttp2Session } from 'node:http2';
import { RPC_LIMITS } from './types.ts';

const STREAM_CREATED = 'http2.server.stream.created';

/** Widens each session that belongs to `isOurs` at its first stream; answers how to stop. */
export function widenWindows(isOurs: (session: ServerHttp2Session) => boolean): () => void {
  const widened = new WeakSet<ServerHttp2Session>();
  const onStream = (event: unknown): void => {
    const session = (event as { stream: Http2Stream }).stream.session as
      | ServerHttp2Session
      | undefined;
    if (session === undefined || session.destroyed || widened.has(session)) return;
    if (!isOurs(session)) return;
    widened.add(session);
    session.setLocalWindowSize(RPC_LIMITS.windowBytes);
    session.settings({ initialWindowSize: RPC_LIMITS.windowBytes });
  };
  subscribe(STREAM_CREATED, onStream);
  return () => unsubscribe(STREAM_CREATED, onStream);
}
