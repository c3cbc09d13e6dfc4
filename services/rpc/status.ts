/**
 * KvError <-> gRPC status. The code and the detail travel in metadata, so that an error keeps its
 * meaning across processes; a status without them (made by the transport) is mapped by number.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  asError,
  type ErrorCode,
  type ErrorDetail,
  isErrorCode,
  KvError,
} from '../common/errors.ts';
import { detailText, messageText, plainDetail } from './failure-text.ts';

const CODE_KEY = 'minikv-code';
/** Binary, because a detail may hold any text. */
const DETAIL_KEY = 'minikv-detail-bin';

/** Statuses that the transport itself makes. */
const BY_NUMBER: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'UNAVAILABLE',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.RESOURCE_EXHAUSTED]: 'TOO_LARGE',
  [status.UNIMPLEMENTED]: 'NOT_IMPLEMENTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
};

/** A status to end a call with, in the form that grpc-js reads off an error. */
export interface FinalStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

export function toStatus(error: KvError): FinalStatus {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  const detail = detailText(error);
  if (detail !== null) metadata.set(DETAIL_KEY, Buffer.from(detail));
  return { code: error.row.grpc, details: messageText(error), metadata };
}

/** What a failed call or a closed stream means; never throws. */
export function fromStatus(thrown: unknown): KvError {
  if (thrown instanceof KvError) return thrown;
  const failure = asError(thrown) as Partial<ServiceError> & Error;
  const message = failure.details ?? failure.message;
  const stated = failure.metadata?.get(CODE_KEY)[0];
  if (typeof stated === 'string' && isErrorCode(stated)) {
    return new KvError(stated, message, { detail: detailOf(failure.metadata), cause: failure });
  }
  const code = BY_NUMBER[failure.code ?? status.UNKNOWN] ?? 'INTERNAL';
  return new KvError(code, message, { cause: failure });
}

function detailOf(metadata: Metadata | undefined): ErrorDetail {
  const bytes = metadata?.get(DETAIL_KEY)[0];
  if (!(bytes instanceof Buffer)) return {};
  try {
    return plainDetail(JSON.parse(bytes.toString()));
  } catch {
    return {};
  }
}
