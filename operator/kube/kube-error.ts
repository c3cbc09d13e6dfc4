/** Why a call to the Kubernetes API failed, in the terms of its Status answer. */
import { SECOND_MS } from '../../services/common/units.ts';
import { fieldOf, listOf, textOf } from './json.ts';

/** One of several reasons; `field` is a path such as `spec.replicas`. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

interface KubeFailure {
  /** HTTP status; 0 when no answer came, and then nobody knows whether the call took effect. */
  readonly code: number;
  /** The server's word (`Conflict`, `Invalid`), or one of ours: see `NO_ANSWER` and its kin. */
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly causes?: readonly StatusCause[];
  readonly cause?: unknown;
}

/** Reasons of code 0: the connection failed; the call took too long; a watch line was cut or garbled. */
export const NO_ANSWER = 'NoAnswer';
export const DEADLINE_EXCEEDED = 'DeadlineExceeded';
export const TORN_LINE = 'TornLine';

export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly code: number;
  readonly reason: string;
  /** How long the server asks to be left alone. */
  readonly retryAfterMs: number | undefined;
  readonly causes: readonly StatusCause[];

  constructor(failure: KubeFailure) {
    super(failure.message, failure.cause === undefined ? undefined : { cause: failure.cause });
    this.code = failure.code;
    this.reason = failure.reason;
    this.retryAfterMs = failure.retryAfterMs;
    this.causes = failure.causes ?? [];
  }

  /** Somebody changed the object meanwhile, or owns a field: read again. */
  get isConflict(): boolean {
    return this.code === 409 && this.reason !== 'AlreadyExists';
  }

  get isAlreadyExists(): boolean {
    return this.reason === 'AlreadyExists';
  }

  get isNotFound(): boolean {
    return this.code === 404;
  }

  /** The resourceVersion or page is too old to go on from: list anew. */
  get isGone(): boolean {
    return this.code === 410 || this.reason === 'Expired' || this.reason === 'Gone';
  }

  /** The server has looked at the object and refuses it. */
  get isInvalid(): boolean {
    return this.code === 422;
  }

  /** A disruption budget does not allow it now, or the server is too busy. */
  get isTooManyRequests(): boolean {
    return this.code === 429;
  }

  /** Nothing can be made in a namespace that is going away. */
  get isNamespaceTerminating(): boolean {
    return this.causes.some(({ reason }) => reason === 'NamespaceTerminating');
  }

  /** Nobody knows whether the call took effect. */
  get isUnknown(): boolean {
    return this.code === 0 || this.code >= 500;
  }
}

/**
 * What a Status object says, or a proxy's text that is none. `status` stands in where the body has no
 * code, and `retryAfter` is the header of that name.
 */
export function statusError(status: number, body: unknown, retryAfter = ''): KubeError {
  const code = numberOr(fieldOf(body, 'code'), status);
  const causes = listOf(fieldOf(body, 'details', 'causes')).map((cause) => ({
    reason: textOf(fieldOf(cause, 'reason')),
    message: textOf(fieldOf(cause, 'message')),
    field: textOf(fieldOf(cause, 'field')),
  }));
  const seconds = Number(retryAfter) || numberOr(fieldOf(body, 'details', 'retryAfterSeconds'), 0);
  return new KubeError({
    code,
    reason: textOf(fieldOf(body, 'reason')) || (REASONS.get(code) ?? 'Unknown'),
    message: textOf(fieldOf(body, 'message')) || `the API server answered ${code}`,
    retryAfterMs: seconds > 0 ? seconds * SECOND_MS : undefined,
    causes,
  });
}

/** For answers without a Status: those of a proxy, or of a path that the server does not have. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [409, 'Conflict'],
  [410, 'Gone'],
  [422, 'Invalid'],
  [429, 'TooManyRequests'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
  [504, 'Timeout'],
]);

const numberOr = (value: unknown, otherwise: number): number =>
  typeof value === 'number' && value > 0 ? value : otherwise;
