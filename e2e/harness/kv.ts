/** A plain HTTP client for tests: no retries of its own beyond what a test asks for. */
import { createHash, randomBytes } from 'node:crypto';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/**
 * One request; status 0 stands for a broken connection or time-out (outcome unknown), and its body
 * says which.
 */
export async function call(
  url: string,
  init: RequestInit = {},
  timeoutMs = 15_000,
): Promise<Answer> {
  try {
    const answer = await fetch(url, {
      ...init,
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'manual',
    });
    const body = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, headers: answer.headers, body };
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return { status: 0, headers: new Headers(), body: Buffer.from(String(cause)) };
  }
}

export const keyUrl = (base: string, key: string): string =>
  `${base}/kv/${encodeURIComponent(key)}`;

export const put = (
  base: string,
  key: string,
  body: Buffer,
  headers: Record<string, string> = {},
) => call(keyUrl(base, key), { method: 'PUT', body: new Uint8Array(body), headers });

export const get = (base: string, key: string, headers: Record<string, string> = {}) =>
  call(keyUrl(base, key), { headers });

export const remove = (base: string, key: string) => call(keyUrl(base, key), { method: 'DELETE' });

export const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Random bytes whose first 16 make every value unique. */
export const randomValue = (size: number): Buffer => randomBytes(size);
