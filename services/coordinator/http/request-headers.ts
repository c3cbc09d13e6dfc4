/**
 * The headers that mean something to a key request, read in one pass. Each stands at most once: of two
 * equal ones a proxy and this service might believe different ones.
 */
import { etagOf, parseTags, type TagList, tagsMatch } from '../../api/etag.ts';
import { wholeNumber } from '../../api/query.ts';
import { KvError } from '../../common/errors.ts';
import { type BlobId, type LogIndex, logIndex } from '../../common/ids.ts';
import type { Condition } from '../../metadata/commands.ts';
import type { Headers } from '../../metadata/records.ts';
import { IDEMPOTENCY_KEY_BYTES_MAX, KEPT_HEADER_BYTES_MAX } from './limits.ts';

const KNOWN = new Set([
  'content-encoding',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'digest',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'if-range',
  'range',
  'transfer-encoding',
  'x-content-blake3',
  'x-min-raft-index',
  'x-minikv-cluster-id',
  'x-minikv-operator-epoch',
  'x-minikv-ttl',
]);

const META_PREFIX = 'x-minikv-meta-';
/** Characters that a header value may have on the way out again. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const META_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

export class RequestHeaders {
  readonly #known = new Map<string, string>();
  readonly #meta: (readonly [string, string])[] = [];

  /** @throws KvError `INVALID_HEADER` when a known header stands twice. */
  constructor(raw: readonly string[]) {
    for (let at = 0; at + 1 < raw.length; at += 2) {
      const name = (raw[at] ?? '').toLowerCase();
      const value = raw[at + 1] ?? '';
      if (KNOWN.has(name)) {
        if (this.#known.has(name)) throw new KvError('INVALID_HEADER', `${name} stands twice`);
        this.#known.set(name, value);
      } else if (name.startsWith(META_PREFIX)) {
        this.#meta.push([name, value]);
      }
    }
  }

  get(name: string): string | undefined {
    return this.#known.get(name);
  }

  /** Bytes promised; null for a chunked body. */
  get declaredBytes(): number | null {
    if (this.#known.has('transfer-encoding')) return null;
    return Number(this.#known.get('content-length') ?? 0);
  }

  /** `X-Min-Raft-Index`; 0 where absent. @throws KvError `INVALID_HEADER`. */
  get minIndex(): LogIndex {
    const text = this.#known.get('x-min-raft-index');
    return logIndex(
      text === undefined ? 0 : wholeNumber(text, 'X-Min-Raft-Index', 'INVALID_HEADER'),
    );
  }

  /** @throws KvError `INVALID_HEADER` unless it is 1 to 255 visible ASCII characters. */
  get idempotencyKey(): string | null {
    const text = this.#known.get('idempotency-key');
    if (text === undefined) return null;
    if (text.length <= IDEMPOTENCY_KEY_BYTES_MAX && /^[\x21-\x7e]+$/.test(text)) return text;
    throw new KvError(
      'INVALID_HEADER',
      `Idempotency-Key has 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters`,
    );
  }

  /** Content-Type and `X-Minikv-Meta-*`, to be kept with the value. */
  get kept(): Headers {
    const contentType = this.#known.get('content-type');
    return keptHeaders(contentType, this.#meta);
  }

  get preconditions(): Preconditions {
    return preconditionsOf(this.#known.get('if-match'), this.#known.get('if-none-match'));
  }
}

export interface Preconditions {
  readonly ifMatch: TagList | null;
  readonly ifNoneMatch: TagList | null;
}

/** @throws KvError `INVALID_HEADER` for a bad list, or for both at once. */
export function preconditionsOf(
  ifMatch: string | undefined,
  ifNoneMatch: string | undefined,
): Preconditions {
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw new KvError('INVALID_HEADER', 'If-Match and If-None-Match contradict each other');
  }
  return {
    ifMatch: ifMatch === undefined ? null : parseTags(ifMatch, true),
    ifNoneMatch: ifNoneMatch === undefined ? null : parseTags(ifNoneMatch, false),
  };
}

/** The condition of a write, decided in apply. */
export function conditionOf({ ifMatch, ifNoneMatch }: Preconditions): Condition | null {
  if (ifMatch !== null) {
    return ifMatch.kind === 'any'
      ? { kind: 'exists' }
      : { kind: 'match', blobIds: ifMatch.blobIds };
  }
  if (ifNoneMatch === null) return null;
  return ifNoneMatch.kind === 'any'
    ? { kind: 'absent' }
    : { kind: 'none-match', blobIds: ifNoneMatch.blobIds };
}

/**
 * Whether a read answers the value or 304 "you have it".
 * @throws KvError `PRECONDITION_FAILED` when `If-Match` does not hold.
 */
export function judgeRead(
  { ifMatch, ifNoneMatch }: Preconditions,
  current: BlobId,
): 'send' | 'not-modified' {
  if (ifMatch !== null && !tagsMatch(ifMatch, current)) {
    throw new KvError('PRECONDITION_FAILED', 'the value is another one than If-Match names', {
      detail: { etag: etagOf(current) },
    });
  }
  return ifNoneMatch !== null && tagsMatch(ifNoneMatch, current) ? 'not-modified' : 'send';
}

/**
 * Headers to keep with a value, checked so that they can be sent again.
 * @throws KvError `HEADERS_TOO_LARGE` above 2 KiB, `INVALID_HEADER` for characters that HTTP refuses.
 */
export function keptHeaders(
  contentType: string | undefined,
  meta: readonly (readonly [string, string])[],
): Headers {
  if (contentType === undefined && meta.length === 0) return [];
  const kept: Headers = contentType === undefined ? meta : [['content-type', contentType], ...meta];
  const names = new Set<string>();
  let bytes = 0;
  for (const [name, value] of kept) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (!META_NAME.test(name) || !VALUE.test(value) || names.has(name)) {
      throw new KvError('INVALID_HEADER', 'a Content-Type or X-Minikv-Meta- header is not valid');
    }
    names.add(name);
  }
  if (bytes <= KEPT_HEADER_BYTES_MAX) return kept;
  throw new KvError(
    'HEADERS_TOO_LARGE',
    `Content-Type and X-Minikv-Meta- headers exceed ${KEPT_HEADER_BYTES_MAX} bytes`,
  );
}

/** The header names of `meta` as /transaction gives it. */
export const metaName = (name: string): string => META_PREFIX + name.toLowerCase();
