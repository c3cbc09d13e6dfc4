/** A value written and read again the two ways that a client has: in a pod, or by a port of this machine. */
import { call, keyUrl, randomValue } from '../../harness/kv.ts';
import type { Namespace } from './namespace.ts';

/** What PUT and GET answered, and whether GET gave back what PUT took. */
export interface RoundTrip {
  readonly put: number;
  readonly get: number;
  readonly same: boolean;
}

/** What a `RoundTrip` of a new key is. */
export const WHOLE: RoundTrip = { put: 201, get: 200, same: true };

const TIMEOUT_MS = 90_000;

const PROGRAM = `
const { randomBytes } = await import('node:crypto');
const [url, size] = process.argv.slice(1);
const value = randomBytes(Number(size));
const put = await fetch(url, { method: 'PUT', body: value });
const got = await fetch(url);
const same = value.equals(Buffer.from(await got.arrayBuffer()));
console.log(JSON.stringify({ put: put.status, get: got.status, same }));`;

/** Random bytes from a pod of the image, for example to `http://demo:5000`. */
export async function roundTripInPod(
  namespace: Namespace,
  pod: string,
  base: string,
  size: number,
): Promise<RoundTrip> {
  const program = ['node', '--input-type=module', '--eval', PROGRAM, keyUrl(base, `pod/${size}`)];
  const text = await namespace.exec(pod, [...program, String(size)], { timeoutMs: TIMEOUT_MS });
  return JSON.parse(text) as RoundTrip;
}

/** Random bytes from this machine. */
export async function roundTrip({ origin }: URL, size: number): Promise<RoundTrip> {
  const value = randomValue(size);
  const url = keyUrl(origin, `outside/${size}`);
  const put = await call(url, { method: 'PUT', body: new Uint8Array(value) }, TIMEOUT_MS);
  const got = await call(url, {}, TIMEOUT_MS);
  return { put: put.status, get: got.status, same: value.equals(got.body) };
}
