/**
 * A coordinator as its clients see it, in memory: keys, listings and status over real HTTP on
 * loopback. Faults are injected by `fault`, which may answer a request in the server's place.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorBodyOf } from '../api/error-body.ts';
import { decodeKey } from '../api/key-path.ts';
import type { ListPage } from '../api/kv.ts';
import { textOf } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';

export interface Held {
  readonly bytes: Buffer;
  readonly index: number;
  /** Content-Type and meta, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly idempotencyKey: string | undefined;
  readonly kept: Readonly<Record<string, string>>;
}

/** Answers in the server's place (true), or lets it go on (false). */
export type Fault = (request: IncomingMessage, response: ServerResponse, seen: Seen) => boolean;

export class FakeKvServer {
  readonly values = new Map<string, Held>();
  readonly seen: Seen[] = [];
  /** Entries of one page of a listing. */
  pageSize = 1000;
  fault: Fault = () => false;
  /** JSON answered to GET by path, such as `/admin/status`. */
  readonly documents = new Map<string, unknown>();
  readonly #server: Server;
  #index = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeKvServer> {
    const fake = new FakeKvServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  store(key: string, bytes: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
    this.#index += 1;
    this.values.set(key, { bytes: Buffer.from(bytes), index: this.#index, headers });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const idempotencyKey = headers['idempotency-key'] as string | undefined;
    const seen = { method, url, idempotencyKey, kept: kept(headers) };
    this.seen.push(seen);
    if (this.fault(request, response, seen)) return;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    try {
      this.#answer(seen, Buffer.concat(pieces), response);
    } catch (error) {
      refuse(response, error);
    }
  }

  #answer(seen: Seen, body: Buffer, response: ServerResponse): void {
    const document = this.documents.get(seen.url);
    if (document !== undefined) response.end(JSON.stringify(document));
    else if (seen.url.startsWith('/kv?')) response.end(JSON.stringify(this.#list(seen.url)));
    else if (seen.url.startsWith('/kv/')) this.#key(seen, body, response);
    else throw new KvError('ROUTE_NOT_FOUND', 'no such route');
  }

  #key(seen: Seen, body: Buffer, response: ServerResponse): void {
    const key = textOf(decodeKey(seen.url.slice('/kv/'.length)));
    const held = this.values.get(key);
    if (seen.method === 'PUT') {
      this.store(key, body, seen.kept);
      const headers = { 'x-raft-index': this.#index, 'x-replicas': '3/3', etag: etag(this.#index) };
      response.writeHead(held === undefined ? 201 : 200, headers).end();
      return;
    }
    if (held === undefined) throw new KvError('KEY_NOT_FOUND', 'there is no such key');
    if (seen.method === 'DELETE') {
      this.values.delete(key);
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, {
      'content-length': held.bytes.length,
      'content-type': 'application/octet-stream',
      'x-content-blake3': digestOf(held.bytes),
      'x-raft-index': held.index,
      etag: etag(held.index),
      ...held.headers,
    });
    response.end(seen.method === 'HEAD' ? undefined : held.bytes);
  }

  #list(url: string): ListPage {
    const query = new URLSearchParams(url.slice('/kv?'.length));
    const after = query.get('cursor') ?? '';
    const limit = Math.min(this.pageSize, Number(query.get('limit') ?? this.pageSize));
    const keys = [...this.values.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after)
      .sort();
    const page = keys.slice(0, limit);
    return {
      entries: page.map((key) => {
        const { bytes, index } = this.values.get(key)!;
        const blake3 = digestOf(bytes);
        return { key, size: bytes.length, etag: etag(index), blake3, raftIndex: index };
      }),
      cursor: keys.length > page.length ? (page.at(-1) ?? null) : null,
      raftIndex: this.#index,
    };
  }
}

const kept = (headers: IncomingMessage['headers']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name === 'content-type' || name.startsWith('x-minikv-meta-') ? [[name, String(value)]] : [],
    ),
  );

const etag = (index: number): string => `"${index.toString(16).padStart(32, '0')}"`;

/** Answers with the body and status that a coordinator gives for this error. */
export function refuse(response: ServerResponse, error: unknown): void {
  const status = error instanceof KvError ? error.row.http : 500;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(errorBodyOf(error, 'req-1')));
}
