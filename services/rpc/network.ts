/**
 * The machine's network as a port. Links, streams, keepalive and deadlines stand on top of it and are
 * the same on every network: `tcpNetwork` is the machine's own, a simulation brings another.
 */
import type { UnaryMethod } from './types.ts';

/** A connection as far as streams use it; a TCP socket of Node is one. */
export interface StreamSocket {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  readonly closed: boolean;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  on(event: 'data', listener: (bytes: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end' | 'close', listener: () => void): unknown;
  once(event: 'data', listener: (bytes: Buffer) => void): unknown;
  once(event: 'close', listener: () => void): unknown;
  /** `written` once the bytes have left this process. */
  write(bytes: Uint8Array, written?: () => void): boolean;
  cork(): void;
  uncork(): void;
  /** Ends behind what is queued. */
  end(): unknown;
  /** Ends now; what is queued is lost. */
  destroy(): unknown;
  /** Drops what still comes where nobody reads it. */
  resume(): unknown;
  /** Calls `idle` after so long without a byte either way; 0: never. */
  setTimeout(timeoutMs: number, idle?: () => void): unknown;
}

export interface Listener {
  /** The bound port (for bind port 0). */
  readonly port: number;
  /** No more connections; open ones stay. */
  close(): void;
}

export interface ListenEvents {
  connected(socket: StreamSocket): void;
  failed(error: Error): void;
}

/** The answering side of calls of one request and one reply. */
export interface CallServer {
  /** `handle` rejects with a `KvError` only. */
  register<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    handle: (request: Request) => Promise<Reply>,
  ): void;
  /** Takes over a connection on which `first` has arrived. */
  take(socket: StreamSocket, first: Buffer): void;
  /** No more calls; those under way may end. */
  shutDown(): void;
  /** Whatever is still under way ends now. */
  cut(): void;
}

/** One call, on a connection of its own. */
export interface Call<Request, Reply> {
  readonly method: UnaryMethod<Request, Reply>;
  readonly ipPort: string;
  readonly request: Request;
  readonly timeoutMs: number;
}

export interface Network {
  /**
   * Every ip:port that `address` stands for at this moment.
   * @throws KvError `UNAVAILABLE` when the name has none, `INVALID_ARGUMENT` when it is malformed.
   */
  resolve(address: string): Promise<readonly string[]>;
  /** Begins to connect; what is written meanwhile waits. */
  connect(ipPort: string): StreamSocket;
  /** Listens on `bind` (host:port). @throws the system's error when the address cannot be bound. */
  listen(bind: string, events: ListenEvents): Promise<Listener>;
  newCallServer(): CallServer;
  /** Rejects with the other end's `KvError`, or with what `fromStatus` makes one of. */
  call<Request, Reply>(call: Call<Request, Reply>): Promise<Reply>;
}
