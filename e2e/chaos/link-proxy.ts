/**
 * A TCP proxy for one link, with the ways in which networks fail: slow and narrow, reset, open without
 * carrying anything, or cut in one direction or both. What a cut holds back comes through once it is
 * healed, as TCP repeats it; what was swallowed never does.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Random } from '../../services/common/random.ts';

/** Host and port. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

export type Trouble = 'slow' | 'reset' | 'half-open';

/** What a link does at present. */
export interface LinkState {
  readonly trouble: Trouble | null;
  /** Nothing passes from the dialling side, or to it. */
  readonly cutOut: boolean;
  readonly cutBack: boolean;
}

export const CLEAR_LINK: LinkState = { trouble: null, cutOut: false, cutBack: false };

const SLOW_DELAY_MS = 40;
const SLOW_JITTER_MS = 80;
const SLOW_BYTES_PER_MS = 500;
const RESET_AFTER_MS = 900;

/** More than this waits in no direction of a slow link. */
const WAITING_BYTES_MAX = 256 * 1024;

/** One direction of one connection: bytes in their order, each as late as the link makes it. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delay: (bytes: number) => { readonly lateMs: number; readonly carriedMs: number };
  /** null: the end. */
  readonly #waiting: { readonly piece: Buffer | null; readonly atMs: number }[] = [];
  #waitingBytes = 0;
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #isHeld = false;

  constructor(
    from: Socket,
    to: Socket,
    delay: (bytes: number) => { readonly lateMs: number; readonly carriedMs: number },
  ) {
    this.#from = from;
    this.#to = to;
    this.#delay = delay;
    from.on('data', (piece: Buffer) => this.#take(piece));
    from.on('end', () => this.#take(null));
    to.on('drain', () => this.#regulate());
  }

  /** Stops or goes on reading; what has been read goes its way. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.#regulate();
  }

  close(): void {
    clearTimeout(this.#timer ?? undefined);
  }

  #take(piece: Buffer | null): void {
    const nowMs = performance.now();
    const { lateMs, carriedMs } = this.#delay(piece?.length ?? 0);
    this.#freeAtMs = Math.max(nowMs + lateMs, this.#freeAtMs) + carriedMs;
    this.#waiting.push({ piece, atMs: this.#freeAtMs });
    this.#waitingBytes += piece?.length ?? 0;
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer ?? undefined);
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const waitMs = next.atMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        break;
      }
      this.#waiting.shift();
      this.#waitingBytes -= next.piece?.length ?? 0;
      if (this.#to.destroyed) continue;
      if (next.piece === null) this.#to.end();
      else this.#to.write(next.piece);
    }
    this.#regulate();
  }

  #regulate(): void {
    const isFull = this.#to.writableNeedDrain || this.#waitingBytes > WAITING_BYTES_MAX;
    if (this.#isHeld || isFull) this.#from.pause();
    else this.#from.resume();
  }
}

interface Pair {
  readonly inner: Socket;
  readonly outer: Socket;
  readonly out: Flow;
  readonly back: Flow;
  /** Fell silent for good. */
  dead: boolean;
  timer: NodeJS.Timeout | null;
}

export class LinkProxy {
  readonly #server: Server;
  readonly #target: Place;
  readonly #random: Random;
  readonly #pairs = new Set<Pair>();
  #state = CLEAR_LINK;

  private constructor(target: Place, random: Random) {
    this.#target = target;
    this.#random = random;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (inner) =>
      this.#accept(inner),
    );
  }

  static open(at: Place, target: Place, random: Random): Promise<LinkProxy> {
    const proxy = new LinkProxy(target, random);
    return new Promise((opened, failed) => {
      proxy.#server.once('error', failed);
      proxy.#server.listen(at.port, at.host, () => opened(proxy));
    });
  }

  set(state: LinkState): void {
    this.#state = state;
    for (const pair of this.#pairs) this.#follow(pair);
  }

  close(): void {
    this.#server.close();
    for (const { inner, outer } of this.#pairs) {
      inner.destroy();
      outer.destroy();
    }
  }

  #accept(inner: Socket): void {
    const outer = connect({ ...this.#target, noDelay: true, allowHalfOpen: true });
    inner.setNoDelay(true);
    const delay = (bytes: number): { lateMs: number; carriedMs: number } =>
      this.#state.trouble === 'slow'
        ? {
            lateMs: SLOW_DELAY_MS + this.#random.below(SLOW_JITTER_MS),
            carriedMs: bytes / SLOW_BYTES_PER_MS,
          }
        : { lateMs: 0, carriedMs: 0 };
    const out = new Flow(inner, outer, delay);
    const back = new Flow(outer, inner, delay);
    const pair: Pair = { inner, outer, out, back, dead: false, timer: null };
    this.#pairs.add(pair);
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => this.#end(pair, other));
    }
    this.#follow(pair);
  }

  /** Brings a pair in line with the state of its link. */
  #follow(pair: Pair): void {
    const { trouble, cutOut, cutBack } = this.#state;
    pair.dead ||= trouble === 'half-open';
    pair.out.hold(pair.dead || cutOut);
    pair.back.hold(pair.dead || cutBack);
    if (trouble !== 'reset' || pair.timer !== null) return;
    pair.timer = setTimeout(() => {
      pair.timer = null;
      if (this.#state.trouble !== 'reset') return;
      pair.inner.resetAndDestroy();
      pair.outer.resetAndDestroy();
    }, this.#random.below(RESET_AFTER_MS));
  }

  /** One side is gone. Of a dead pair nobody tells the other side. */
  #end(pair: Pair, other: Socket): void {
    if (other.destroyed) {
      this.#pairs.delete(pair);
      clearTimeout(pair.timer ?? undefined);
      pair.out.close();
      pair.back.close();
    } else if (!pair.dead) {
      other.destroySoon();
    }
  }
}
