/** JSON that a client sent: bounded, strict, and of the right shape before anybody looks at it. */
import { checkShape, type Shape } from '../../api/shape.ts';
import { parseStrictJson } from '../../api/strict-json.ts';
import { concatBytes } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import type { Exchange } from './exchange.ts';
import { checkSize } from './key-writes.ts';
import { RequestHeaders } from './request-headers.ts';

/**
 * The body of the request; `{}` where there is none.
 * @throws KvError `UNSUPPORTED_MEDIA_TYPE`, `TOO_LARGE`, `INVALID_JSON`, `INVALID_ARGUMENT`.
 */
export async function readJson<T>(
  exchange: Exchange,
  schema: Shape<T>,
  maxBytes: number,
): Promise<T> {
  const headers = new RequestHeaders(exchange.req.rawHeaders);
  const { declaredBytes } = headers;
  if (declaredBytes === 0) return checkShape(schema, {});
  if (!/^application\/json *(;|$)/i.test(headers.get('content-type') ?? '')) {
    throw new KvError('UNSUPPORTED_MEDIA_TYPE', 'the body must be application/json');
  }
  checkSize(declaredBytes, maxBytes);
  const pieces: Uint8Array[] = [];
  for await (const piece of exchange.body) {
    pieces.push(piece);
    checkSize(exchange.receivedBytes, maxBytes);
  }
  return checkShape(schema, parseStrictJson(concatBytes(pieces)));
}
