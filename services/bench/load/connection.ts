/**
 * One keep-alive HTTP/1.1 connection over a bare socket, one request at a time. It understands just
 * what a benchmark needs, a status line, Content-Length and chunks, because the generator shares the machine
 * with what it measures. A connection that breaks is made again; the request in flight is an error.
 */
import { connect, type Socket } from 'node:net';

/** Where requests come from and answers go; called once a request, in turn. */
export interface Traffic {
  /**
   * The bytes of the next request, which stay as they are until it is answered; null: no more;
   * `later`: none until `wake` is called.
   */
  next(lane: number): Uint8Array | null | 'later';
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
  /** Where a redirect leads; null: the answer is none. */
  readonly location: string | null;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

const HEAD_BYTES_MAX = 16 * 1024;
const RECONNECT_MS = 50;
const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const LOCATION = /\r\nlocation: *([^\r]+)/i;
const isRedirect = (status: number): boolean => status >= 300 && status < 400;
const LINE_END = '\r\n';

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
  /** Where the head of the next chunk is; 0: the answer does not come in chunks. */
  #chunkAt = 0;
  #status = 0;
  #location: string | null = null;
  /** Connected, and told to wait. */
  #isIdle = false;
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

  /** Asks for the next request again, if the last word was `later`. */
  wake(): void {
    if (this.#isIdle) this.#send();
  }

  #connect(): void {
    this.#isIdle = false;
    this.#filled = 0;
    this.#bodyStart = 0;
    this.#chunkAt = 0;
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
    this.#isIdle = request === 'later';
    if (request === 'later') return;
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
    const answerEnd = this.#chunkAt === 0 ? this.#bodyEnd : this.#readChunks();
    if (answerEnd === null || this.#filled < answerEnd) return;
    if (this.#filled > answerEnd || !this.#inFlight) {
      this.#refuse('more bytes came than the answer has');
      return;
    }
    const tookMs = performance.now() - this.#sentMs;
    const answer = {
      ...{ status: this.#status, bytes: this.#received, tookMs },
      location: this.#location,
    };
    const [start, end] = [this.#bodyStart, this.#bodyEnd];
    this.#filled = 0;
    this.#bodyStart = 0;
    this.#chunkAt = 0;
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
    const inChunks = CHUNKED.test(head);
    const isBounded = length !== undefined || inChunks || status === 204;
    if (!head.startsWith('HTTP/1.1 ') || !isBounded) {
      this.#refuse(`an answer without Content-Length: ${head.slice(0, 100)}`);
      return false;
    }
    this.#status = status;
    this.#location = isRedirect(status) ? (LOCATION.exec(head)?.[1] ?? null) : null;
    this.#bodyStart = end + HEAD_END.length;
    this.#bodyEnd = this.#bodyStart + Number(length ?? 0);
    this.#chunkAt = inChunks ? this.#bodyStart : 0;
    if (this.#bodyEnd <= this.#received.length) return true;
    this.#refuse(`an answer of ${length ?? 0} bytes`);
    return false;
  }

  /**
   * Moves what has come of the chunks together, so that the body lies between `#bodyStart` and
   * `#bodyEnd`. Answers where the last chunk ends; null: it has not come, or cannot be understood.
   */
  #readChunks(): number | null {
    for (;;) {
      const lineEnd = this.#received.subarray(0, this.#filled).indexOf(LINE_END, this.#chunkAt);
      if (lineEnd < 0) break;
      const size = Number.parseInt(this.#received.toString('latin1', this.#chunkAt, lineEnd), 16);
      if (!(size >= 0)) {
        this.#refuse('a chunk without a size');
        return null;
      }
      const dataAt = lineEnd + LINE_END.length;
      const chunkEnd = dataAt + size + LINE_END.length;
      if (size === 0) return chunkEnd;
      if (chunkEnd > this.#filled) break;
      this.#received.copyWithin(this.#bodyEnd, dataAt, dataAt + size);
      this.#bodyEnd += size;
      this.#chunkAt = chunkEnd;
    }
    if (this.#filled === this.#received.length) this.#refuse('an answer of too many chunks');
    return null;
  }

  #refuse(why: string): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
    this.#again(why);
  }

  #closed(socket: Socket, why: string): void {
    this.#isIdle = false;
    if (socket !== this.#socket || this.#ended) return;
    this.#again(why);
  }

  #again(why: string): void {
    if (this.#inFlight) this.#traffic.broken(this.#lane, why);
    this.#inFlight = false;
    setTimeout(() => this.#connect(), RECONNECT_MS);
  }
}
