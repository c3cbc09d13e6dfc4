/** Admin calls: reading is free on every listener, changing asks for the right cluster and operator. */
import {
  bootstrapRequestSchema,
  transferRequestSchema,
  volumeChangeSchema,
} from '../../api/admin.ts';
import { wholeNumber } from '../../api/query.ts';
import { KvError } from '../../common/errors.ts';
import type { AdminPort } from '../admin-port.ts';
import type { Exchange } from './exchange.ts';
import { readJson } from './json-body.ts';
import { ADMIN_BODY_BYTES_MAX, ADMIN_TIMEOUT_MS } from './limits.ts';
import { replyJson } from './reply.ts';
import { RequestHeaders } from './request-headers.ts';

export function showStatus(exchange: Exchange): void {
  const admin = exchange.context.requireAdmin();
  checkCluster(admin, new RequestHeaders(exchange.req.rawHeaders));
  replyJson(exchange, 200, admin.status());
}

export async function showCluster(exchange: Exchange): Promise<void> {
  const admin = exchange.context.requireAdmin();
  checkCluster(admin, new RequestHeaders(exchange.req.rawHeaders));
  replyJson(exchange, 200, await admin.cluster(ADMIN_TIMEOUT_MS));
}

/** No epoch is asked of it: the cluster id makes it idempotent, and there is no state to keep one. */
export async function bootstrap(exchange: Exchange): Promise<void> {
  const admin = exchange.context.requireAdmin();
  checkCluster(admin, new RequestHeaders(exchange.req.rawHeaders));
  const request = await readJson(exchange, bootstrapRequestSchema, ADMIN_BODY_BYTES_MAX);
  replyJson(exchange, 200, await admin.bootstrap(request, ADMIN_TIMEOUT_MS));
}

export async function transferLeader(exchange: Exchange): Promise<void> {
  const admin = exchange.context.requireAdmin();
  const request = await readJson(exchange, transferRequestSchema, ADMIN_BODY_BYTES_MAX);
  await checkOperator(exchange, admin);
  replyJson(exchange, 200, await admin.transferLeader(request, ADMIN_TIMEOUT_MS));
}

export async function changeVolume(exchange: Exchange, name: string): Promise<void> {
  const admin = exchange.context.requireAdmin();
  const request = await readJson(exchange, volumeChangeSchema, ADMIN_BODY_BYTES_MAX);
  if (request.zone === undefined && request.state === undefined) {
    throw new KvError('INVALID_ARGUMENT', 'zone or state must be given');
  }
  await checkOperator(exchange, admin);
  replyJson(exchange, 200, await admin.setVolume(name, request, ADMIN_TIMEOUT_MS));
}

/** @throws KvError `WRONG_CLUSTER`. */
function checkCluster(admin: AdminPort, headers: RequestHeaders): void {
  const expected = headers.get('x-minikv-cluster-id');
  const actual = admin.clusterId();
  if (expected === undefined || actual === null || expected === actual) return;
  throw new KvError('WRONG_CLUSTER', 'this node belongs to another cluster', {
    detail: { clusterId: actual },
  });
}

/**
 * A greater epoch is raised by a command that applies before the action, so a deposed operator that
 * wakes up later is refused. People send none and pass.
 * @throws KvError `WRONG_CLUSTER`, `STALE_EPOCH`.
 */
async function checkOperator(exchange: Exchange, admin: AdminPort): Promise<void> {
  const headers = new RequestHeaders(exchange.req.rawHeaders);
  checkCluster(admin, headers);
  const text = headers.get('x-minikv-operator-epoch');
  if (text === undefined) return;
  const epoch = wholeNumber(text, 'X-Minikv-Operator-Epoch', 'INVALID_HEADER');
  const current = admin.operatorEpoch();
  if (epoch < current) {
    throw new KvError('STALE_EPOCH', 'a newer operator has taken over', {
      detail: { operatorEpoch: current },
    });
  }
  if (epoch > current) await admin.raiseOperatorEpoch(epoch, ADMIN_TIMEOUT_MS);
}
