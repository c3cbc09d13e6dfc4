/**
 * HTTP to one API server over one keep-alive dispatcher. Each request has a deadline of its own for the
 * answer's head (and, for `send`, its body); none is retried here.
 */
import { Agent, type Dispatcher } from 'undici';
import { type Clock, withDeadline } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import { MIB, SECOND_MS } from '../../services/common/units.ts';
import type { Authorization, KubeAccess, TlsMaterial } from './access.ts';
import { KINDS } from './kinds.ts';
import { DEADLINE_EXCEEDED, KubeError, NO_ANSWER, statusError } from './kube-error.ts';
import type { RequestMetrics } from './metrics.ts';
import type { Call } from './types.ts';

export interface KubeRequest extends Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Percent-encoded, without the server's own path. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** For the count: `list`, and `pods` or `pods/eviction`. */
  readonly verb: string;
  readonly resource: string;
}

export interface TransportComponents {
  readonly access: KubeAccess;
  readonly clock: Clock;
  readonly metrics: RequestMetrics;
  /** Names this program to the server: `minikv-operator/0.1.0`. */
  readonly userAgent: string;
}

type Exchange<T> = (signal: AbortSignal) => Promise<{ readonly code: number; readonly value: T }>;

const CONNECT_MS = 5 * SECOND_MS;
const DEADLINE_MS = 10 * SECOND_MS;
/** A connection that is silent for this long is asked by TCP whether it still lives. */
const PROBE_MS = 30 * SECOND_MS;
/** A page of 500 large objects is far below this; more is not an answer but a fault. */
const BODY_BYTES_MAX = 64 * MIB;

export class HttpTransport {
  readonly #parts: TransportComponents;
  #agent: { readonly tls: TlsMaterial; readonly dispatcher: Agent } | null = null;

  constructor(parts: TransportComponents) {
    this.#parts = parts;
  }

  /** The JSON of a 2xx answer. @throws KubeError for any other answer, and for none. */
  async send(request: KubeRequest): Promise<unknown> {
    return this.#bounded(request, async (signal) => {
      const answer = await this.#open(request, signal);
      const text = await readText(answer.body);
      if (answer.statusCode >= 300) throw failureOf(answer, text);
      return { code: answer.statusCode, value: text === '' ? null : parse(text) };
    });
  }

  /** The body of a 2xx answer, piece by piece, for as long as the request's own signal allows. */
  async stream(request: KubeRequest): Promise<AsyncIterable<Uint8Array>> {
    return this.#bounded(request, async (signal) => {
      const answer = await this.#open(request, signal);
      if (answer.statusCode >= 300) throw failureOf(answer, await readText(answer.body));
      return { code: answer.statusCode, value: answer.body };
    });
  }

  /** Ends all connections, also those in use. */
  async close(): Promise<void> {
    await this.#agent?.dispatcher.destroy();
    this.#agent = null;
  }

  /** Runs one exchange under its deadline, counts how it ended, and says failures in our terms. */
  async #bounded<T>(request: KubeRequest, exchange: Exchange<T>): Promise<T> {
    const { clock, metrics } = this.#parts;
    const { verb, resource, method } = request;
    const count = (code: string): void => metrics.requests.add(1, { verb, resource, code });
    // The Lease is renewed for ever; what clusters cost would drown in it.
    if (method !== 'GET' && resource !== KINDS.lease.plural) metrics.writes.add();
    const late = new AbortController();
    const signal = AbortSignal.any([request.signal, late.signal]);
    try {
      request.signal.throwIfAborted();
      const deadlineMs = request.deadlineMs ?? DEADLINE_MS;
      const { code, value } = await withDeadline(clock, exchange(signal), deadlineMs, () => {
        const error = overdue(request, deadlineMs);
        late.abort(error);
        return error;
      });
      count(String(code));
      return value;
    } catch (thrown) {
      const error = thrown instanceof KubeError ? thrown : noAnswer(request, asError(thrown));
      count(error.code === 0 ? 'none' : String(error.code));
      request.signal.throwIfAborted();
      throw error;
    }
  }

  async #open(request: KubeRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { access, userAgent } = this.#parts;
    const { headers, tls } = await access.authorize();
    const { body } = request;
    return this.#dispatcher(tls).request({
      origin: access.serverUrl.origin,
      path: `${access.serverUrl.pathname.replace(/\/$/, '')}${request.path}${queryText(request)}`,
      method: request.method,
      headers: {
        accept: 'application/json',
        'user-agent': userAgent,
        ...(body === undefined
          ? {}
          : { 'content-type': request.contentType ?? 'application/json' }),
        ...headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
  }

  /** The one dispatcher, until a certificate is renewed: then old requests end on the old one. */
  #dispatcher(tls: Authorization['tls']): Agent {
    if (this.#agent !== null && isSame(this.#agent.tls, tls)) return this.#agent.dispatcher;
    void this.#agent?.dispatcher.close();
    const dispatcher = new Agent({
      connect: { ...tls, timeout: CONNECT_MS, keepAlive: true, keepAliveInitialDelay: PROBE_MS },
      // Time is measured by deadlines and by watchdogs, not by the socket.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#agent = { tls, dispatcher };
    return dispatcher;
  }
}

function queryText({ query = {} }: KubeRequest): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) given.set(name, value);
  }
  const text = given.toString();
  return text === '' ? '' : `?${text}`;
}

const isSame = (one: TlsMaterial, other: TlsMaterial): boolean =>
  String(one.ca) === String(other.ca) &&
  String(one.cert) === String(other.cert) &&
  String(one.key) === String(other.key) &&
  one.servername === other.servername &&
  one.rejectUnauthorized === other.rejectUnauthorized;

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new KubeError({ code: 0, reason: 'TooLarge', message: 'the answer is too large' });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KubeError({ code: 0, reason: 'Malformed', message: 'the answer is not JSON', cause });
  }
}

function failureOf({ statusCode, headers }: Dispatcher.ResponseData, text: string): KubeError {
  const retryAfter = headers['retry-after'];
  const header = typeof retryAfter === 'string' ? retryAfter : '';
  try {
    return statusError(statusCode, JSON.parse(text), header);
  } catch {
    return statusError(statusCode, null, header);
  }
}

const overdue = ({ verb, resource }: KubeRequest, deadlineMs: number): KubeError =>
  new KubeError({
    code: 0,
    reason: DEADLINE_EXCEEDED,
    message: `${verb} ${resource}: no answer within ${deadlineMs} ms`,
  });

const noAnswer = ({ verb, resource }: KubeRequest, cause: Error): KubeError =>
  new KubeError({
    code: 0,
    reason: NO_ANSWER,
    message: `${verb} ${resource}: ${cause.message}`,
    cause,
  });
