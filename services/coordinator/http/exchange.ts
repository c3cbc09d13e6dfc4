/**
 * One request and its answer. The abort signal and the body reader are made only when somebody asks for
 * them, because most requests need neither.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { KvError } from '../../common/errors.ts';
import type { HttpContext } from './http-context.ts';
import { RequestBody } from './request-body.ts';

export type Listener = 'main' | 'admin';

export interface ExchangeParts {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly listener: Listener;
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
}

export class Exchange {
  readonly context: HttpContext;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly listener: Listener;
  readonly requestId: string;
  readonly startedMs: number;
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  /** Its turn on its connection has not come. */
  isWaiting = false;
  #body: RequestBody | null = null;
  #abort: AbortController | null = null;
  #gone: KvError | null = null;

  constructor(context: HttpContext, parts: ExchangeParts) {
    this.context = context;
    this.req = parts.req;
    this.res = parts.res;
    this.listener = parts.listener;
    this.expectsContinue = parts.expectsContinue;
    this.requestId = context.mintRequestId();
    this.startedMs = context.components.clock.monotonicMs();
    parts.res.once('close', () => {
      if (!this.isAnswered) this.abandon();
    });
  }

  /** All of the answer has left. */
  get isAnswered(): boolean {
    return this.res.writableFinished;
  }

  /** It only reads: others may be served at the same time. */
  get isSafe(): boolean {
    return this.req.method === 'GET' || this.req.method === 'HEAD';
  }

  /** Aborts when the client has gone. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#gone !== null) this.#abort.abort(this.#gone);
    }
    return this.#abort.signal;
  }

  /** The body; the first read of it sends `100 Continue` where that is awaited. */
  get body(): RequestBody {
    this.#body ??= new RequestBody(
      this.req,
      {
        clock: this.context.components.clock,
        timeoutMs: this.context.limits.bodyTimeoutMs,
        progressBytes: this.context.limits.bodyProgressBytes,
      },
      () => {
        if (this.expectsContinue) this.res.writeContinue();
      },
    );
    return this.#body;
  }

  /** Bytes of body that have been read. */
  get receivedBytes(): number {
    return this.#body?.receivedBytes ?? 0;
  }

  /** The client is not there any more: nobody waits for the answer. */
  abandon(): void {
    if (this.#gone !== null) return;
    this.#gone = new KvError('CLIENT_CLOSED', 'the client has gone');
    this.#body?.fail(this.#gone);
    this.#abort?.abort(this.#gone);
  }
}
