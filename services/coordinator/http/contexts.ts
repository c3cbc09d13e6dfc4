/** From a request to what the gateway wants to know of it. */
import { flagParameter, type Query, textParameter } from '../../api/query.ts';
import { KvError } from '../../common/errors.ts';
import type { LogIndex } from '../../common/ids.ts';
import type { Consistency, MutationContext, ReadContext } from '../gateway.ts';
import type { Exchange } from './exchange.ts';

/** Who asks, as long as nobody has to say. */
const ANYBODY = 'anonymous';

/** A class, since a getter on a literal would be made anew for every request. */
abstract class RequestContext {
  readonly #exchange: Exchange;
  readonly timeoutMs: number;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.timeoutMs = exchange.context.options.requestTimeoutMs;
  }

  /** Made only when somebody listens. */
  get signal(): AbortSignal {
    return this.#exchange.signal;
  }
}

export class HttpMutationContext extends RequestContext implements MutationContext {
  readonly requestId: string;
  readonly principal = ANYBODY;
  readonly idempotencyKey: string | null;

  constructor(exchange: Exchange, idempotencyKey: string | null) {
    super(exchange);
    this.requestId = exchange.requestId;
    this.idempotencyKey = idempotencyKey;
  }
}

export class HttpReadContext extends RequestContext implements ReadContext {
  readonly consistency: Consistency;
  readonly minIndex: LogIndex;

  constructor(exchange: Exchange, consistency: Consistency, minIndex: LogIndex) {
    super(exchange);
    this.consistency = consistency;
    this.minIndex = minIndex;
  }
}

/** `?consistency=`. @throws KvError `INVALID_ARGUMENT` for an unknown one. */
export function consistencyOf(query: Query): Consistency {
  const text = textParameter(query, 'consistency') ?? 'linearizable';
  if (text === 'linearizable' || text === 'stale') return text;
  throw new KvError('INVALID_ARGUMENT', 'consistency is linearizable or stale');
}

export const wantsRedirect = (query: Query): boolean => flagParameter(query, 'redirect');

/** What every answer from the state says: whose view it is and, of a stale one, how old at most. */
export function viewHeaders(exchange: Exchange, consistency: Consistency): string[] {
  const { admin } = exchange.context;
  const headers: string[] = [];
  const leader = admin?.leaderName() ?? null;
  if (leader !== null) headers.push('X-Minikv-Leader', leader);
  if (consistency === 'stale') {
    const ageMs = admin?.leaderContactMs() ?? null;
    headers.push('X-Minikv-Age-Ms', ageMs === null ? 'unknown' : String(Math.ceil(ageMs)));
  }
  return headers;
}
