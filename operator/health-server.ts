/** `/livez`, `/readyz` and `/metrics`: all that the operator serves. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { type ClosableServer, closable, closeServers } from '../services/api/close-servers.ts';
import type { Clock } from '../services/common/clock.ts';
import { SECOND_MS } from '../services/common/units.ts';
import type { Metrics } from '../services/telemetry/metrics.ts';

export interface HealthParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Whether a restart would not help. Never asks anybody else. */
  readonly isLive: () => boolean;
  /** Whether this process could act at once if it led. */
  readonly isReady: () => boolean;
}

const CLOSE_MS = SECOND_MS;
const TEXT = 'text/plain; charset=utf-8';

export class HealthServer {
  readonly #server: Server;
  readonly #closable: ClosableServer;
  readonly #clock: Clock;

  constructor(parts: HealthParts) {
    this.#server = createServer(listener(parts));
    this.#closable = closable(this.#server);
    this.#clock = parts.clock;
  }

  /** Listens and answers the port. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async close(): Promise<void> {
    if (this.#server.listening) await closeServers([this.#closable], this.#clock, CLOSE_MS);
  }
}

function listener({ metrics, isLive, isReady }: HealthParts): RequestListener {
  return (request, response) => {
    const say = (status: number, text: string, type = TEXT): void => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
      response.end(request.method === 'HEAD' ? '' : text);
    };
    const judge = (isWell: boolean): void => say(isWell ? 200 : 503, isWell ? 'ok\n' : 'not yet\n');
    const [path] = (request.url ?? '').split('?');
    if (request.method !== 'GET' && request.method !== 'HEAD') say(405, 'only GET and HEAD\n');
    else if (path === '/livez') judge(isLive());
    else if (path === '/readyz') judge(isReady());
    else if (path === '/metrics') {
      metrics.print().then(
        (text) => say(200, text, metrics.contentType),
        (error: unknown) => say(500, `${String(error)}\n`),
      );
    } else say(404, 'here are /livez, /readyz and /metrics\n');
  };
}
