/**
 * Requests that are refused before any route sees them: what the HTTP parser rejects, and what it lets
 * through although this service does not speak it. Shared by the servers of both processes.
 */
import { KvError } from '../common/errors.ts';
import { errorBodyOf } from './error-body.ts';

export const URL_BYTES_MAX = 8 * 1024;
export const HEADER_COUNT_MAX = 100;
/** Bytes of request line and headers that the parser takes in. */
export const HEADER_BYTES_MAX = 16 * 1024;

/** The fault behind a parser error; `packet` is what the parser was reading. */
export function faultOfParser(code: string | undefined, packet: Uint8Array | undefined): KvError {
  switch (code ?? '') {
    case 'HPE_HEADER_OVERFLOW':
      /* No line end so far: it is the request line that does not end. */
      if (packet?.includes(LINE_FEED) === false) return urlTooLong();
      return new KvError('HEADERS_TOO_LARGE', `the headers exceed ${HEADER_BYTES_MAX} bytes`);
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new KvError('REQUEST_TIMEOUT', 'the request did not arrive in time');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new KvError('TOO_LARGE', 'the chunk extensions are too large');
    case 'HPE_PAUSED_H2_UPGRADE':
      return wrongVersion();
    default:
      return new KvError('INVALID_ARGUMENT', 'the request is not valid HTTP/1.1');
  }
}

const LINE_FEED = 0x0a;

export interface RequestHead {
  readonly httpVersion: string;
  readonly url: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly upgrade: boolean;
}

/** @throws KvError for a head that the parser accepts and this service does not. */
export function checkHead(head: RequestHead): void {
  if (head.httpVersion !== '1.1' && head.httpVersion !== '1.0') {
    if (head.httpVersion === '0.9') {
      throw new KvError('INVALID_ARGUMENT', 'the request line names no HTTP version');
    }
    throw wrongVersion();
  }
  if (head.url.length > URL_BYTES_MAX) throw urlTooLong();
  if (!head.url.startsWith('/')) {
    throw new KvError('INVALID_ARGUMENT', 'the request target must begin with a slash');
  }
  if (head.rawHeaders.length > 2 * HEADER_COUNT_MAX) {
    throw new KvError('HEADERS_TOO_LARGE', `at most ${HEADER_COUNT_MAX} headers`);
  }
  if (head.upgrade) throw new KvError('INVALID_ARGUMENT', 'no other protocol is spoken here');
}

const urlTooLong = (): KvError =>
  new KvError('URI_TOO_LONG', `the request target exceeds ${URL_BYTES_MAX} bytes`);

const wrongVersion = (): KvError => new KvError('HTTP_VERSION', 'HTTP/1.1 and 1.0 are spoken here');

/** A whole HTTP answer as bytes, for a socket that has no response object; it ends the connection. */
export function rawAnswer(fault: KvError, requestId: string, extraHeaders = ''): string {
  const body = JSON.stringify(errorBodyOf(fault, requestId));
  return (
    `HTTP/1.1 ${fault.row.http} ${fault.code}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${extraHeaders}Connection: close\r\n\r\n${body}`
  );
}
