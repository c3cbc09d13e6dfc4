/**
 * Where a simulated process serves its clients in the place of HTTP. A request begins with a step of the
 * process and ends with one of the client, each a moment later; when the process goes, its clients are
 * told that the connection is lost, at once or, where the machine lost its power, after a while.
 */
import { asError } from '../common/errors.ts';
import type { AdminPort } from '../coordinator/admin-port.ts';
import type { Gateway, MutationContext, ReadContext } from '../coordinator/gateway.ts';
import type { HttpServer, StartHttp } from '../coordinator/http/server.ts';
import type { StartVolumeHttp } from '../volume/http/server.ts';
import type { VolumeHttpPort } from '../volume/http/volume-http-port.ts';
import type { Life } from './life.ts';
import { ConnectionLost } from './lost.ts';
import { EVENT, type Scheduler } from './scheduler.ts';

const WAY_MS = 0.2;
/** How long a client waits for a machine without power. */
const SILENCE_MS = 10_000;
const POLL_MS = 5;

interface Waiting {
  reject(error: Error): void;
}

export class Front {
  gateway: Gateway | null = null;
  admin: AdminPort | null = null;
  volumePort: VolumeHttpPort | null = null;
  readonly #scheduler: Scheduler;
  readonly #life: Life;
  readonly #waiting = new Set<Waiting>();

  constructor(scheduler: Scheduler, life: Life) {
    this.#scheduler = scheduler;
    this.#life = life;
  }

  /** In the place of `startHttpServer`. */
  readonly startHttp: StartHttp = () =>
    Promise.resolve({
      ...this.#server(),
      serveAdmin: (admin) => {
        this.admin = admin;
      },
      serveData: (gateway) => {
        this.gateway = this.#gatewayTo(gateway);
      },
      beginDrain: () => undefined,
    });

  /** In the place of `startVolumeHttp`. */
  readonly startVolumeHttp: StartVolumeHttp = ({ port }) => {
    this.volumePort = port;
    return Promise.resolve(this.#server());
  };

  /** The process has ended. */
  end(hasPower: boolean): void {
    this.#shut();
    this.#scheduler.schedule(hasPower ? WAY_MS : SILENCE_MS, null, EVENT.process, () => {
      for (const waiting of this.#waiting)
        waiting.reject(new ConnectionLost('the server has gone'));
      this.#waiting.clear();
    });
  }

  /** Does `work` in the process and brings the answer back. */
  ask<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { reject };
      if (this.#life.isOver) {
        reject(new ConnectionLost('the server is not there'));
        return;
      }
      this.#waiting.add(waiting);
      const answer = (settle: () => void): void => {
        if (this.#life.isOver) return;
        this.#scheduler.schedule(WAY_MS, null, EVENT.process, () => {
          if (this.#waiting.delete(waiting)) settle();
        });
      };
      this.#scheduler.schedule(WAY_MS, this.#life, EVENT.process, () => {
        work().then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(asError(error))),
        );
      });
    });
  }

  #server(): Pick<HttpServer, 'port' | 'adminPort' | 'close'> {
    return {
      port: 1,
      adminPort: null,
      close: (graceMs) => {
        this.#shut();
        return this.#idle(this.#scheduler.nowMs + graceMs);
      },
    };
  }

  #shut(): void {
    this.gateway = null;
    this.admin = null;
    this.volumePort = null;
  }

  /** Resolves once nothing is being answered. */
  #idle(endMs: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#waiting.size === 0 || this.#scheduler.nowMs >= endMs) resolve();
        else this.#scheduler.schedule(POLL_MS, this.#life, EVENT.process, look);
      };
      look();
    });
  }

  #gatewayTo(inner: Gateway): Gateway {
    return {
      admitWrite: (...args) => this.ask(() => inner.admitWrite(...args)),
      put: (request, context) => this.ask(() => inner.put(request, this.#here(context))),
      delete: (key, condition, context) =>
        this.ask(() => inner.delete(key, condition, this.#here(context))),
      transact: (ops, context) => this.ask(() => inner.transact(ops, this.#here(context))),
      find: (key, context) => this.ask(() => inner.find(key, this.#here(context))),
      open: async (found, range, key, context) => {
        const value = await this.ask(() => inner.open(found, range, key, this.#here(context)));
        return { ...value, body: this.#bodyOf(value.body) };
      },
      redirect: (found) => inner.redirect(found),
      list: (request, context) => this.ask(() => inner.list(request, this.#here(context))),
      transaction: (...args) => this.ask(() => inner.transaction(...args)),
    };
  }

  /** The client's abort reaches the process as a step of the process. */
  #here<Context extends MutationContext | ReadContext>(context: Context): Context {
    const abort = new AbortController();
    const { signal } = context;
    const pass = (): void => {
      this.#scheduler.schedule(WAY_MS, this.#life, EVENT.process, () => abort.abort(signal.reason));
    };
    if (signal.aborted) pass();
    else signal.addEventListener('abort', pass, { once: true });
    return { ...context, signal: abort.signal };
  }

  #bodyOf(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const ask = <T>(work: () => Promise<T>): Promise<T> => this.ask(work);
    return {
      async *[Symbol.asyncIterator]() {
        const pieces = body[Symbol.asyncIterator]();
        for (;;) {
          const piece = await ask(() => pieces.next());
          if (piece.done === true) return;
          yield piece.value;
        }
      },
    };
  }
}
