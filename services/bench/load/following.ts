/**
 * A connection that follows redirects: an answer of 307 is not the answer, but where it is. The second
 * request goes over a connection of its own to that process, and the time is that of both.
 */
import { type Answer, Connection, type Target, type Traffic } from './connection.ts';

const REDIRECT = 307;

export class FollowingConnection {
  readonly #traffic: Traffic;
  readonly #options: { lane: number; bodyBytesMax: number };
  readonly #main: Connection;
  /** By host and port. */
  readonly #sides = new Map<string, Side>();
  /** The redirect that is followed began then; null: none is. */
  #beganMs: number | null = null;

  constructor(target: Target, traffic: Traffic, options: { lane: number; bodyBytesMax: number }) {
    this.#traffic = traffic;
    this.#options = options;
    this.#main = new Connection(
      target,
      {
        next: (lane) => (this.#beganMs === null ? traffic.next(lane) : 'later'),
        answered: (lane, answer) => this.#answered(lane, answer),
        broken: (lane, why) => traffic.broken(lane, why),
      },
      options,
    );
  }

  /** As of `Connection`. */
  async run(): Promise<void> {
    await this.#main.run();
    for (const side of this.#sides.values()) side.end();
  }

  #answered(lane: number, answer: Answer): void {
    if (answer.status !== REDIRECT || answer.location === null) {
      this.#traffic.answered(lane, answer);
      return;
    }
    this.#beganMs = performance.now() - answer.tookMs;
    const url = new URL(answer.location);
    this.#sideTo(url).ask(
      Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`),
    );
  }

  #sideTo(url: URL): Side {
    const known = this.#sides.get(url.host);
    if (known !== undefined) return known;
    const target = { host: url.hostname, port: Number(url.port) };
    const side = new Side(target, this.#options, (tell) => this.#followed(tell));
    this.#sides.set(url.host, side);
    return side;
  }

  #followed(tell: (traffic: Traffic, tookMs: number) => void): void {
    const tookMs = performance.now() - (this.#beganMs ?? 0);
    this.#beganMs = null;
    tell(this.#traffic, tookMs);
    this.#main.wake();
  }
}

/** The connection to one process that redirects lead to: one request at a time, and idle in between. */
class Side {
  readonly #connection: Connection;
  #request: Uint8Array | null = null;
  #ended = false;

  constructor(
    target: Target,
    options: { lane: number; bodyBytesMax: number },
    followed: (tell: (traffic: Traffic, tookMs: number) => void) => void,
  ) {
    const traffic: Traffic = {
      next: () => this.#next(),
      answered: (lane, answer) =>
        followed((to, tookMs) => to.answered(lane, { ...answer, tookMs })),
      broken: (lane, why) => followed((to) => to.broken(lane, why)),
    };
    this.#connection = new Connection(target, traffic, options);
    void this.#connection.run();
  }

  ask(request: Uint8Array): void {
    this.#request = request;
    this.#connection.wake();
  }

  end(): void {
    this.#ended = true;
    this.#connection.wake();
  }

  #next(): Uint8Array | null | 'later' {
    if (this.#ended) return null;
    const request = this.#request;
    this.#request = null;
    return request ?? 'later';
  }
}
