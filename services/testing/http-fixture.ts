/** A coordinator's HTTP server over a memory gateway, on a free port of the loopback. */
import { systemClock } from '../common/clock.ts';
import { seededRandom } from '../common/random.ts';
import { MIB } from '../common/units.ts';
import type { HttpLimits } from '../coordinator/http/limits.ts';
import { type HttpServer, startHttpServer } from '../coordinator/http/server.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { MemoryAdmin, MemoryGateway } from './memory-gateway.ts';

export interface HttpFixture {
  readonly server: HttpServer;
  readonly port: number;
  readonly gateway: MemoryGateway;
  readonly admin: MemoryAdmin;
}

export interface FixtureOptions {
  readonly withAdminPort?: boolean;
  readonly isReady?: boolean;
  readonly maxObjectBytes?: number;
  readonly limits?: Partial<HttpLimits>;
}

export async function openHttp(options: FixtureOptions = {}): Promise<HttpFixture> {
  const gateway = new MemoryGateway();
  const admin = new MemoryAdmin();
  const server = await startHttpServer(
    {
      metrics: createMetrics(),
      logger: silentLogger,
      clock: systemClock,
      random: seededRandom(3),
    },
    {
      httpBind: '127.0.0.1:0',
      adminBind: options.withAdminPort === true ? '127.0.0.1:0' : null,
      maxObjectBytes: () => options.maxObjectBytes ?? 256 * MIB,
      requestTimeoutMs: 5000,
      version: '0.0.0',
      limits: { lingerMs: 200, ...options.limits },
    },
  );
  if (options.isReady !== false) {
    server.serveAdmin(admin);
    server.serveData(gateway);
  }
  return { server, port: server.port, gateway, admin };
}
