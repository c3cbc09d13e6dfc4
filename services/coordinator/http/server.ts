/**
 * The coordinator's HTTP server. Keys are served on Node's own server, without a framework on their
 * way; everything else goes to the control surface. The socket opens before the node has recovered.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ClosableServer, closable, closeServers } from '../../api/close-servers.ts';
import { decodeKey, hasReservedSegment } from '../../api/key-path.ts';
import { checkHead } from '../../api/protocol-fault.ts';
import { splitTarget } from '../../api/query.ts';
import { RESERVED_SEGMENTS } from '../../api/routes.ts';
import { KvError } from '../../common/errors.ts';
import { parseHostPort } from '../../rpc/address.ts';
import type { AdminPort } from '../admin-port.ts';
import type { Gateway } from '../gateway.ts';
import { Connections } from './connections.ts';
import { Control, methodNotAllowed, notOnAdmin, reservedKey } from './control.ts';
import { Exchange, type Listener } from './exchange.ts';
import { type HttpComponents, HttpContext, type HttpOptions } from './http-context.ts';
import type { Endpoint } from './http-metrics.ts';
import { readKey } from './key-reads.ts';
import { deleteKey, writeKey } from './key-writes.ts';
import { HTTP_LIMITS, PARSED_HEADERS_MAX, serverOptions } from './limits.ts';
import { replyError } from './reply.ts';

export interface HttpServer {
  readonly port: number;
  /** null: no listener of its own. */
  readonly adminPort: number | null;
  /** From now on admin calls are answered; a node without an identity has only this. */
  serveAdmin(admin: AdminPort): void;
  /** From now on keys are served. */
  serveData(gateway: Gateway): void;
  /** Not ready, and every answer closes its connection; requests are still served. */
  beginDrain(): void;
  /** Stops listening; connections end as soon as they are idle, after at most `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** `startHttpServer`, or a stand-in. */
export type StartHttp = (components: HttpComponents, options: HttpOptions) => Promise<HttpServer>;

/** Listens; answers probes at once and all else with NOT_READY until the ports are given. */
export async function startHttpServer(
  components: HttpComponents,
  options: HttpOptions,
): Promise<HttpServer> {
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const context = new HttpContext(components, options, limits);
  const control = new Control();
  const servers: ClosableServer[] = [];
  const open = (bind: string, listener: Listener): Promise<Server> => {
    const server = createServer(serverOptions(limits));
    servers.push(closable(server));
    server.maxHeadersCount = PARSED_HEADERS_MAX;
    const connections = new Connections(context);
    connections.guard(server);
    attach(server, (req, res, expectsContinue) => {
      const exchange = new Exchange(context, { req, res, listener, expectsContinue });
      connections.inTurn(exchange, () => void serve(exchange, control));
    });
    return listen(server, bind);
  };
  const main = await open(options.httpBind, 'main');
  const admin = options.adminBind === null ? null : await open(options.adminBind, 'admin');
  return {
    port: portOf(main),
    adminPort: admin === null ? null : portOf(admin),
    serveAdmin(port) {
      context.admin = port;
    },
    serveData(gateway) {
      context.gateway = gateway;
    },
    beginDrain() {
      context.draining = true;
    },
    close(graceMs) {
      context.draining = true;
      return closeServers(servers, components.clock, graceMs);
    },
  };
}

type Receive = (req: IncomingMessage, res: ServerResponse, expectsContinue: boolean) => void;

function attach(server: Server, receive: Receive): void {
  server.on('request', (req, res) => receive(req, res, false));
  server.on('checkContinue', (req, res) => receive(req, res, true));
  server.on('checkExpectation', (req, res) => receive(req, res, false));
}

async function serve(exchange: Exchange, control: Control): Promise<void> {
  let endpoint: Endpoint = 'refused';
  try {
    const target = targetOf(exchange);
    endpoint = target.key === null ? 'control' : 'kv';
    if (target.key === null) await control.serve(exchange);
    else await serveKey(exchange, target.key, target.query);
  } catch (error) {
    // The rest of a small body is in the same packet: once this turn is over it has been read.
    if (!exchange.req.complete) await Promise.resolve();
    replyError(exchange, error);
  }
  const { metrics, components } = exchange.context;
  const durationMs = components.clock.monotonicMs() - exchange.startedMs;
  metrics.answered(endpoint, exchange.res.statusCode, durationMs);
  if (exchange.receivedBytes > 0) metrics.received(exchange.receivedBytes);
}

interface Target {
  /** null: for the control surface. */
  readonly key: Uint8Array | null;
  readonly query: string;
}

const KEY_PREFIX = '/kv/';

function targetOf({ req, listener }: Exchange): Target {
  const url = req.url ?? '';
  const { httpVersion, rawHeaders } = req;
  checkHead({ httpVersion, url, rawHeaders, upgrade: req.headers.upgrade !== undefined });
  checkExpectation(req);
  const { path, query } = splitTarget(url);
  if (path.startsWith(KEY_PREFIX) && listener === 'main') {
    return { key: decodeKey(path.slice(KEY_PREFIX.length)), query };
  }
  const slash = path.indexOf('/', 1);
  const first = path.slice(1, slash < 0 ? path.length : slash);
  if (RESERVED_SEGMENTS.has(first)) {
    if (!isKeyMethod(req.method)) throw methodNotAllowed(path);
    return { key: null, query };
  }
  if (listener === 'admin') throw notOnAdmin();
  const key = decodeKey(path.slice(1));
  if (hasReservedSegment(key)) throw reservedKey(path);
  return { key, query };
}

function checkExpectation({ headers }: IncomingMessage): void {
  const { expect } = headers;
  if (expect === undefined || expect.toLowerCase() === '100-continue') return;
  throw new KvError('EXPECTATION_FAILED', 'the only expectation that is met is 100-continue');
}

const KEY_METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'];

const isKeyMethod = (method: string | undefined): boolean =>
  method !== undefined && KEY_METHODS.includes(method);

function serveKey(exchange: Exchange, key: Uint8Array, query: string): Promise<void> {
  switch (exchange.req.method ?? '') {
    case 'GET':
    case 'HEAD':
      return readKey(exchange, key, query);
    case 'PUT':
    case 'POST':
      return writeKey(exchange, key, query);
    case 'DELETE':
      return deleteKey(exchange, key, query);
    default:
      throw new KvError('METHOD_NOT_ALLOWED', 'a key does not answer that method', {
        detail: { allow: KEY_METHODS.join(', ') },
      });
  }
}

/** @throws Error of the system when the address is taken or not ours. */
function listen(server: Server, bind: string): Promise<Server> {
  const { host, port } = parseHostPort(bind);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
