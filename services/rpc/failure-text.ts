/** What of an error travels between processes: its message and its detail, each within a bound. */
import type { ErrorDetail, KvError } from '../common/errors.ts';

const DETAIL_BYTES_MAX = 4096;
const MESSAGE_CHARS_MAX = 1024;

/** Well-formed: a lone surrogate would make the percent-encoding of a gRPC status throw. */
export const messageText = ({ message }: KvError): string =>
  message.slice(0, MESSAGE_CHARS_MAX).toWellFormed();

/** The detail as JSON; null where it is too large to travel. */
export function detailText({ detail }: KvError): string | null {
  const text = JSON.stringify(detail);
  return Buffer.byteLength(text) <= DETAIL_BYTES_MAX ? text : null;
}

/** The plain values of what arrived as a detail; nothing else is believed. */
export function plainDetail(parsed: unknown): ErrorDetail {
  if (typeof parsed !== 'object' || parsed === null) return {};
  const plain = Object.entries(parsed).filter(([, value]) =>
    ['string', 'number', 'boolean'].includes(typeof value),
  );
  return Object.fromEntries(plain);
}
