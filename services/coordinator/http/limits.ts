/** Named maxima of the HTTP surface: sizes in bytes, times in milliseconds. */
import { HEADER_BYTES_MAX, HEADER_COUNT_MAX } from '../../api/protocol-fault.ts';
import { KIB, MIB, MINUTE_MS, SECOND_MS } from '../../common/units.ts';

export interface HttpLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** From the first byte (or the connection) to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** Waiting for `bodyProgressBytes` more of a body; time in which we were not reading is free. */
  readonly bodyTimeoutMs: number;
  readonly bodyProgressBytes: number;
  /** A client that takes in nothing for so long is cut off. */
  readonly sendStallMs: number;
  /** An idle connection is kept so long. */
  readonly keepAliveMs: number;
  /** How often the two time-outs on connections are looked at. */
  readonly checkIntervalMs: number;
  /** After an early refusal the rest of the body is read so long, so that the answer arrives. */
  readonly lingerMs: number;
  readonly lingerBytes: number;
}

export const HTTP_LIMITS: HttpLimits = {
  connectionsMax: 10_000,
  connectionsPerAddressMax: 5_000,
  headersTimeoutMs: 10 * SECOND_MS,
  bodyTimeoutMs: 30 * SECOND_MS,
  bodyProgressBytes: 64 * KIB,
  sendStallMs: 2 * MINUTE_MS,
  keepAliveMs: 65 * SECOND_MS,
  checkIntervalMs: 500,
  lingerMs: 2 * SECOND_MS,
  lingerBytes: 16 * MIB,
};

/** One body's queue between socket and reader. */
export const BODY_QUEUE_BYTES = 256 * KIB;
/** Body of an admin call. */
export const ADMIN_BODY_BYTES_MAX = MIB;
/** Content-Type and `X-Minikv-Meta-*`, names and values. */
export const KEPT_HEADER_BYTES_MAX = 2 * KIB;
export const IDEMPOTENCY_KEY_BYTES_MAX = 255;
/** Less than the 5 s that operators wait, so that they hear why and do not have to guess. */
export const ADMIN_TIMEOUT_MS = 4 * SECOND_MS;
/** Ops of one /batch that run at once. */
export const BATCH_WIDTH = 16;
/** Bytes of values in one /batch answer. */
export const BATCH_ANSWER_BYTES_MAX = 8 * MIB;

/** Settings of every listener; strict parsing is Node's default and stays on. */
export const serverOptions = (limits: HttpLimits) =>
  ({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: limits.headersTimeoutMs,
    // A large body takes its time: `bodyTimeoutMs` asks for progress instead.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
    // A request without a body, as most are, needs none of a stream's life.
    optimizeEmptyRequests: true,
  }) as const;

/** One more than allowed, so that the one too many is seen and not silently dropped. */
export const PARSED_HEADERS_MAX = HEADER_COUNT_MAX + 1;
