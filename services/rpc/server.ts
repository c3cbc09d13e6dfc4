/**
 * Accepts streams and unary calls. The sockets are our own and are handed to grpc-js: so connections
 * are counted, and a peer that never reads can be cut off for real. Errors leave as statuses that
 * carry the code; a bug in a unary handler is logged and answered with INTERNAL.
 */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  Server as GrpcServer,
  Metadata,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { sleep, systemClock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { parseHostPort } from './address.ts';
import { asIs, SHARED_OPTIONS } from './channel.ts';
import { toStatus } from './status.ts';
import { StreamEnd, type Wire } from './stream-end.ts';
import {
  type BidiMethod,
  type OnOpen,
  RPC_LIMITS,
  type RpcServer,
  type UnaryMethod,
} from './types.ts';
import { widenWindows } from './windows.ts';

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
  components: { readonly logger: Logger },
  options: { readonly bind: string; readonly services: readonly RpcService[] },
): Promise<RpcServer> {
  const host = new ServerHost(components.logger);
  for (const service of options.services) service.register(host);
  await host.listen(options.bind);
  return host;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

/** What a running server holds: its sockets by remote host:port and its open streams. */
class ServerHost implements RpcServer {
  readonly #logger: Logger;
  readonly #grpc = new GrpcServer({
    ...SHARED_OPTIONS,
    'grpc.max_concurrent_streams': RPC_LIMITS.streamsMax,
  });
  readonly #net: NetServer;
  readonly #sockets = new Map<string, Socket>();
  readonly #streams = new Set<{ close(reason: KvError): void }>();
  #callCount = 0;
  #isClosing = false;
  #onIdle: () => void = () => undefined;
  #stopWidening: () => void = () => undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#net = createServer({ noDelay: true }, (socket) => {
      const remote = remoteOf(socket);
      this.#sockets.set(remote, socket);
      socket.on('error', (error) => this.#logger.debug({ remote, error }, 'connection failed'));
      socket.on('close', () => this.#sockets.delete(remote));
      injector.injectConnection(socket);
    });
    this.#net.maxConnections = RPC_LIMITS.streamsMax;
  }

  get port(): number {
    const address = this.#net.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  addBidi<Request, Reply>(
    method: BidiMethod<Request, Reply>,
    accept: OnOpen<Reply, Request>,
  ): void {
    const handle = (call: Call): void => this.#accept(call, method, accept);
    this.#grpc.register(method.path, handle, asIs, asIs, 'bidi');
  }

  addUnary<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    handler: (request: Request) => Promise<Reply>,
  ): void {
    const handle = (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>): void => {
      void this.#answer(method.path, () => handler(call.request), reply);
    };
    const { path, responseSerialize, requestDeserialize } = method;
    this.#grpc.register(path, handle, responseSerialize, requestDeserialize, 'unary');
  }

  async listen(bind: string): Promise<void> {
    const { host, port } = parseHostPort(bind);
    await new Promise<void>((resolve, reject) => {
      this.#net.once('error', reject);
      this.#net.listen({ host, port }, () => {
        this.#net.removeListener('error', reject);
        resolve();
      });
    });
    this.#net.on('error', (error) => this.#logger.warn({ error }, 'rpc listener failed'));
    this.#stopWidening = widenWindows((session) => {
      const socket = this.#sockets.get(remoteOf(session.socket));
      return socket !== undefined && session.socket.localPort === this.port;
    });
  }

  async close(graceMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#net.close();
    await this.#idle(graceMs);
    for (const stream of this.#streams) {
      stream.close(new KvError('STOPPING', 'this process is stopping'));
    }
    await this.#goAway();
    this.#stopWidening();
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#grpc.forceShutdown();
  }

  /** Resolves once nothing is open, or after `timeoutMs`. */
  async #idle(timeoutMs: number): Promise<void> {
    if (this.#streams.size + this.#callCount === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    await within(idle, timeoutMs);
  }

  /** Lets final statuses leave: a socket destroyed now would swallow them. */
  async #goAway(): Promise<void> {
    this.#grpc.tryShutdown(() => undefined);
    const open = [...this.#sockets.values()].filter(({ closed }) => !closed);
    const gone = open.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    await within(Promise.all(gone), RPC_LIMITS.closeGraceMs);
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

  #accept<Request, Reply>(
    call: Call,
    method: BidiMethod<Request, Reply>,
    accept: OnOpen<Reply, Request>,
  ): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      endWith(call, refusal);
      return;
    }
    const stream = new StreamEnd<Reply, Request>(systemClock, this.#wireOf(call), {
      encode: method.responseSerialize,
      decode: method.requestDeserialize,
    });
    this.#streams.add(stream);
    call.on('cancelled', () => {
      this.#streams.delete(stream);
      stream.closed(new KvError('UNAVAILABLE', `${stream.remote} ended the stream`));
      this.#left();
    });
    // Headers at once: they tell the dialling end that its stream is open.
    call.sendMetadata(new Metadata());
    stream.open(accept);
    call.on('data', (bytes: Buffer) => stream.received(bytes));
    call.on('end', () => call.end());
  }

  async #answer<Reply>(
    path: string,
    handle: () => Promise<Reply>,
    reply: sendUnaryData<Reply>,
  ): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== null) {
      reply(toStatus(refusal));
      return;
    }
    this.#callCount += 1;
    try {
      reply(null, await handle());
    } catch (thrown) {
      const error = asError(thrown);
      if (!(error instanceof KvError)) this.#logger.error({ path, error }, 'rpc handler failed');
      reply(toStatus(error instanceof KvError ? error : new KvError('INTERNAL', 'internal error')));
    } finally {
      this.#callCount -= 1;
      this.#left();
    }
  }

  #wireOf(call: Call): Wire {
    const remote = call.getPeer();
    return {
      remote,
      write: (bytes, written) => call.write(bytes, written),
      finish: (reason) => {
        if (reason === undefined) call.end();
        else endWith(call, reason);
      },
      // An HTTP/2 reset would wait behind what is queued; the socket does not.
      cut: () => this.#sockets.get(remote)?.destroy(),
    };
  }
}

/** Waits for `event`, but not longer than `timeoutMs`. */
async function within(event: Promise<unknown>, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  const late = sleep(systemClock, timeoutMs, timer.signal).catch(() => undefined);
  await Promise.race([event, late]);
  timer.abort();
}

/** grpc-js takes the final status of a stream from an error event on it. */
const endWith = (call: Call, reason: KvError): boolean =>
  call.emit('error', Object.assign(new Error(reason.message), toStatus(reason)));

/** As grpc-js names a peer, so that a call finds its socket. */
const remoteOf = (socket: Socket | TLSSocket): string =>
  `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
