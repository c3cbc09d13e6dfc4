/**
 * Keys and values over HTTP. Every write carries an Idempotency-Key, so that it can be repeated at
 * another coordinator whatever became of the first attempt; every value read is checked against its
 * BLAKE3 digest before its end is given out.
 */
import { encodeKey, keyOfText } from '../api/key-path.ts';
import { type ListedEntry, type ListPage, listPageSchema } from '../api/kv.ts';
import { type Clock, systemClock } from '../common/clock.ts';
import { digestStream } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { hexOf } from '../common/ids.ts';
import { type Random, systemRandom } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import { type HttpAnswer, type HttpRequest, HttpTransport } from './http.ts';
import { readJson } from './json-body.ts';
import { type Attempted, Retrier } from './retry.ts';

export interface KvClientOptions {
  /** No attempt starts later than this after the first one. */
  readonly deadlineMs?: number;
  /** Silence that counts as a broken connection; longer than the servers' request time-out. */
  readonly silenceMs?: number;
  readonly connectionsMax?: number;
}

/** A value to store: bytes, or a stream of known size that can be opened again for a retry. */
export type Value =
  | Uint8Array
  | { readonly sizeBytes: number; readonly open: () => AsyncIterable<Uint8Array> };

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface PutOptions extends CallOptions {
  readonly contentType?: string;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  /** 64 hex digits: the server refuses other bytes with `CHECKSUM_MISMATCH`. */
  readonly digest?: string;
  /** Kept with the value as `X-Minikv-Meta-<name>`; 2 KiB in all. */
  readonly meta?: Readonly<Record<string, string>>;
}

export interface Stored {
  readonly created: boolean;
  readonly etag: string;
  readonly raftIndex: number;
  /** As `2/3`: copies made of copies wanted. */
  readonly replicas: string;
}

export interface Found {
  readonly sizeBytes: number;
  readonly etag: string;
  /** BLAKE3 of the whole value, 64 hex digits. */
  readonly digest: string;
  readonly contentType: string;
  readonly raftIndex: number;
  /** What `PutOptions.meta` kept under this name; empty where nothing. */
  readonly meta: (name: string) => string;
}

export interface FoundValue extends Found {
  /** Read it to its end: only that end says that the bytes are right. */
  readonly body: AsyncIterable<Uint8Array>;
}

const DEFAULTS = { deadlineMs: 30 * SECOND_MS, silenceMs: 30 * SECOND_MS, connectionsMax: 64 };

export class KvClient {
  readonly #transport: HttpTransport;
  readonly #retrier: Retrier;
  readonly #random: Random;

  constructor(
    coordinators: readonly URL[],
    options: KvClientOptions = {},
    parts: { readonly clock: Clock; readonly random: Random } = {
      clock: systemClock,
      random: systemRandom,
    },
  ) {
    const settings = { ...DEFAULTS, ...options };
    this.#transport = new HttpTransport(settings);
    this.#retrier = new Retrier(parts, { urls: coordinators, deadlineMs: settings.deadlineMs });
    this.#random = parts.random;
  }

