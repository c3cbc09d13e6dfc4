/**
 * One keep-alive HTTP/1.1 connection over a bare socket, one request at a time. It understands just
 * what a benchmark needs, a status line and Content-Length, because the generator shares the machine
 * with what it measures. A connection that breaks is made again; the request in flight is an error.
 */
import { connect, type Socket } from 'node:net';

/** Where requests come from and answers go; called once a request, in turn. */
export interface Traffic {
  /** The bytes of the next request, which stay as they are until it is answered; null: no more. */
  next(lane: number): Uint8Array | null;
  /** `bytes` holds the body from `start` to `end`, only during the call. */
  answered(lane: number, answer: Answer): void;
  /** The request in flight has no answer. */
  broken(lane: number, why: string): void;
}

export interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly tookMs: number;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

const HEAD_BYTES_MAX = 16 * 1024;
const RECONNECT_MS = 50;
const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: *(\d+)/i;

export class Connection {
  readonly #target: Target;
  readonly #lane: number;
  readonly #traffic: Traffic;
  readonly #received: Buffer;
  #socket: Socket | null = null;
  #filled = 0;
  #sentMs = 0;
  #inFlight = false;
  #ended = false;
  /** Of the answer that is arriving; 0: its head is not complete. */
  #bodyStart = 0;
  #bodyEnd = 0;
  #status = 0;
  readonly #idle = Promise.withResolvers<undefined>();

  constructor(target: Target, traffic: Traffic, options: { lane: number; bodyBytesMax: number }) {
    this.#target = target;
    this.#traffic = traffic;
    this.#lane = options.lane;
    this.#received = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX + options.bodyBytesMax);
  }

  /** Sends until the traffic has no next request; resolves when the last one is answered or broken. */
  run(): Promise<undefined> {
    this.#connect();
    return this.#idle.promise;
  }

  #connect(): void {
    this.#filled = 0;
    this.#bodyStart = 0;
    const socket = connect({
      ...this.#target,
      noDelay: true,
      onread: {
        buffer: () => this.#received.subarray(this.#filled),
        callback: (count) => {
          if (socket === this.#socket) this.#read(count);
          return true;
        },
      },
    });
    this.#socket = socket;
    socket.once('connect', () => this.#send());
    let why = 'the connection was closed';
    socket.once('error', (error) => {
      why = error.message;
    });
    socket.once('close', () => this.#closed(socket, why));
  }

  #send(): void {
    const request = this.#traffic.next(this.#lane);
    if (request === null) {
      this.#ended = true;
      this.#socket?.destroy();
      this.#idle.resolve(undefined);
      return;
    }
    this.#inFlight = true;
    this.#sentMs = performance.now();
    this.#socket?.write(request);
  }

  #read(count: number): void {
    this.#filled += count;
    if (this.#bodyStart === 0 && !this.#readHead()) return;
    if (this.#filled < this.#bodyEnd) return;
    if (this.#filled > this.#bodyEnd || !this.#inFlight) {
      this.#refuse('more bytes came than the answer has');
      return;
    }
    const tookMs = performance.now() - this.#sentMs;
    const answer = { status: this.#status, bytes: this.#received, tookMs };
    const [start, end] = [this.#bodyStart, this.#bodyEnd];
    this.#filled = 0;
    this.#bodyStart = 0;
    this.#inFlight = false;
    this.#traffic.answered(this.#lane, { ...answer, start, end });
    this.#send();
  }

  /** False while the head is not complete, or cannot be understood and the connection is given up. */
  #readHead(): boolean {
    const end = this.#received.subarray(0, this.#filled).indexOf(HEAD_END);
    if (end < 0) {
      if (this.#filled >= HEAD_BYTES_MAX) this.#refuse('the head of the answer does not end');
      return false;
    }
    const head = this.#received.toString('latin1', 0, end);
    const status = Number(head.slice(9, 12));
    const length = LENGTH.exec(head)?.[1];
    if (!head.startsWith('HTTP/1.1 ') || (length === undefined && status !== 204)) {
      this.#refuse(`an answer without Content-Length: ${head.slice(0, 100)}`);
      return false;
    }
    this.#status = status;
    this.#bodyStart = end + HEAD_END.length;
    this.#bodyEnd = this.#bodyStart + Number(length ?? 0);
    if (this.#bodyEnd <= this.#received.length) return true;
    this.#refuse(`an answer of ${length ?? 0} bytes`);
    return false;
  }

  #refuse(why: string): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    this.#again(why);
  }

  #closed(socket: Socket, why: string): void {
    if (socket !== this.#socket || this.#ended) return;
    this.#again(why);
  }

  #again(why: string): void {
    if (this.#inFlight) this.#traffic.broken(this.#lane, why);
    this.#inFlight = false;
    setTimeout(() => this.#connect(), RECONNECT_MS);
  }
}
