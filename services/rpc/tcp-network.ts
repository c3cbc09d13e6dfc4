/**
 * The machine's own network: TCP sockets and the system's resolver, and gRPC for calls of one request
 * and one reply. It takes over the connections of a listener that are no streams.
 */
import { connect, createServer, Socket } from 'node:net';
import {
  type Client,
  type ConnectionInjector,
  Server as GrpcServer,
  Metadata,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { assert } from '../common/assert.ts';
import { systemClock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { parseHostPort, resolveAll } from './address.ts';
import { newClient, SHARED_OPTIONS } from './channel.ts';
import type { Call, CallServer, ListenEvents, Listener, Network, StreamSocket } from './network.ts';
import { fromStatus, toStatus } from './status.ts';
import { RPC_LIMITS, type UnaryMethod } from './types.ts';

export const tcpNetwork: Network = {
  resolve: resolveAll,
  connect: (ipPort) => connect({ ...parseHostPort(ipPort), noDelay: true }),
  listen,
  newCallServer: () => new GrpcCalls(),
  call: callOnce,
};

async function listen(bind: string, events: ListenEvents): Promise<Listener> {
  const { host, port } = parseHostPort(bind);
  const server = createServer({ noDelay: true }, (socket) => events.connected(socket));
  server.maxConnections = RPC_LIMITS.connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => events.failed(error));
  return {
    get port() {
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    },
    close: () => void server.close(),
  };
}

class GrpcCalls implements CallServer {
  readonly #server = new GrpcServer({
    ...SHARED_OPTIONS,
    'grpc.max_concurrent_streams': RPC_LIMITS.streamsMax,
  });
  readonly #injector: ConnectionInjector;

  constructor() {
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  register<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    handle: (request: Request) => Promise<Reply>,
  ): void {
    const answer = (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>): void => {
      handle(call.request).then(
        (value) => reply(null, value),
        (error: unknown) => reply(toStatus(fromStatus(error))),
      );
    };
    const { path, responseSerialize, requestDeserialize } = method;
    this.#server.register(path, answer, responseSerialize, requestDeserialize, 'unary');
  }

  take(socket: StreamSocket, first: Buffer): void {
    assert(socket instanceof Socket, 'gRPC takes a socket of this machine');
    socket.pause();
    socket.unshift(first);
    this.#injector.injectConnection(socket);
  }

  shutDown(): void {
    this.#server.tryShutdown(() => undefined);
  }

  cut(): void {
    this.#server.forceShutdown();
  }
}

async function callOnce<Request, Reply>(call: Call<Request, Reply>): Promise<Reply> {
  const client = newClient(call.ipPort);
  try {
    return await request(client, call);
  } finally {
    client.close();
  }
}

function request<Request, Reply>(
  client: Client,
  { method, request, timeoutMs }: Call<Request, Reply>,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline: systemClock.wallMs() + timeoutMs },
      (error, reply) => {
        if (error !== null) reject(error);
        else if (reply === undefined) reject(new KvError('INTERNAL', 'a call ended without reply'));
        else resolve(reply);
      },
    );
  });
}
