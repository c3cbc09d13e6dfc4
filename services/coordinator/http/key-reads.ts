/**
 * GET and HEAD of a key. Nothing is sent before the first bytes are at hand, so a read that fails early
 * is a clean error; one that fails later breaks the connection and can never be taken for a whole value.
 */
import { parseRange } from '../../api/byte-range.ts';
import { sendPieces } from '../../api/byte-sink.ts';
import { etagOf } from '../../api/etag.ts';
import { parseQuery } from '../../api/query.ts';
import { KvError } from '../../common/errors.ts';
import type { BlobId } from '../../common/ids.ts';
import type {
  ByteRange,
  Consistency,
  Found,
  Gateway,
  OpenedValue,
  ReadContext,
} from '../gateway.ts';
import { consistencyOf, HttpReadContext, viewHeaders, wantsRedirect } from './contexts.ts';
import type { Exchange } from './exchange.ts';
import { reply, replyJson } from './reply.ts';
import { judgeRead, type Preconditions, RequestHeaders } from './request-headers.ts';

const PARAMETERS = ['consistency', 'redirect'];
/** How often a value that is replaced during the read may change what was asked of it. */
const ATTEMPTS = 4;

interface Wish {
  readonly key: Uint8Array;
  readonly preconditions: Preconditions;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly context: ReadContext;
}

export async function readKey(exchange: Exchange, key: Uint8Array, query: string): Promise<void> {
  const gateway = exchange.context.requireGateway();
  const headers = new RequestHeaders(exchange.req.rawHeaders);
  const parameters = parseQuery(query, PARAMETERS);
  const consistency = consistencyOf(parameters);
  if (headers.declaredBytes !== 0) {
    throw new KvError('INVALID_ARGUMENT', 'a read has no body');
  }
  const isRedirectWanted = wantsRedirect(parameters);
  const isHead = exchange.req.method === 'HEAD';
  const wish: Wish = {
    key,
    preconditions: headers.preconditions,
    range: isHead ? undefined : headers.get('range'),
    ifRange: headers.get('if-range'),
    context: new HttpReadContext(exchange, consistency, headers.minIndex),
  };
  const found = await gateway.find(key, wish.context);
  if (judgeRead(wish.preconditions, found.record.blobId) === 'not-modified') {
    notModified(exchange, found, consistency);
    return;
  }
  const redirect = isRedirectWanted ? gateway.redirect(found) : null;
  if (redirect !== null) {
    replyJson(exchange, 307, {}, [
      ...['Location', redirect.url, 'Cache-Control', 'no-store'],
      ...viewHeaders(exchange, consistency),
    ]);
  } else if (isHead) {
    sendHead(exchange, found, consistency);
  } else {
    await sendValue(exchange, gateway, { wish, found });
  }
}

function notModified(exchange: Exchange, found: Found, consistency: Consistency): void {
  const headers = ['ETag', etagOf(found.record.blobId), 'X-Raft-Index', String(found.readIndex)];
  reply(exchange, 304, [...headers, ...viewHeaders(exchange, consistency)], null);
}

function sendHead(exchange: Exchange, found: Found, consistency: Consistency): void {
  const { size } = found.record;
  const headers = [...valueHeaders(found), 'Content-Length', String(size)];
  reply(exchange, 200, [...headers, ...viewHeaders(exchange, consistency)], null);
}

async function sendValue(
  exchange: Exchange,
  gateway: Gateway,
  asked: { readonly wish: Wish; readonly found: Found },
): Promise<void> {
  const { wish } = asked;
  const chosen = await openAsAsked(gateway, wish, asked.found);
  if (chosen === 'not-modified') {
    const found = await gateway.find(wish.key, wish.context);
    notModified(exchange, found, wish.context.consistency);
    return;
  }
  const { opened, range } = chosen;
  const { size } = opened.found.record;
  const headers = [
    ...valueHeaders(opened.found),
    ...viewHeaders(exchange, wish.context.consistency),
  ];
  if (range !== null) {
    headers.push(
      'Content-Range',
      `bytes ${range.offset}-${range.offset + range.length - 1}/${size}`,
    );
  }
  const status = range === null ? 200 : 206;
  if (opened.whole !== null) reply(exchange, status, headers, opened.whole);
  else await stream(exchange, { status, headers, length: range?.length ?? size }, opened.body);
}

/**
 * The value opened under the conditions and the range of the request. A value that was replaced between
 * look-up and opening is judged anew, since its size and its ETag are others.
 */
async function openAsAsked(
  gateway: Gateway,
  wish: Wish,
  first: Found,
): Promise<{ opened: OpenedValue; range: ByteRange | null } | 'not-modified'> {
  let found = first;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const { blobId, size } = found.record;
    if (judgeRead(wish.preconditions, blobId) === 'not-modified') return 'not-modified';
    const range = rangeOf(wish, blobId, size);
    const opened = await gateway.open(found, range, wish.key, wish.context);
    const same = opened.found.record.blobId === blobId;
    const unconditional =
      range === null &&
      wish.preconditions.ifMatch === null &&
      wish.preconditions.ifNoneMatch === null;
    if (same || unconditional) return { opened, range };
    await discard(opened.body);
    found = opened.found;
  }
  throw new KvError('REPLICAS_UNAVAILABLE', 'the value is replaced faster than it can be read');
}

function rangeOf({ range, ifRange }: Wish, current: BlobId, size: number): ByteRange | null {
  if (range === undefined) return null;
  if (ifRange !== undefined && ifRange.trim() !== etagOf(current)) return null;
  return parseRange(range, size);
}

/** A generator frees what it holds only once it has begun. */
async function discard(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _piece of body) return;
}

function valueHeaders({ record, readIndex }: Found): string[] {
  const headers = [
    'ETag',
    etagOf(record.blobId),
    'X-Raft-Index',
    String(readIndex),
    'X-Minikv-Version',
    `${record.version.index}.${record.version.ordinal}`,
    'X-Content-BLAKE3',
    record.digest,
    'Digest',
    `blake3=${Buffer.from(record.digest, 'hex').toString('base64')}`,
    'Accept-Ranges',
    'bytes',
    // What a client stored must not be taken for a page of this service.
    'X-Content-Type-Options',
    'nosniff',
  ];
  let typed = false;
  for (const [name, value] of record.headers) {
    typed ||= name === 'content-type';
    headers.push(name === 'content-type' ? 'Content-Type' : name, value);
  }
  if (!typed) headers.push('Content-Type', 'application/octet-stream');
  return headers;
}

interface StreamHead {
  readonly status: number;
  readonly headers: readonly string[];
  readonly length: number;
}

async function stream(
  exchange: Exchange,
  head: StreamHead,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { res, context, requestId } = exchange;
  const headers = [...head.headers, 'X-Request-Id', requestId];
  headers.push('Content-Length', String(head.length));
  if (context.draining) headers.push('Connection', 'close');
  const { clock } = context.components;
  const begin = (): void => void res.writeHead(head.status, headers);
  const limits = { clock, stallMs: context.limits.sendStallMs };
  const sentBytes = await sendPieces(res, body, { begin, ...limits });
  if (sentBytes === head.length) res.end();
  else throw new KvError('DATA_LOSS', 'the value ended early; the connection is broken off');
}
