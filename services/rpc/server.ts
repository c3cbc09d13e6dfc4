/**
 * Accepts streams and unary calls on one port. The sockets are our own: the first bytes of a connection
 * say whether it is a stream (frames.ts) or of gRPC, which it is then handed to. Errors leave with their
 * code; a bug in a unary handler is logged and answered with INTERNAL.
 */
import { type Clock, sleep } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { encodeFailure, FRAME, frameOf, isStream, parsePreface } from './frames.ts';
import type { CallServer, Listener, Network, StreamSocket } from './network.ts';
import { SocketWire } from './socket-wire.ts';
import { StreamEnd } from './stream-end.ts';
import {
  type BidiMethod,
  type OnOpen,
  RPC_LIMITS,
  type RpcServer,
  type UnaryMethod,
} from './types.ts';

/** One call that a server answers; made by `bidi` and `unary`. */
export interface RpcService {
  register(host: ServerHost): void;
}

/** Accepts streams of `method`; `accept` is called for each. */
export function bidi<Request, Reply>(
  method: BidiMethod<Request, Reply>,
  accept: OnOpen<Reply, Request>,
): RpcService {
  return { register: (host) => host.addBidi(method, accept) };
}

/** Answers calls of `method`. A `KvError` that the handler rejects with reaches the caller whole. */
export function unary<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  handler: (request: Request) => Promise<Reply>,
): RpcService {
  return { register: (host) => host.addUnary(method, handler) };
}

/**
 * Listens on `bind` (host:port; port 0 picks a free one).
 * @throws the system's error when the address cannot be bound.
 */
export async function startRpcServer(
  components: ServerComponents,
  options: { readonly bind: string; readonly services: readonly RpcService[] },
): Promise<RpcServer> {
  const host = new ServerHost(components);
  for (const service of options.services) service.register(host);
  await host.listen(options.bind);
  return host;
}

export interface ServerComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly network: Network;
}

/** Takes a connection whose preface has named the method; `rest` came behind it. */
type Accept = (socket: StreamSocket, rest: Buffer) => void;

/** What a running server holds: its sockets and its open streams. */
class ServerHost implements RpcServer {
  readonly #components: ServerComponents;
  readonly #calls: CallServer;
  #listener: Listener | null = null;
  readonly #sockets = new Set<StreamSocket>();
  readonly #methods = new Map<string, Accept>();
  readonly #streams = new Set<{ close(reason: KvError): void }>();
  #callCount = 0;
  #isClosing = false;
  #onIdle: () => void = () => undefined;

  constructor(components: ServerComponents) {
    this.#components = components;
    this.#calls = components.network.newCallServer();
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  addBidi<Request, Reply>(
    method: BidiMethod<Request, Reply>,
    accept: OnOpen<Reply, Request>,
  ): void {
    this.#methods.set(method.path, (socket, rest) =>
      this.#accept(socket, rest, { method, accept }),
    );
  }

