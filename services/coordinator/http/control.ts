/**
 * Everything but keys, on express, built from the route table of api/. A route that is in the table and
 * has no function here fails when the server starts, not when somebody calls it.
 */
import type { IncomingMessage } from 'node:http';
import express from 'express';
import { splitTarget } from '../../api/query.ts';
import {
  CONTROL_ROUTES,
  DATA_ROUTES,
  MISSING_ROADMAP,
  MISSING_ROUTES,
  type Route,
  routesAt,
} from '../../api/routes.ts';
import { present } from '../../common/assert.ts';
import { asError, KvError } from '../../common/errors.ts';
import {
  bootstrap,
  changeVolume,
  showCluster,
  showStatus,
  transferLeader,
} from './admin-routes.ts';
import { runBatch } from './batch-routes.ts';
import type { Exchange } from './exchange.ts';
import { showHealth, showLive, showMetrics, showReady } from './health-routes.ts';
import { listKeys, rangeKeys } from './list-routes.ts';
import { replyError, replyMissing } from './reply.ts';
import { runTransaction, showTransaction } from './transaction-routes.ts';

interface Call {
  readonly exchange: Exchange;
  readonly query: string;
  /** The value of the path's only parameter, or empty. */
  readonly parameter: string;
}

type Serve = (call: Call) => void | Promise<void>;

const SERVES: ReadonlyMap<string, Serve> = new Map<string, Serve>([
  ['GET /kv', ({ exchange, query }) => listKeys(exchange, query)],
  ['GET /range', ({ exchange, query }) => rangeKeys(exchange, query)],
  ['POST /batch', ({ exchange }) => runBatch(exchange)],
  ['POST /transaction', ({ exchange }) => runTransaction(exchange)],
  ['GET /txn/:id', ({ exchange, parameter }) => showTransaction(exchange, parameter)],
  ['GET /health', ({ exchange }) => showHealth(exchange)],
  ['GET /health/live', ({ exchange }) => showLive(exchange)],
  ['GET /health/ready', ({ exchange }) => showReady(exchange)],
  ['GET /metrics', ({ exchange }) => showMetrics(exchange)],
  ['GET /admin/status', ({ exchange }) => showStatus(exchange)],
  ['GET /admin/cluster', ({ exchange }) => showCluster(exchange)],
  ['POST /admin/bootstrap', ({ exchange }) => bootstrap(exchange)],
  ['POST /admin/leader/transfer', ({ exchange }) => transferLeader(exchange)],
  ['POST /admin/volumes/:name', ({ exchange, parameter }) => changeVolume(exchange, parameter)],
]);

const ROUTES: readonly Route[] = [
  ...DATA_ROUTES.filter(({ path }) => !path.includes('*')),
  ...CONTROL_ROUTES,
  ...MISSING_ROUTES,
];

export class Control {
  readonly #app = express();
  readonly #exchanges = new WeakMap<IncomingMessage, Exchange>();

  constructor() {
    for (const setting of ['x-powered-by', 'etag', 'query parser']) this.#app.disable(setting);
    for (const setting of ['case sensitive routing', 'strict routing']) this.#app.enable(setting);
    for (const route of ROUTES) this.#register(route);
    this.#app.use((req: express.Request) => replyUnrouted(this.#exchangeOf(req)));
    this.#app.use((error: unknown, req: express.Request, _res: express.Response, _next: unknown) =>
      replyError(this.#exchangeOf(req), translate(error)),
    );
  }

  /** Resolves when the exchange is over. */
  serve(exchange: Exchange): Promise<void> {
    return new Promise((resolve) => {
      exchange.res.once('close', resolve);
      this.#exchanges.set(exchange.req, exchange);
      this.#app(exchange.req, exchange.res);
    });
  }

  #exchangeOf(req: IncomingMessage): Exchange {
    return present(this.#exchanges.get(req), 'the exchange of a request');
  }

  #register(route: Route): void {
    const { missing } = route;
    const serve: Serve =
      missing === undefined
        ? present(SERVES.get(`${route.method} ${route.path}`), route.path)
        : ({ exchange }) => replyMissing(exchange, missing.feature, missing.roadmap);
    const handle = async (req: express.Request): Promise<void> => {
      const exchange = this.#exchangeOf(req);
      checkListener(exchange, route);
      const [parameter] = Object.values(req.params).flat();
      const { query } = splitTarget(req.url);
      await serve({ exchange, query, parameter: parameter ?? '' });
    };
    switch (route.method) {
      case 'GET':
        this.#app.get(route.path, handle);
        break;
      case 'PUT':
        this.#app.put(route.path, handle);
        break;
      case 'POST':
        this.#app.post(route.path, handle);
        break;
      case 'DELETE':
        this.#app.delete(route.path, handle);
        break;
      case 'HEAD':
        this.#app.head(route.path, handle);
        break;
    }
  }
}

/** @throws KvError `ADMIN_PORT_ONLY`, `ROUTE_NOT_FOUND` for what this listener does not serve. */
function checkListener({ listener, context }: Exchange, { access }: Route): void {
  if (listener === 'admin' && access === 'data') throw notOnAdmin();
  if (listener === 'main' && access === 'operate' && context.options.adminBind !== null) {
    throw new KvError('ADMIN_PORT_ONLY', 'this call is answered on the admin port only');
  }
}

export const notOnAdmin = (): KvError =>
  new KvError('ROUTE_NOT_FOUND', 'the admin port serves /admin, /health and /metrics only');

/** 405 naming what the path does answer. */
export function methodNotAllowed(path: string): KvError {
  const methods = routesAt(ROUTES, path).map(({ method }) => method);
  const allow = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  return new KvError('METHOD_NOT_ALLOWED', 'this path does not answer that method', {
    detail: { allow: [...new Set(allow)].join(', ') },
  });
}

function replyUnrouted(exchange: Exchange): void {
  const { path } = splitTarget(exchange.req.url ?? '');
  const [, first = ''] = path.split('/');
  const missing = MISSING_ROUTES.find(
    (route) => route.access === 'data' && route.path.split('/')[1] === first,
  );
  if (exchange.listener === 'admin') {
    const known = routesAt(ROUTES, path).length > 0;
    replyError(exchange, known ? methodNotAllowed(path) : notOnAdmin());
  } else if (missing?.missing !== undefined) {
    replyMissing(exchange, missing.missing.feature, MISSING_ROADMAP);
  } else if (exchange.req.method === 'GET' && routesAt(ROUTES, path).length > 0) {
    replyError(exchange, methodNotAllowed(path));
  } else {
    replyError(exchange, reservedKey(path));
  }
}

/** What the bare alias answers to a key whose first segment is a route's. */
export const reservedKey = (path: string): KvError =>
  new KvError('RESERVED_KEY', `no such route; as a key it is /kv${path.slice(0, 200)}`);

function translate(error: unknown): unknown {
  if (error instanceof KvError) return error;
  // The router decodes parameters itself and reports malformed ones in its own way.
  if (error instanceof URIError || asError(error).name === 'BadRequestError') {
    return new KvError('INVALID_ARGUMENT', 'the path is not validly encoded', { cause: error });
  }
  return error;
}
