/**
 * The sockets of one listener: how many there may be, whose turn it is on each, and what is answered where
 * the parser gives up before there is a request. Bytes are written to a socket only when they cannot be taken
 * for the answer of an earlier request that is still being served.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { faultOfParser, rawAnswer } from '../../api/protocol-fault.ts';
import { KvError } from '../../common/errors.ts';
import type { Exchange } from './exchange.ts';
import type { HttpContext } from './http-context.ts';

interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: Uint8Array;
}

/** Each listener has its own room: clients that fill theirs take none from probes and the operator. */
export class Connections {
  readonly #context: HttpContext;
  #open = 0;
  readonly #byAddress = new Map<string, number>();
  /** The newest exchange of each socket. */
  readonly #newest = new WeakMap<Duplex, Exchange>();
  readonly #refused = new WeakSet<Duplex>();

  constructor(context: HttpContext) {
    this.#context = context;
  }

  guard(server: Server): void {
    server.on('connection', (socket: Socket) => this.#admit(socket));
    server.on('clientError', (error: ParserError, socket: Duplex) =>
      this.#parserFailed(error, socket),
    );
    server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
      if (this.#newest.get(socket)?.isAnswered === false) {
        socket.destroy();
        return;
      }
      const fault = new KvError('METHOD_NOT_ALLOWED', 'this is no proxy');
      this.#refuse(socket, fault, 'Allow: GET, HEAD, PUT, POST, DELETE\r\n');
    });
  }

  /**
   * Serves a request once it is its turn: requests that a client sends without waiting for answers take effect
   * in their order (RFC 9112, 9.3.2). One whose connection ends before is never served.
   */
  inTurn(exchange: Exchange, serve: () => void): void {
    const { socket } = exchange.req;
    const before = this.#newest.get(socket);
    this.#newest.set(socket, exchange);
    const isFree =
      before === undefined ||
      before.isAnswered ||
      (before.isSafe && exchange.isSafe && !before.isWaiting);
    if (isFree) {
      serve();
      return;
    }
    exchange.isWaiting = true;
    before.res.once('close', () => {
      exchange.isWaiting = false;
      if (before.isAnswered && socket.writable) serve();
    });
  }

  #admit(socket: Socket): void {
    const context = this.#context;
    const address = socket.remoteAddress ?? '';
    const ofAddress = (this.#byAddress.get(address) ?? 0) + 1;
    context.connections += 1;
    this.#open += 1;
    this.#byAddress.set(address, ofAddress);
    socket.once('close', () => this.#left(address));
    const { connectionsMax, connectionsPerAddressMax } = context.limits;
    if (this.#open <= connectionsMax && ofAddress <= connectionsPerAddressMax) return;
    context.metrics.connectionRefused();
    const fault = new KvError('TOO_MANY_REQUESTS', 'too many connections; use fewer or wait');
    this.#refuse(socket, fault, 'Retry-After: 1\r\n');
  }

  #left(address: string): void {
    this.#context.connections -= 1;
    this.#open -= 1;
    const rest = (this.#byAddress.get(address) ?? 1) - 1;
    if (rest === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, rest);
  }

  #parserFailed(error: ParserError, socket: Duplex): void {
    if (this.#refused.has(socket)) return;
    const exchange = this.#newest.get(socket);
    const running = exchange !== undefined && !exchange.isAnswered;
    if (running && (exchange.isWaiting || exchange.req.complete || exchange.res.headersSent)) {
      socket.destroy();
      return;
    }
    exchange?.abandon();
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.#refuse(socket, faultOfParser(error.code, error.rawPacket), '');
  }

  /** Says why and closes; what still comes is thrown away for a while, so that the answer arrives. */
  #refuse(socket: Duplex, fault: KvError, headers: string): void {
    this.#refused.add(socket);
    const { clock } = this.#context.components;
    const lingers = fault.code !== 'REQUEST_TIMEOUT' && fault.code !== 'TOO_MANY_REQUESTS';
    const timer = clock.after(lingers ? this.#context.limits.lingerMs : 0, () => socket.destroy());
    socket.once('close', () => timer.cancel());
    socket.on('error', () => socket.destroy());
    socket.end(rawAnswer(fault, this.#context.mintRequestId(), headers));
    socket.resume();
  }
}
