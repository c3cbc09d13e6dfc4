/**
 * What all HTTP routes share. Gateway and admin port come later than the socket: a coordinator that
 * is still recovering answers its probes, and everything else with NOT_READY.
 */
import type { Clock } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import type { Random } from '../../common/random.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { AdminPort } from '../admin-port.ts';
import type { Gateway } from '../gateway.ts';
import { HttpMetrics } from './http-metrics.ts';
import type { HttpLimits } from './limits.ts';

export interface HttpComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

export interface HttpOptions {
  /** host:port; port 0 picks a free one. */
  readonly httpBind: string;
  /** host:port of a second listener for admin, health and metrics; null: all on the first. */
  readonly adminBind: string | null;
  /** Asked at each request, since the setting is reloadable. */
  readonly maxObjectBytes: () => number;
  readonly requestTimeoutMs: number;
  readonly version: string;
  readonly limits?: Partial<HttpLimits>;
}

export class HttpContext {
  readonly components: HttpComponents;
  readonly options: HttpOptions;
  readonly limits: HttpLimits;
  readonly metrics: HttpMetrics;
  gateway: Gateway | null = null;
  admin: AdminPort | null = null;
  /** Every answer closes its connection. */
  draining = false;
  /** Of all listeners. */
  connections = 0;
  readonly #idPrefix: string;
  #requests = 0;

  constructor(components: HttpComponents, options: HttpOptions, limits: HttpLimits) {
    this.components = components;
    this.options = options;
    this.limits = limits;
    this.metrics = new HttpMetrics(components.metrics, () => this.connections);
    this.#idPrefix = Buffer.from(components.random.bytes(6)).toString('base64url');
  }

  /** Unique in this boot by the counter, among boots by eight random characters. */
  mintRequestId(): string {
    this.#requests += 1;
    return `${this.#idPrefix}-${this.#requests.toString(36)}`;
  }

  requireGateway(): Gateway {
    return this.gateway ?? notReady();
  }

  requireAdmin(): AdminPort {
    return this.admin ?? notReady();
  }
}

function notReady(): never {
  throw new KvError('NOT_READY', 'this node is still starting; try again shortly');
}
