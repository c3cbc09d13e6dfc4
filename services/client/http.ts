/**
 * One request over undici, and its failure in the terms of the table of errors. Paths go out as they
 * are: no URL parser may resolve the dots of a key.
 */
import { Agent } from 'undici';
import { errorBodySchema } from '../api/error-body.ts';
import { asError, ERRORS, type ErrorCode, isErrorCode, KvError } from '../common/errors.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Attempted, Failure } from './retry.ts';
import { Source, systemCode } from './source.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Path and query, already percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** First value of a header, name in lower case; empty where absent. */
  readonly header: (name: string) => string;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface HttpOptions {
  /** Connections to one coordinator. */
  readonly connectionsMax: number;
  /** Silence before an answer, or within a body, that counts as a broken connection. */
  readonly silenceMs: number;
}

const CONNECT_MS = 3 * SECOND_MS;
/** Error bodies are small; more than this is not one of ours. */
const ERROR_BODY_BYTES_MAX = 64 * 1024;

export class HttpTransport {
  readonly #agent: Agent;

  constructor(options: HttpOptions) {
    this.#agent = new Agent({
      connections: options.connectionsMax,
      connect: { timeout: CONNECT_MS },
      headersTimeout: options.silenceMs,
      bodyTimeout: options.silenceMs,
    });
  }

  /** An answer below 400, or why there is none. The caller reads the body to its end or cancels it. */
  async send(url: URL, request: HttpRequest): Promise<Attempted<HttpAnswer>> {
    request.signal?.throwIfAborted();
    const source = new Source(request.body ?? null);
    try {
      const answer = await this.#agent.request({
        origin: url.origin,
        path: request.path,
        method: request.method,
        headers: { ...request.headers },
        body: source.body,
        signal: request.signal ?? null,
      });
      const header = (name: string): string => first(answer.headers[name]);
      if (answer.statusCode >= 400) {
        const failure = failureOf(answer.statusCode, await readSome(answer.body), header);
        return { kind: 'failed', failure };
      }
      const value = { status: answer.statusCode, header, body: answer.body };
      return { kind: 'done', value };
    } catch (thrown) {
      request.signal?.throwIfAborted();
      const failure = source.failure(thrown) ?? transportFailure(url, thrown);
      return { kind: 'failed', failure };
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

const first = (value: string | string[] | undefined): string =>
  (Array.isArray(value) ? value[0] : value) ?? '';

async function readSome(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > ERROR_BODY_BYTES_MAX) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** What an answer of 400 and above says; anything that is not our error body is judged by status. */
export function failureOf(status: number, text: string, header: (name: string) => string): Failure {
  const retryAfterMs = Number(header('retry-after')) * SECOND_MS || 0;
  const body = errorBodySchema.safeParse(parseJson(text));
  if (!body.success || !isErrorCode(body.data.code)) {
    const error = new KvError(codeOf(status), sentenceOf(status), { detail: { status } });
    return { error, ...verdict(error), retryAfterMs };
  }
  const { code, message, outcome, requestId, txnId, detail } = body.data;
  const error = new KvError(code, message, {
    detail: { ...detail, requestId, ...(txnId === undefined ? {} : { txnId }) },
  });
  return { error, outcome, retryable: ERRORS[code].retryable, retryAfterMs };
}

const verdict = (error: KvError): Pick<Failure, 'outcome' | 'retryable'> => ({
  outcome: error.row.outcome,
  retryable: error.row.retryable,
});

/** Answers without a body of ours: HEAD, or a proxy that speaks for the server. */
const CODE_OF_STATUS: ReadonlyMap<number, ErrorCode> = new Map([
  [400, 'INVALID_ARGUMENT'],
  [403, 'ADMIN_PORT_ONLY'],
  [404, 'KEY_NOT_FOUND'],
  [412, 'PRECONDITION_FAILED'],
  [413, 'TOO_LARGE'],
  [416, 'INVALID_RANGE'],
  [429, 'TOO_MANY_REQUESTS'],
  [501, 'NOT_IMPLEMENTED'],
  [502, 'DEADLINE_EXCEEDED'],
  [503, 'NOT_READY'],
  [504, 'DEADLINE_EXCEEDED'],
  [507, 'NO_SPACE'],
]);

const codeOf = (status: number): ErrorCode =>
  CODE_OF_STATUS.get(status) ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');

const sentenceOf = (status: number): string =>
  status === 404 ? 'there is no such key' : `the server answered ${status}`;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Names of faults that happen before the first byte of a request leaves. */
const NOT_SENT = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** A connection that was never made did nothing; one that broke may have done everything. */
function transportFailure(url: URL, thrown: unknown): Failure {
  const cause = asError(thrown);
  const error = NOT_SENT.has(systemCode(thrown))
    ? new KvError('UNAVAILABLE', `cannot connect to ${url.origin}`, { cause })
    : new KvError('DEADLINE_EXCEEDED', `${url.origin} gave no answer: ${cause.message}`, { cause });
  return { error, ...verdict(error), retryAfterMs: 0 };
}
