/**
 * PUT, POST and DELETE of a key. All that can be refused without the body is refused before a byte of it
 * is read; conditions are not looked at here, since only apply can decide them.
 */
import { etagOf } from '../../api/etag.ts';
import { parseQuery } from '../../api/query.ts';
import { MISSING_ROADMAP } from '../../api/routes.ts';
import { present } from '../../common/assert.ts';
import { KvError } from '../../common/errors.ts';
import type { MutationResult, PutRequest } from '../gateway.ts';
import { HttpMutationContext } from './contexts.ts';
import type { Exchange } from './exchange.ts';
import { checkedBody, promisesOf } from './promised-digest.ts';
import { reply, replyMissing } from './reply.ts';
import { conditionOf, RequestHeaders } from './request-headers.ts';

export async function writeKey(exchange: Exchange, key: Uint8Array, query: string): Promise<void> {
  const gateway = exchange.context.requireGateway();
  const headers = new RequestHeaders(exchange.req.rawHeaders);
  parseQuery(query, []);
  if (headers.get('x-minikv-ttl') !== undefined) {
    replyMissing(exchange, 'X-Minikv-TTL', MISSING_ROADMAP);
    return;
  }
  refuseEncodings(headers);
  const { blake3, hashes } = promisesOf(headers);
  const request = {
    key,
    condition: conditionOf(headers.preconditions),
    headers: headers.kept,
    declaredBytes: headers.declaredBytes,
    expectedDigest: blake3,
    maxBytes: exchange.context.options.maxObjectBytes(),
  };
  const context = new HttpMutationContext(exchange, headers.idempotencyKey);
  checkSize(request.declaredBytes, request.maxBytes);
  await gateway.admitWrite(request.declaredBytes, context.timeoutMs);
  const body = hashes.length === 0 ? await bodyOf(exchange) : checkedBody(exchange.body, hashes);
  const result = await gateway.put({ ...request, body }, context);
  const [op] = result.results;
  const { effect, blobId, copyCount } = present(op, 'the result of a put');
  const answer = [...resultHeaders(exchange, result)];
  if (blobId !== '') answer.push('ETag', etagOf(blobId));
  answer.push('X-Replicas', `${copyCount}/${result.want}`);
  reply(exchange, effect === 'created' ? 201 : 200, answer, NOTHING);
}

const NOTHING = new Uint8Array(0);

/** Whole where that may be. A client that waits for 100 Continue has sent nothing yet. */
async function bodyOf({ body, expectsContinue }: Exchange): Promise<PutRequest['body']> {
  return expectsContinue ? body : ((await body.atHand()) ?? body);
}

export async function deleteKey(exchange: Exchange, key: Uint8Array, query: string): Promise<void> {
  const gateway = exchange.context.requireGateway();
  const headers = new RequestHeaders(exchange.req.rawHeaders);
  parseQuery(query, []);
  if (headers.declaredBytes !== 0) {
    throw new KvError('INVALID_ARGUMENT', 'a DELETE has no body');
  }
  const context = new HttpMutationContext(exchange, headers.idempotencyKey);
  const result = await gateway.delete(key, conditionOf(headers.preconditions), context);
  const [op] = result.results;
  if (present(op, 'the result of a delete').effect === 'absent') {
    throw new KvError('KEY_NOT_FOUND', 'there is no such key', {
      detail: { txnId: result.txnId, raftIndex: result.index },
    });
  }
  reply(exchange, 204, resultHeaders(exchange, result), null);
}

function resultHeaders(exchange: Exchange, result: MutationResult): string[] {
  const headers = ['X-Raft-Index', String(result.index), 'X-Minikv-Txn', result.txnId];
  const leader = exchange.context.admin?.leaderName() ?? null;
  if (leader !== null) headers.push('X-Minikv-Leader', leader);
  return headers;
}

/** Bytes are stored as they come: an encoding that would be lost on the way back is refused. */
function refuseEncodings(headers: RequestHeaders): void {
  const encoding = headers.get('content-encoding');
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new KvError(
      'UNSUPPORTED_MEDIA_TYPE',
      'Content-Encoding is not kept; send the bytes as they are to be stored',
    );
  }
  if (headers.get('content-range') !== undefined) {
    throw new KvError('INVALID_HEADER', 'a value is written whole: Content-Range is refused');
  }
}

/** @throws KvError `TOO_LARGE` for a length that is known to exceed the limit. */
export function checkSize(declaredBytes: number | null, maxBytes: number): void {
  if (declaredBytes === null || declaredBytes <= maxBytes) return;
  throw new KvError('TOO_LARGE', `at most ${maxBytes} bytes`, { detail: { maxBytes } });
}
