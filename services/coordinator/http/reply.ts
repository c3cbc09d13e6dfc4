/**
 * Answers. Every one goes out by a single `writeHead` with a flat list of headers and a single `end`.
 * Where the request's body is still on its way the answer is sent first, then the body is read and
 * thrown away for a while: closing at once would reset the connection and take the answer with it.
 */
import type { ServerResponse } from 'node:http';
import { type ErrorBody, errorBodyOf, type NotImplementedBody } from '../../api/error-body.ts';
import { AssertionError } from '../../common/assert.ts';
import { asError, KvError } from '../../common/errors.ts';
import { bufferOf } from '../../common/ids.ts';
import { KIB } from '../../common/units.ts';
import type { Exchange } from './exchange.ts';
import type { HttpContext } from './http-context.ts';

/** Names and values in turn. */
export type FlatHeaders = readonly string[];

export function replyJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: FlatHeaders = [],
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  reply(exchange, status, ['Content-Type', 'application/json', ...headers], bytes);
}

/** `body` null: no content at all, and no Content-Length (204, 304). */
export function reply(
  exchange: Exchange,
  status: number,
  headers: FlatHeaders,
  body: Uint8Array | null,
): void {
  const { res, req, context } = exchange;
  if (res.headersSent || res.destroyed) return;
  const all = [...headers, 'X-Request-Id', exchange.requestId];
  if (body !== null) all.push('Content-Length', String(body.length));
  const early = !req.complete && hasBody(exchange);
  if (early || context.draining) all.push('Connection', 'close');
  res.writeHead(status, all);
  if (body === null || body.length === 0 || req.method === 'HEAD') res.end();
  else if (early && status !== STATUS_TIMEOUT) linger(exchange, body);
  else finish(res, body);
}

function finish(res: ServerResponse, body: Uint8Array): void {
  if (body.length > JOINED_BYTES_MAX) res.end(body);
  else res.end(bufferOf(body).toString('latin1'), 'latin1');
}

const STATUS_TIMEOUT = 408;
/** Up to here the body goes out as text behind the head, in one write: two buffers cost more than the copy. */
const JOINED_BYTES_MAX = 16 * KIB;

const hasBody = ({ req }: Exchange): boolean =>
  req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;

function linger({ req, res, context }: Exchange, body: Uint8Array): void {
  let discardedBytes = 0;
  const finish = (): void => {
    timer.cancel();
    req.off('data', discard);
    res.end();
  };
  const discard = (piece: Uint8Array): void => {
    discardedBytes += piece.length;
    if (discardedBytes > context.limits.lingerBytes) finish();
  };
  const timer = context.components.clock.after(context.limits.lingerMs, finish);
  res.write(body);
  req.on('data', discard);
  req.once('end', finish);
  req.once('close', finish);
  req.resume();
}

/** Answers `error`; once the first byte of an answer has gone, only breaking the connection is honest. */
export function replyError(exchange: Exchange, error: unknown): void {
  const { res, context, requestId } = exchange;
  const fault = reportFault(exchange, error);
  const { row } = fault;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const body = errorBodyOf(error, requestId);
  replyJson(exchange, row.http, body, [...headersOf(fault), ...placeHeaders(body, context)]);
}

/** What else a client may need to know of a fault, in the headers that HTTP has for it. */
function headersOf({ code, row, detail }: KvError): string[] {
  const headers: string[] = [];
  if (row.retryable && row.http !== STATUS_UNKNOWN) headers.push('Retry-After', '1');
  if (code === 'METHOD_NOT_ALLOWED' && typeof detail['allow'] === 'string') {
    headers.push('Allow', detail['allow']);
  }
  if (code === 'INVALID_RANGE' && typeof detail['size'] === 'number') {
    headers.push('Content-Range', `bytes */${detail['size']}`);
  }
  return headers;
}

const STATUS_UNKNOWN = 504;

function placeHeaders({ raftIndex, txnId }: ErrorBody, { admin }: HttpContext): string[] {
  const headers: string[] = [];
  const leader = admin?.leaderName() ?? null;
  if (leader !== null) headers.push('X-Minikv-Leader', leader);
  if (raftIndex !== undefined) headers.push('X-Raft-Index', String(raftIndex));
  if (txnId !== undefined) headers.push('X-Minikv-Txn', txnId);
  return headers;
}

/** The fault as a `KvError`; what is not one is a bug and goes to the log with its requestId. */
function reportFault({ context, requestId }: Exchange, error: unknown): KvError {
  if (error instanceof KvError && error.code !== 'INTERNAL') return error;
  const cause = asError(error);
  const message = cause instanceof AssertionError ? 'assertion failed' : 'request failed';
  context.components.logger.error({ requestId, error: cause }, message);
  return error instanceof KvError ? error : new KvError('INTERNAL', 'internal error', { cause });
}

/** 501 with the body that minikv has always given for what is not there. */
export function replyMissing(exchange: Exchange, feature: string, roadmap: string): void {
  const error = new KvError('NOT_IMPLEMENTED', `${feature} is not implemented in this version`);
  const body: NotImplementedBody = {
    ...errorBodyOf(error, exchange.requestId),
    error: 'not implemented',
    feature,
    roadmap,
  };
  replyJson(exchange, error.row.http, body);
}
