/**
 * `GET /blob/COPY?disk=&expires=&token=`: one copy for whoever brings a coordinator's signature. A copy
 * that is not here any more says nothing of the key, so the answer is 503 STALE_REDIRECT, never 404.
 */
import { parseRange } from '../../api/byte-range.ts';
import { sendPieces } from '../../api/byte-sink.ts';
import { numberParameter, parseQuery, textParameter } from '../../api/query.ts';
import type { Clock } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import { type CopyId, copyId, diskId, isHex32, isHex64 } from '../../common/ids.ts';
import { checkRedirect } from '../../common/redirect-token.ts';
import { KIB, MINUTE_MS } from '../../common/units.ts';
import { type Exchange, reply } from './reply.ts';
import type { VolumeHttpPort } from './volume-http-port.ts';

const PARAMETERS = ['disk', 'expires', 'token'];
/** As chunks are stored: each is one record, read in one go. */
const PIECE_BYTES = 256 * KIB;
const SEND_STALL_MS = 2 * MINUTE_MS;

export interface BlobParts {
  readonly clock: Clock;
  readonly port: VolumeHttpPort;
}

export async function sendBlob(
  exchange: Exchange,
  parts: BlobParts,
  asked: { readonly id: string; readonly query: string },
): Promise<void> {
  const { req, res, requestId } = exchange;
  const id = authorized(parts, asked.id, asked.query);
  const size = parts.port.size(id);
  if (size === null) throw staleRedirect();
  const headers = ['Content-Type', 'application/octet-stream', 'Accept-Ranges', 'bytes'];
  headers.push('X-Content-Type-Options', 'nosniff', 'Cache-Control', 'no-store');
  const tail = ['X-Request-Id', requestId];
  if (req.method === 'HEAD') {
    res.writeHead(200, [...headers, ...tail, 'Content-Length', String(size)]).end();
    return;
  }
  const wanted = req.headers.range === undefined ? null : parseRange(req.headers.range, size);
  const { offset, length } = wanted ?? { offset: 0, length: size };
  if (wanted !== null) {
    headers.push('Content-Range', `bytes ${offset}-${offset + length - 1}/${size}`);
  }
  const status = wanted === null ? 200 : 206;
  // The first piece is read before anything is said, so that a bad copy is a clean error.
  const first = await readPiece(parts.port, id, offset, Math.min(length, PIECE_BYTES));
  if (first.length === length) {
    reply(exchange, { status, headers }, first);
    return;
  }
  const all = [...headers, ...tail, 'Content-Length', String(length)];
  const begin = (): void => void res.writeHead(status, all);
  const pieces = piecesFrom(parts.port, id, { first, offset, length });
  await sendPieces(res, pieces, { clock: parts.clock, stallMs: SEND_STALL_MS, begin });
  res.end();
}

/** @throws KvError `FORBIDDEN_TOKEN` without a valid signature of exactly this copy on this disk. */
function authorized({ clock, port }: BlobParts, id: string, query: string): CopyId {
  const parameters = parseQuery(query, PARAMETERS);
  const token = textParameter(parameters, 'token') ?? '';
  const disk = numberParameter(parameters, 'disk');
  const expiresMs = numberParameter(parameters, 'expires');
  const key = port.redirectKey();
  if (!isHex32(id) || !isHex64(token) || disk === undefined || expiresMs === undefined) {
    throw forbidden();
  }
  const grant = { copyId: copyId(id), disk: diskId(disk), expiresMs };
  if (key === null || !checkRedirect(key, grant, token, clock.wallMs())) throw forbidden();
  if (disk !== port.disk()) throw staleRedirect();
  return grant.copyId;
}

export const forbidden = (): KvError =>
  new KvError('FORBIDDEN_TOKEN', 'a volume hands out bytes only to a signed redirect');

const staleRedirect = (): KvError =>
  new KvError('STALE_REDIRECT', 'this copy is not here any more; ask a coordinator again');

interface Span {
  readonly first: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** While a piece is being sent the next one is read. */
async function* piecesFrom(
  port: VolumeHttpPort,
  id: CopyId,
  span: Span,
): AsyncGenerator<Uint8Array> {
  let piece = span.first;
  const end = span.offset + span.length;
  for (let at = span.offset + piece.length; at < end; at += piece.length) {
    const next = readPiece(port, id, at, Math.min(PIECE_BYTES, end - at));
    // One that fails meanwhile is reported when its turn comes.
    next.catch(() => undefined);
    yield piece;
    piece = await next;
  }
  yield piece;
}

/** Exactly `length` bytes. @throws KvError `STALE_REDIRECT` for a copy that is absent or cannot be read. */
async function readPiece(
  port: VolumeHttpPort,
  id: CopyId,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  if (length === 0) return new Uint8Array(0);
  const result = await port.read(id, offset, length);
  if (result.kind !== 'found' || result.data.length !== length) throw staleRedirect();
  return result.data;
}
