/** A PUT in the hands of a test: fed piece by piece, ended, cut short or torn off. */
import { type IncomingMessage, request } from 'node:http';
import { keyUrl } from './kv.ts';

export interface UploadAnswer {
  /** 0: the connection broke before an answer (outcome unknown). */
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface Upload {
  readonly answer: Promise<UploadAnswer>;
  /** Resolves once the socket has taken the piece, or is gone. */
  write(piece: Buffer): Promise<void>;
  end(): void;
  /** Breaks the connection at once. */
  vanish(): void;
}

const NO_ANSWER: UploadAnswer = { status: 0, headers: {}, body: '' };

/**
 * Opens a connection of its own for one PUT. `contentLength` null: chunked.
 * The answer never rejects; without one for `timeoutMs` the connection is broken.
 */
export function openUpload(
  base: string,
  key: string,
  options: { readonly contentLength: number | null; readonly timeoutMs?: number },
): Upload {
  const { contentLength, timeoutMs = 30_000 } = options;
  const headers = contentLength === null ? {} : { 'content-length': String(contentLength) };
  const sent = request(keyUrl(base, key), { method: 'PUT', agent: false, headers });
  sent.setTimeout(timeoutMs, () => sent.destroy());
  const answer = new Promise<UploadAnswer>((resolve) => {
    sent.on('error', () => resolve(NO_ANSWER));
    sent.on('response', (received) => {
      let body = '';
      received.setEncoding('utf8');
      received.on('data', (piece: string) => {
        body += piece;
      });
      // Status and headers are an answer, even where the process dies before its connection closes.
      received.on('close', () => {
        resolve({ status: received.statusCode ?? 0, headers: received.headers, body });
      });
    });
  });
  const closed = new Promise<void>((resolve) => {
    sent.once('close', resolve);
  });
  const written = (piece: Buffer): Promise<void> =>
    new Promise((resolve) => {
      sent.write(piece, () => resolve());
    });
  return {
    answer,
    write: (piece) => Promise.race([written(piece), closed]),
    end: () => {
      sent.end();
    },
    vanish: () => {
      sent.destroy();
    },
  };
}

/** Puts a whole value over a connection of its own. */
export function putOnce(base: string, key: string, value: Buffer): Promise<UploadAnswer> {
  const upload = openUpload(base, key, { contentLength: value.length });
  void upload.write(value);
  upload.end();
  return upload.answer;
}
