/** Probes and metrics: answered from the first moment on, whatever the rest of the node is doing. */
import type { CoordinatorReadyBody, LiveBody } from '../../api/health.ts';
import type { AdminPort, Readiness } from '../admin-port.ts';
import type { Exchange } from './exchange.ts';
import { reply, replyJson } from './reply.ts';

const OK = Buffer.from('OK\n');

export function showHealth(exchange: Exchange): void {
  reply(exchange, 200, ['Content-Type', 'text/plain; charset=utf-8'], OK);
}

/** The event loop answers: that is all it says. */
export function showLive(exchange: Exchange): void {
  const { components, options } = exchange.context;
  const timestamp = Math.floor(components.clock.wallMs() / 1000);
  const body: LiveBody = { alive: true, version: options.version, timestamp };
  replyJson(exchange, 200, body);
}

export function showReady(exchange: Exchange): void {
  const { admin, draining } = exchange.context;
  const health = draining ? { ...healthOf(admin), ...STOPPING } : healthOf(admin);
  const body: CoordinatorReadyBody = {
    ready: health.ready,
    healthy_volumes: health.healthyVolumes,
    is_leader: health.isLeader,
    leader: admin?.leaderName() ?? null,
    reason: health.reason,
  };
  replyJson(exchange, health.ready ? 200 : 503, body);
}

const STOPPING = { ready: false, reason: 'stopping' };
const STARTING: Readiness = {
  ready: false,
  reason: 'starting',
  healthyVolumes: 0,
  isLeader: false,
};

const healthOf = (admin: AdminPort | null): Readiness => admin?.health() ?? STARTING;

export async function showMetrics(exchange: Exchange): Promise<void> {
  const { metrics } = exchange.context.components;
  const text = Buffer.from(await metrics.print());
  reply(exchange, 200, ['Content-Type', metrics.contentType], text);
}