  /** Resolves once the value is durable and visible. @throws KvError by the table of errors. */
  async put(key: string, value: Value, options: PutOptions = {}): Promise<Stored> {
    const headers = this.#writeHeaders({
      'content-length': String(value instanceof Uint8Array ? value.length : value.sizeBytes),
      'content-type': options.contentType,
      'if-match': options.ifMatch,
      'if-none-match': options.ifNoneMatch,
      'x-content-blake3': options.digest,
      ...metaHeaders(options.meta ?? {}),
    });
    const answer = await this.#send(options, () => ({
      method: 'PUT',
      path: pathOf(key),
      headers,
      body: value instanceof Uint8Array ? value : value.open(),
    }));
    await drain(answer);
    return {
      created: answer.status === 201,
      etag: answer.header('etag'),
      raftIndex: Number(answer.header('x-raft-index')),
      replicas: answer.header('x-replicas'),
    };
  }

  /** @throws KvError `KEY_NOT_FOUND`; a body whose bytes are wrong ends in `CHECKSUM_MISMATCH`. */
  async get(key: string, options: CallOptions = {}): Promise<FoundValue> {
    const answer = await this.#send(options, () => ({ method: 'GET', path: pathOf(key) }));
    const found = foundOf(answer);
    return { ...found, body: verified(key, found, answer.body) };
  }

  /** The whole value; starts over where a connection breaks in the middle. */
  async getBytes(key: string, options: CallOptions = {}): Promise<Uint8Array> {
    return this.#retrier.run(
      true,
      async (url): Promise<Attempted<Uint8Array>> => {
        const request = { method: 'GET', path: pathOf(key), signal: options.signal } as const;
        const answer = await this.#transport.send(url, request);
        if (answer.kind === 'failed') return answer;
        const found = foundOf(answer.value);
        const pieces: Uint8Array[] = [];
        try {
          for await (const piece of verified(key, found, answer.value.body)) pieces.push(piece);
        } catch (thrown) {
          options.signal?.throwIfAborted();
          if (!(thrown instanceof KvError)) throw thrown;
          const failure = { outcome: 'unknown', retryable: true, retryAfterMs: 0 } as const;
          return { kind: 'failed', failure: { error: thrown, ...failure } };
        }
        return { kind: 'done', value: Buffer.concat(pieces) };
      },
      options.signal,
    );
  }

  /** @throws KvError `KEY_NOT_FOUND`. */
  async head(key: string, options: CallOptions = {}): Promise<Found> {
    const answer = await this.#send(options, () => ({ method: 'HEAD', path: pathOf(key) }));
    await drain(answer);
    return foundOf(answer);
  }

  /** @throws KvError `KEY_NOT_FOUND` when there was nothing to delete. */
  async delete(key: string, options: CallOptions & { ifMatch?: string } = {}): Promise<void> {
    const headers = this.#writeHeaders({ 'if-match': options.ifMatch });
    await drain(
      await this.#send(options, () => ({ method: 'DELETE', path: pathOf(key), headers })),
    );
  }

  /** One page in byte order of keys; a null cursor in the answer ends the listing. */
  async listPage(
    prefix: string,
    options: CallOptions & { cursor?: string | null; limit?: number } = {},
  ): Promise<ListPage> {
    const query = new URLSearchParams({ prefix });
    if (options.limit !== undefined) query.set('limit', String(options.limit));
    if (options.cursor != null) query.set('cursor', options.cursor);
    const answer = await this.#send(options, () => ({
      method: 'GET',
      path: `/kv?${query.toString()}`,
    }));
    return readJson(answer, listPageSchema);
  }

  /** Every entry below a prefix, page by page: each page is a state of its own. */
  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<ListedEntry> {
    let cursor: string | null = null;
    do {
      const page: ListPage = await this.listPage(prefix, { ...options, cursor });
      yield* page.entries;
      cursor = page.cursor;
    } while (cursor !== null);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #send(options: CallOptions, request: () => HttpRequest): Promise<HttpAnswer> {
    const { signal } = options;
    const attempt = (url: URL) => this.#transport.send(url, { ...request(), signal });
    return this.#retrier.run(true, attempt, signal);
  }

  #writeHeaders(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
    const written = { 'idempotency-key': hexOf(this.#random.bytes(16)), ...headers };
    return Object.fromEntries(
      Object.entries(written).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]],
      ),
    );
  }
}

const pathOf = (key: string): string => `/kv/${encodeKey(keyOfText(key))}`;

const foundOf = (answer: HttpAnswer): Found => ({
  sizeBytes: Number(answer.header('content-length')),
  etag: answer.header('etag'),
  digest: answer.header('x-content-blake3'),
  contentType: answer.header('content-type'),
  raftIndex: Number(answer.header('x-raft-index')),
  meta: (name) => answer.header(`${META}${name}`),
});

const META = 'x-minikv-meta-';

const metaHeaders = (meta: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(meta).map(([name, value]) => [`${META}${name}`, value]));

/**
 * The pieces of a body, whose end comes only when its digest is what the answer promised.
 * @throws KvError `DEADLINE_EXCEEDED` where it breaks off, `CHECKSUM_MISMATCH` where it is damaged.
 */
async function* verified(
  key: string,
  found: Found,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const digest = digestStream();
  let bytes = 0;
  try {
    for await (const piece of body) {
      digest.update(piece);
      bytes += piece.length;
      yield piece;
    }
    if (digest.finish() === found.digest) return;
  } catch (cause) {
    throw new KvError('DEADLINE_EXCEEDED', `the bytes of ${JSON.stringify(key)} broke off`, {
      cause,
      detail: { bytes, expectedBytes: found.sizeBytes },
    });
  } finally {
    digest.discard();
  }
  throw new KvError('CHECKSUM_MISMATCH', `the bytes of ${JSON.stringify(key)} arrived damaged`, {
    detail: { bytes, expectedBytes: found.sizeBytes },
  });
}

async function drain(answer: HttpAnswer): Promise<void> {
  for await (const _piece of answer.body);
}
