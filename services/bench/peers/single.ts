/** Single requests, one `fetch` each: for what is asked once, and not for load. */
import { SECOND_MS } from '../../common/units.ts';
import type { Target } from '../load/connection.ts';
import type { Door } from './peer.ts';

const TIMEOUT_MS = 5 * SECOND_MS;

/** A JSON object, by GET, or by POST of `body`. @throws Error for anything but 2xx. */
export async function jsonOf(
  { host, port }: Target,
  path: string,
  body?: string,
): Promise<Record<string, unknown>> {
  const url = `http://${host}:${port}${path}`;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const post = body === undefined ? {} : { method: 'POST', body };
  const answer = await fetch(url, { signal, ...post });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** A request as `fetch` takes it. */
export interface SingleRequest {
  readonly url: string;
  readonly method: string;
  readonly body?: Buffer | string;
}

/**
 * `name` is of 16 hex digits, which all dialects take, and a small number: SeaweedFS' master goes on
 * counting from the greatest id that it sees, for the filer too.
 */
export function putRequest(
  { dialect }: Door,
  { host, port }: Target,
  { name, value }: { readonly name: string; readonly value: Buffer },
): SingleRequest {
  const base = `http://${host}:${port}`;
  switch (dialect.kind) {
    case 'paths': {
      const { prefixes, suffix, putQuery = '' } = dialect;
      const url = `${base}${prefixes[0] ?? '/'}${name}${suffix}${putQuery}`;
      return { url, method: 'PUT', body: value };
    }
    case 'etcd': {
      const body = { key: base64(dialect.prefix + name), value: value.toString('base64') };
      return { url: `${base}/v3/kv/put`, method: 'POST', body: JSON.stringify(body) };
    }
  }
}

export function getRequest({ dialect }: Door, { host, port }: Target, name: string): SingleRequest {
  const base = `http://${host}:${port}`;
  switch (dialect.kind) {
    case 'paths':
      return { url: `${base}${dialect.prefixes[0] ?? '/'}${name}${dialect.suffix}`, method: 'GET' };
    case 'etcd': {
      const body = JSON.stringify({ key: base64(dialect.prefix + name) });
      return { url: `${base}/v3/kv/range`, method: 'POST', body };
    }
  }
}

/** The value in the body of a 2xx answer to a GET; null: none. */
export function valueIn({ dialect }: Door, body: Buffer): Buffer | null {
  if (dialect.kind === 'paths') return body;
  const { kvs = [] } = JSON.parse(body.toString()) as { kvs?: readonly { value?: string }[] };
  return kvs[0]?.value === undefined ? null : Buffer.from(kvs[0].value, 'base64');
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Whether it was acknowledged; false for any other end. */
export async function putOnce(request: SingleRequest, signal: AbortSignal): Promise<boolean> {
  return (await ask(request, signal)) !== null;
}

/** Whether the key is there with exactly this value. */
export async function isStored(
  door: Door,
  target: Target,
  expected: { readonly name: string; readonly value: Buffer; readonly signal: AbortSignal },
): Promise<boolean> {
  const body = await ask(getRequest(door, target, expected.name), expected.signal);
  return body !== null && valueIn(door, body)?.equals(expected.value) === true;
}

async function ask(request: SingleRequest, signal: AbortSignal): Promise<Buffer | null> {
  const { url, ...rest } = request;
  try {
    const answer = await fetch(url, { ...rest, signal: AbortSignal.any([signal, limit()]) });
    const body = Buffer.from(await answer.arrayBuffer());
    return answer.ok ? body : null;
  } catch {
    return null;
  }
}

const limit = (): AbortSignal => AbortSignal.timeout(TIMEOUT_MS);
