/** Answers of a volume. No request to it has a body, so one that announces a body ends its connection. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorBodyOf } from '../../api/error-body.ts';
import { asError, KvError } from '../../common/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
  readonly logger: Logger;
}

export function replyJson(exchange: Exchange, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  reply(exchange, { status, headers: ['Content-Type', 'application/json'] }, bytes);
}

export interface Head {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

export function reply({ req, res, requestId }: Exchange, head: Head, body: Uint8Array): void {
  if (res.headersSent || res.destroyed) return;
  const headers = [...head.headers, 'X-Request-Id', requestId];
  headers.push('Content-Length', String(body.length));
  if (!req.complete) headers.push('Connection', 'close');
  res.writeHead(head.status, headers);
  res.end(req.method === 'HEAD' ? undefined : body);
}

/** Once the first byte of an answer has gone, only breaking the connection is honest. */
export function replyError(exchange: Exchange, error: unknown): void {
  const { res, logger, requestId } = exchange;
  if (!(error instanceof KvError)) {
    logger.error({ requestId, error: asError(error) }, 'request failed');
  }
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const body = errorBodyOf(error, requestId);
  const row = error instanceof KvError ? error.row : INTERNAL_ROW;
  const headers = ['Content-Type', 'application/json'];
  if (row.retryable) headers.push('Retry-After', '1');
  if (error instanceof KvError && typeof error.detail['allow'] === 'string') {
    headers.push('Allow', error.detail['allow']);
  }
  if (body.code === 'INVALID_RANGE' && typeof body.detail?.['size'] === 'number') {
    headers.push('Content-Range', `bytes */${body.detail['size']}`);
  }
  reply(exchange, { status: row.http, headers }, Buffer.from(JSON.stringify(body)));
}

const INTERNAL_ROW = new KvError('INTERNAL', 'internal error').row;
