/**
 * The few calls of k6's modules that the scenarios make, under the names that k6 gives them. All of them wait: a
 * request is made by the main thread, while this one sleeps in `Atomics.wait`.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Call, Reply, Tags, Told, UserData } from './messages.ts';

const { port, signal } = workerData as UserData;
const answered = new Int32Array(signal);

const tell = (told: Told): void => parentPort?.postMessage(told);
const sample = (metric: string, value: number, tags: Tags): void =>
  tell({ kind: 'sample', metric, value, tags });

export function check<T>(
  value: T,
  sets: Readonly<Record<string, (value: T) => boolean>>,
  tags: Tags = {},
): boolean {
  let good = true;
  for (const [name, holds] of Object.entries(sets)) {
    const held = holds(value);
    sample('checks', Number(held), { ...tags, check: name });
    good &&= held;
  }
  return good;
}

export function fail(message: string): never {
  throw new Error(message);
}

export function sleep(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

export class Rate {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(value: boolean, tags: Tags = {}): void {
    sample(this.#name, Number(value), tags);
  }
}

interface Params {
  readonly headers?: Readonly<Record<string, string>>;
  readonly tags?: Tags;
  readonly responseType?: 'text' | 'binary';
  readonly responseCallback?: readonly number[];
}

interface Response {
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ArrayBuffer | string | null;
  readonly error: string;
  readonly error_code: number;
  readonly json: () => unknown;
}

type Body = Call['body'];

/** Code of k6 for whatever has none of its own. */
const ERROR_CODE = 1000;

function request(method: string, url: string, body: Body, params: Params = {}): Response {
  Atomics.store(answered, 0, 0);
  const call: Call = { method, url, body, headers: params.headers ?? {} };
  port.postMessage(call);
  Atomics.wait(answered, 0, 0);
  const reply = receiveMessageOnPort(port)?.message as Reply;
  const { status, headers, error, durationMs } = reply;
  const tags = params.tags ?? {};
  sample('http_req_duration', durationMs, tags);
  sample('http_req_failed', Number(params.responseCallback?.includes(status) !== true), tags);
  const text = new TextDecoder().decode(reply.body ?? new ArrayBuffer(0));
  const asked = params.responseType === 'binary' ? reply.body : text;
  return {
    url,
    status,
    headers,
    body: status === 0 ? null : asked,
    error,
    error_code: status === 0 ? ERROR_CODE : 0,
    json: () => JSON.parse(text) as unknown,
  };
}

interface BatchRequest {
  readonly method: string;
  readonly url: string;
  readonly body: Body;
  readonly params?: Params;
}

const http = {
  expectedStatuses: (...statuses: readonly number[]) => statuses,
  get: (url: string, params?: Params) => request('GET', url, null, params),
  put: (url: string, body: Body, params?: Params) => request('PUT', url, body, params),
  post: (url: string, body: Body, params?: Params) => request('POST', url, body, params),
  del: (url: string, body: Body, params?: Params) => request('DELETE', url, body, params),
  batch: (requests: readonly BatchRequest[]) =>
    requests.map(({ method, url, body, params }) => request(method, url, body, params)),
};

export { http as default };
