/** HTTP for tests: whole calls by Node's client, and bytes over a bare socket for what no client sends. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const agent = new Agent({ keepAlive: false });

/** One request on its own connection; `path` goes out as it stands. */
export function call(
  port: number,
  line: string,
  { headers = {}, body }: CallOptions = {},
): Promise<Answer> {
  const [method = 'GET', path = '/'] = line.split(' ');
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const all = { ...headers, ...(bytes === undefined ? {} : { 'content-length': bytes.length }) };
    const outgoing = request({ port, method, path, headers: all, agent }, (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('data', (piece: Buffer) => pieces.push(piece));
      incoming.once('error', reject);
      incoming.once('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(pieces),
        }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(bytes);
  });
}

/** The JSON of an answer. */
export const jsonOf = (answer: Answer): Record<string, unknown> =>
  JSON.parse(answer.body.toString()) as Record<string, unknown>;

/** A socket that keeps all it was sent. */
export class RawSocket {
  readonly socket: Socket;
  #received = '';
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
    for (const event of ['close', 'error'] as const) {
      this.socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  send(text: string | Uint8Array): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Everything received once it matches; fails when the connection ends before. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#received)) {
      if (this.#ended) throw new Error(`ended without ${pattern.source}: ${this.#received}`);
      await this.#news();
    }
    return this.#received;
  }

  /** Everything received when the other side has closed. */
  async closed(): Promise<string> {
    while (!this.#ended) await this.#news();
    return this.#received;
  }

  get received(): string {
    return this.#received;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** What a server answers to these bytes until it closes the connection. */
export async function rawCall(port: number, text: string | Uint8Array): Promise<string> {
  const raw = new RawSocket(port);
  raw.send(text);
  const received = await raw.closed();
  raw.socket.destroy();
  return received;
}

/** The status of the first answer in some bytes; 0 where there is none. */
export const statusOf = (received: string): number =>
  Number(/^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 0);
