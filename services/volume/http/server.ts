/**
 * A volume's HTTP server: probes, metrics, status, and single copies for signed redirects. It opens
 * before recovery, and no key can be asked of it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ClosableServer, closable, closeServers } from '../../api/close-servers.ts';
import type { LiveBody, VolumeHealthBody } from '../../api/health.ts';
import {
  checkHead,
  faultOfParser,
  HEADER_BYTES_MAX,
  HEADER_COUNT_MAX,
  rawAnswer,
} from '../../api/protocol-fault.ts';
import { splitTarget } from '../../api/query.ts';
import { type Route, routesAt, VOLUME_ROUTES } from '../../api/routes.ts';
import { present } from '../../common/assert.ts';
import type { Clock } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import { hexOf } from '../../common/ids.ts';
import type { Random } from '../../common/random.ts';
import { SECOND_MS } from '../../common/units.ts';
import { VERSION } from '../../common/version.ts';
import { parseHostPort } from '../../rpc/address.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { forbidden, sendBlob } from './blob-route.ts';
import { type Exchange, reply, replyError, replyJson } from './reply.ts';
import type { VolumeHttpPort } from './volume-http-port.ts';

export interface VolumeHttpComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly port: VolumeHttpPort;
}

export interface VolumeHttpOptions {
  /** host:port; port 0 picks a free one. */
  readonly httpBind: string;
  /** A second listener for probes, metrics and status; null: none. */
  readonly adminBind: string | null;
}

export interface HttpServer {
  readonly port: number;
  readonly adminPort: number | null;
  /** Stops listening; connections end as soon as they are idle, after at most `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** `startVolumeHttp`, or a stand-in. */
export type StartVolumeHttp = (
  components: VolumeHttpComponents,
  options: VolumeHttpOptions,
) => Promise<HttpServer>;

const CONNECTIONS_MAX = 10_000;
const SERVER_OPTIONS = {
  maxHeaderSize: HEADER_BYTES_MAX,
  headersTimeout: 10 * SECOND_MS,
  requestTimeout: 15 * SECOND_MS,
  keepAliveTimeout: 65 * SECOND_MS,
  connectionsCheckingInterval: 500,
};

export async function startVolumeHttp(
  components: VolumeHttpComponents,
  options: VolumeHttpOptions,
): Promise<HttpServer> {
  const servers: ClosableServer[] = [];
  const open = (bind: string, withData: boolean): Promise<Server> => {
    const requests = new Requests(components, withData);
    const server = createServer(SERVER_OPTIONS);
    servers.push(closable(server));
    server.maxHeadersCount = HEADER_COUNT_MAX + 1;
    server.maxConnections = CONNECTIONS_MAX;
    server.on('request', (req, res) => void requests.serve(req, res));
    server.on('checkContinue', (req, res) => void requests.serve(req, res));
    server.on('checkExpectation', (req, res) => void requests.serve(req, res));
    server.on('clientError', (error: ParserError, socket) => requests.parserFailed(error, socket));
    return listen(server, bind);
  };
  const main = await open(options.httpBind, true);
  const admin = options.adminBind === null ? null : await open(options.adminBind, false);
  return {
    port: portOf(main),
    adminPort: admin === null ? null : portOf(admin),
    close: (graceMs) => closeServers(servers, components.clock, graceMs),
  };
}

interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: Uint8Array;
}

/** The requests of one listener. */
class Requests {
  readonly #components: VolumeHttpComponents;
  readonly #withData: boolean;
  readonly #idPrefix: string;
  #count = 0;
  /** Sockets with a request that is being answered. */
  readonly #answering = new WeakSet<Duplex>();

  constructor(components: VolumeHttpComponents, withData: boolean) {
    this.#components = components;
    this.#withData = withData;
    this.#idPrefix = hexOf(components.random.bytes(4));
  }

