/** `GET /kv` and its older form `GET /range`: pages in byte order, continued by a checked cursor. */
import { decodeCursor, encodeCursor } from '../../api/cursor.ts';
import { etagOf } from '../../api/etag.ts';
import {
  LIST_LIMIT_DEFAULT,
  LIST_LIMIT_MAX,
  type ListedEntry,
  type ListPage,
  type RangePage,
} from '../../api/kv.ts';
import {
  flagParameter,
  numberParameter,
  parseQuery,
  type Query,
  textParameter,
} from '../../api/query.ts';
import { concatBytes, textOf } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import type { Listed, Page } from '../gateway.ts';
import { consistencyOf, HttpReadContext, viewHeaders } from './contexts.ts';
import type { Exchange } from './exchange.ts';
import { replyJson } from './reply.ts';
import { RequestHeaders } from './request-headers.ts';

const LIST_PARAMETERS = ['prefix', 'start', 'end', 'limit', 'cursor', 'consistency'];
const RANGE_PARAMETERS = [...LIST_PARAMETERS, 'include_values'];
const EMPTY = new Uint8Array(0);

/** `start` inclusive, `end` exclusive. */
export async function listKeys(exchange: Exchange, query: string): Promise<void> {
  const parameters = parseQuery(query, LIST_PARAMETERS);
  const { page, cursor } = await onePage(exchange, parameters, parameters.get('end') ?? EMPTY);
  const body: ListPage = {
    entries: page.entries.map(entryOf),
    cursor,
    raftIndex: page.readIndex,
  };
  sendPage(exchange, parameters, body);
}

/** `start` and `end` both inclusive, as it always was. */
export async function rangeKeys(exchange: Exchange, query: string): Promise<void> {
  const parameters = parseQuery(query, RANGE_PARAMETERS);
  const last = parameters.get('end');
  // No key contains NUL, so nothing lies between `last` and `last NUL`.
  const end = last === undefined ? EMPTY : concatBytes([last, Uint8Array.of(0)]);
  const { page, cursor } = await onePage(exchange, parameters, end);
  const body: RangePage = {
    keys: page.entries.map(({ key }) => textOf(key)),
    ...(flagParameter(parameters, 'include_values') ? { values: page.entries.map(entryOf) } : {}),
    cursor,
    raftIndex: page.readIndex,
  };
  sendPage(exchange, parameters, body);
}

async function onePage(
  exchange: Exchange,
  parameters: Query,
  end: Uint8Array,
): Promise<{ page: Page; cursor: string | null }> {
  const gateway = exchange.context.requireGateway();
  const scope = {
    prefix: parameters.get('prefix') ?? EMPTY,
    start: parameters.get('start') ?? EMPTY,
    end,
  };
  const cursorText = textParameter(parameters, 'cursor');
  const after = cursorText === undefined ? null : decodeCursor(scope, cursorText);
  const { minIndex } = new RequestHeaders(exchange.req.rawHeaders);
  const context = new HttpReadContext(exchange, consistencyOf(parameters), minIndex);
  const page = await gateway.list({ ...scope, after, limit: limitOf(parameters) }, context);
  const lastEntry = page.entries.at(-1);
  const cursor = page.more && lastEntry !== undefined ? encodeCursor(scope, lastEntry.key) : null;
  return { page, cursor };
}

/** Capped, not refused, where it is too large. */
function limitOf(parameters: Query): number {
  const limit = numberParameter(parameters, 'limit') ?? LIST_LIMIT_DEFAULT;
  if (limit === 0) throw new KvError('INVALID_ARGUMENT', 'limit is at least 1');
  return Math.min(limit, LIST_LIMIT_MAX);
}

function sendPage(exchange: Exchange, parameters: Query, body: ListPage | RangePage): void {
  const headers = viewHeaders(exchange, consistencyOf(parameters));
  replyJson(exchange, 200, body, ['X-Raft-Index', String(body.raftIndex), ...headers]);
}

const entryOf = (entry: Listed): ListedEntry => ({
  key: textOf(entry.key),
  size: entry.size,
  etag: etagOf(entry.blobId),
  blake3: entry.digest,
  raftIndex: entry.version.index,
});
