/**
 * The one table of errors: code -> HTTP status, gRPC status, whether a retry may help, and what is
 * known about the operation. docs/errors.md has a heading for each code.
 */

/** What the caller may conclude about the operation that failed. */
export type Outcome = 'not_applied' | 'unknown' | 'applied';

export interface ErrorRow {
  readonly http: number;
  /** Numeric gRPC status. */
  readonly grpc: number;
  readonly retryable: boolean;
  readonly outcome: Outcome;
}

const row = (http: number, grpc: number, retryable = false, outcome: Outcome = 'not_applied') => ({
  http,
  grpc,
  retryable,
  outcome,
});

export const ERRORS = {
  INVALID_ARGUMENT: row(400, 3),
  INVALID_KEY: row(400, 3),
  RESERVED_KEY: row(400, 3),
  INVALID_HEADER: row(400, 3),
  INVALID_RANGE: row(416, 11),
  INVALID_JSON: row(400, 3),
  KEY_NOT_FOUND: row(404, 5),
  ROUTE_NOT_FOUND: row(404, 5),
  TXN_NOT_FOUND: row(404, 5),
  METHOD_NOT_ALLOWED: row(405, 12),
  REQUEST_TIMEOUT: row(408, 4),
  CLUSTER_EXISTS: row(409, 6),
  PEER_NOT_EMPTY: row(409, 9),
  WRONG_CLUSTER: row(409, 9),
  WRONG_NODE: row(409, 9),
  STALE_EPOCH: row(409, 9),
  TERM_CHANGED: row(409, 9),
  TARGET_BEHIND: row(409, 9),
  PRECONDITION_FAILED: row(412, 9),
  TOO_LARGE: row(413, 8),
  URI_TOO_LONG: row(414, 3),
  UNSUPPORTED_MEDIA_TYPE: row(415, 3),
  EXPECTATION_FAILED: row(417, 3),
  CHECKSUM_MISMATCH: row(422, 3),
  IDEMPOTENCY_KEY_REUSED: row(422, 9),
  TOO_MANY_REQUESTS: row(429, 8, true),
  HEADERS_TOO_LARGE: row(431, 3),
  CLIENT_CLOSED: row(499, 1),
  ADMIN_PORT_ONLY: row(403, 7),
  FORBIDDEN_TOKEN: row(403, 7),
  INTERNAL: row(500, 13, false, 'unknown'),
  DATA_LOSS: row(500, 15),
  NOT_IMPLEMENTED: row(501, 12),
  NOT_LEADER: row(503, 14, true),
  NO_LEADER: row(503, 14, true),
  NO_QUORUM: row(503, 14, true),
  TOO_FEW_VOLUMES: row(503, 14, true),
  NO_REPLICAS: row(503, 14, true),
  REPLICAS_UNAVAILABLE: row(503, 14, true),
  EXPIRED: row(503, 10, true),
  OVERLOADED: row(503, 8, true),
  STOPPING: row(503, 14, true),
  NOT_READY: row(503, 14, true),
  STATE_IN_DOUBT: row(503, 14, true),
  PEER_UNKNOWN: row(503, 14, true),
  STALE_REDIRECT: row(503, 5, true),
  DEADLINE_EXCEEDED: row(504, 4, true, 'unknown'),
  TRANSFER_FAILED: row(504, 4, true, 'unknown'),
  FORGOTTEN: row(504, 4, false, 'unknown'),
  HTTP_VERSION: row(505, 3),
  NO_SPACE: row(507, 8),
  /* Between processes only: a client never meets these. */
  NOT_FOUND: row(404, 5),
  ALREADY_EXISTS: row(409, 6),
  STALE_SESSION: row(409, 9),
  OUT_OF_RANGE: row(416, 11),
  UNAVAILABLE: row(503, 14, true),
  UNREADABLE: row(503, 14, true),
  /* A process that stops says one of these. */
  DISK_FAILED: row(500, 13),
  CORRUPT: row(500, 15),
  STATE_DIVERGED: row(500, 15),
  LOCKED: row(500, 9),
  IDENTITY_MISMATCH: row(500, 9),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export type ErrorDetail = Readonly<Record<string, string | number | boolean>>;

/** An operating fault with a stable code. `message` is a sentence that a tired operator understands. */
export class KvError extends Error {
  override readonly name = 'KvError';
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(
    code: ErrorCode,
    message: string,
    options: { detail?: ErrorDetail; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? {};
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/** True for text that is one of our codes; for decoders. */
export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

/** Any thrown value as an Error, for `cause` and for logs. */
export const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown));