  async serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { logger } = this.#components;
    const exchange: Exchange = { req, res, requestId: this.#mintId(), logger };
    const { socket } = req;
    this.#answering.add(socket);
    res.once('close', () => this.#answering.delete(socket));
    try {
      await this.#answer(exchange);
    } catch (error) {
      replyError(exchange, error);
    }
  }

  parserFailed(error: ParserError, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable || this.#answering.has(socket)) {
      socket.destroy();
      return;
    }
    const answer = rawAnswer(faultOfParser(error.code, error.rawPacket), this.#mintId());
    socket.end(answer, () => socket.destroy());
  }

  #mintId(): string {
    this.#count += 1;
    return `${this.#idPrefix}-${this.#count.toString(36)}`;
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { req } = exchange;
    const { httpVersion, rawHeaders, url = '' } = req;
    checkHead({ httpVersion, url, rawHeaders, upgrade: req.headers.upgrade !== undefined });
    refuseBody(req);
    const { path, query } = splitTarget(url);
    const route = this.#routeOf(path, req.method ?? '');
    const [, , id = ''] = path.split('/');
    switch (route.path) {
      case '/blob/:copyId':
        await sendBlob(exchange, this.#components, { id, query });
        break;
      case '/metrics':
        await this.#showMetrics(exchange);
        break;
      default:
        this.#show(exchange, route.path);
    }
  }

  #routeOf(path: string, method: string): Route {
    const served = VOLUME_ROUTES.filter(({ access }) => this.#withData || access !== 'data');
    const here = routesAt(served, path);
    const wanted = method === 'HEAD' ? ['HEAD', 'GET'] : [method];
    const route = here.find((candidate) => wanted.includes(candidate.method));
    if (route !== undefined) return route;
    if (here.length > 0) {
      throw new KvError('METHOD_NOT_ALLOWED', 'this path is read only', {
        detail: { allow: 'GET, HEAD' },
      });
    }
    if (this.#withData) throw forbidden();
    throw new KvError('ROUTE_NOT_FOUND', 'the admin port serves /admin, /health and /metrics only');
  }

  #show(exchange: Exchange, path: string): void {
    const { port, clock } = this.#components;
    if (path === '/health/live') {
      const timestamp = Math.floor(clock.wallMs() / 1000);
      const body: LiveBody = { alive: true, version: VERSION, timestamp };
      replyJson(exchange, 200, body);
    } else if (path === '/health/ready') {
      const body = port.readiness();
      replyJson(exchange, body.ready ? 200 : 503, body);
    } else if (path === '/health') {
      replyJson(exchange, 200, this.#health());
    } else {
      this.#showStatus(exchange);
    }
  }

  #health(): VolumeHealthBody {
    const { port } = this.#components;
    const { name, state } = port.status();
    const { copies, bytes } = port.usage();
    const running = port.readiness().ready ? 'healthy' : 'starting';
    return {
      status: state === 'stopping' ? 'stopping' : running,
      volume_id: name,
      total_keys: copies,
      total_bytes: bytes,
    };
  }

  #showStatus(exchange: Exchange): void {
    const status = this.#components.port.status();
    const expected = exchange.req.headers['x-minikv-cluster-id'];
    if (expected !== undefined && status.clusterId !== null && expected !== status.clusterId) {
      throw new KvError('WRONG_CLUSTER', 'this volume belongs to another cluster', {
        detail: { clusterId: status.clusterId },
      });
    }
    replyJson(exchange, 200, status);
  }

  async #showMetrics(exchange: Exchange): Promise<void> {
    const { metrics } = this.#components;
    const text = Buffer.from(await metrics.print());
    reply(exchange, { status: 200, headers: ['Content-Type', metrics.contentType] }, text);
  }
}

function refuseBody({ headers }: IncomingMessage): void {
  if (headers.expect !== undefined) {
    throw new KvError('EXPECTATION_FAILED', 'no request to a volume has a body to wait for');
  }
  const length = Number(headers['content-length'] ?? 0);
  if (length === 0 && headers['transfer-encoding'] === undefined) return;
  throw new KvError('INVALID_ARGUMENT', 'no request to a volume has a body');
}

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
  const address = present(server.address(), 'the address of a listening server');
  return typeof address === 'string' ? 0 : address.port;
}