  addUnary<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    handler: (request: Request) => Promise<Reply>,
  ): void {
    this.#calls.register(method, (request) => this.#answer(method.path, () => handler(request)));
  }

  async listen(bind: string): Promise<void> {
    const { logger, network } = this.#components;
    this.#listener = await network.listen(bind, {
      connected: (socket) => this.#connected(socket),
      failed: (error) => logger.warn({ error }, 'rpc listener failed'),
    });
  }

  async close(graceMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#listener?.close();
    await this.#idle(graceMs);
    for (const stream of this.#streams) {
      stream.close(new KvError('STOPPING', 'this process is stopping'));
    }
    await this.#goAway();
    for (const socket of this.#sockets) socket.destroy();
    this.#calls.cut();
  }

  /** Resolves once nothing is open, or after `timeoutMs`. */
  async #idle(timeoutMs: number): Promise<void> {
    if (this.#streams.size + this.#callCount === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    await within(this.#components.clock, idle, timeoutMs);
  }

  /** Lets final statuses leave: a socket destroyed now would swallow them. */
  async #goAway(): Promise<void> {
    this.#calls.shutDown();
    const open = [...this.#sockets].filter(({ closed }) => !closed);
    const gone = open.map(
      (socket) => new Promise<void>((resolve) => socket.once('close', resolve)),
    );
    await within(this.#components.clock, Promise.all(gone), RPC_LIMITS.closeGraceMs);
  }

  #left(): void {
    if (this.#streams.size + this.#callCount === 0) this.#onIdle();
  }

  #refusal(): KvError | null {
    if (this.#isClosing) return new KvError('STOPPING', 'this process is stopping');
    if (this.#streams.size + this.#callCount >= RPC_LIMITS.streamsMax) {
      return new KvError('OVERLOADED', 'too many streams are open here');
    }
    return null;
  }

  #connected(socket: StreamSocket): void {
    const remote = remoteOf(socket);
    this.#sockets.add(socket);
    socket.on('error', (error) =>
      this.#components.logger.debug({ remote, error }, 'connection failed'),
    );
    socket.on('close', () => this.#sockets.delete(socket));
    socket.setTimeout(RPC_LIMITS.prefaceTimeoutMs, () => socket.destroy());
    socket.once('data', (first: Buffer) => {
      if (isStream(first)) {
        this.#greeted(socket, first);
        return;
      }
      socket.setTimeout(0);
      this.#calls.take(socket, first);
    });
  }

  /** Reads on until the preface is whole. */
  #greeted(socket: StreamSocket, bytes: Buffer): void {
    try {
      const preface = parsePreface(bytes);
      if (preface === null) {
        socket.once('data', (more: Buffer) => this.#greeted(socket, Buffer.concat([bytes, more])));
        return;
      }
      socket.setTimeout(0);
      const accept = this.#methods.get(preface.path);
      if (accept === undefined) {
        throw new KvError('NOT_IMPLEMENTED', `${preface.path} is no stream of this process`);
      }
      const refusal = this.#refusal();
      if (refusal !== null) throw refusal;
      accept(socket, preface.rest);
    } catch (thrown) {
      const error = asError(thrown);
      if (!(error instanceof KvError)) throw error;
      refuse(socket, error);
    }
  }

  #accept<Request, Reply>(
    socket: StreamSocket,
    rest: Buffer,
    {
      method,
      accept,
    }: { readonly method: BidiMethod<Request, Reply>; readonly accept: OnOpen<Reply, Request> },
  ): void {
    const { clock } = this.#components;
    const wire = new SocketWire(
      { clock, socket, remote: remoteOf(socket) },
      {
        message: (bytes) => stream.received(bytes),
        ended: (reason) => {
          this.#streams.delete(stream);
          stream.closed(reason);
          this.#left();
        },
      },
    );
    const stream: StreamEnd<Reply, Request> = new StreamEnd<Reply, Request>(clock, wire, {
      encode: method.responseSerialize,
      decode: method.requestDeserialize,
    });
    this.#streams.add(stream);
    wire.accept();
    stream.open(accept);
    wire.received(rest);
  }

  /** Rejects with a `KvError` only. */
  async #answer<Reply>(path: string, handle: () => Promise<Reply>): Promise<Reply> {
    const refusal = this.#refusal();
    if (refusal !== null) throw refusal;
    this.#callCount += 1;
    try {
      return await handle();
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof KvError) throw error;
      this.#components.logger.error({ path, error }, 'rpc handler failed');
      throw new KvError('INTERNAL', 'internal error');
    } finally {
      this.#callCount -= 1;
      this.#left();
    }
  }
}

/** Waits for `event`, but not longer than `timeoutMs`. */
async function within(clock: Clock, event: Promise<unknown>, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  const late = sleep(clock, timeoutMs, timer.signal).catch(() => undefined);
  await Promise.race([event, late]);
  timer.abort();
}

/** Says why, and ends the connection. */
function refuse(socket: StreamSocket, reason: KvError): void {
  socket.write(frameOf(FRAME.failure, encodeFailure(reason)));
  socket.end();
  socket.setTimeout(RPC_LIMITS.closeGraceMs, () => socket.destroy());
  socket.resume();
}

const remoteOf = (socket: StreamSocket): string =>
  `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
