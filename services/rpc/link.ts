/**
 * A stream that comes back. Each attempt looks the name up, dials a fresh connection and waits for
 * the other end's headers; only then is the stream open. Delays between attempts start over once a
 * message was heard, so that a peer which accepts and refuses at once is not hammered.
 */
import { Backoff } from '../common/backoff.ts';
import type { Clock, Timer } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import type { Random } from '../common/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import { prefaceOf } from './frames.ts';
import type { Network } from './network.ts';
import { SocketWire } from './socket-wire.ts';
import { fromStatus } from './status.ts';
import { StreamEnd, type Wire } from './stream-end.ts';
import { type BidiMethod, type Link, type OnOpen, RPC_LIMITS } from './types.ts';

export interface LinkComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly network: Network;
}

export interface LinkOptions<Out, In> {
  readonly method: BidiMethod<Out, In>;
  /** host:port to dial, asked for once at each attempt. */
  readonly address: () => string;
  readonly onOpen: OnOpen<Out, In>;
}

/** Dials until closed. `onOpen` is called for each stream that the other end accepted. */
export function openLink<Out, In>(components: LinkComponents, options: LinkOptions<Out, In>): Link {
  const link = new DialledLink(components, options);
  link.redial();
  return link;
}

class DialledLink<Out, In> implements Link {
  readonly #components: LinkComponents;
  readonly #options: LinkOptions<Out, In>;
  readonly #backoff: Backoff;
  #attempt: Attempt<Out, In> | null = null;
  #attemptCount = 0;
  #wait: Timer | null = null;
  #isClosed = false;

  constructor(components: LinkComponents, options: LinkOptions<Out, In>) {
    this.#components = components;
    this.#options = options;
    this.#backoff = new Backoff(components.random, {
      minMs: RPC_LIMITS.backoffMinMs,
      maxMs: RPC_LIMITS.backoffMaxMs,
    });
  }

  get connected(): boolean {
    return this.#attempt?.isOpen ?? false;
  }

  redial(): void {
    if (this.#isClosed) return;
    this.#abandon();
    this.#backoff.reset();
    this.#dial();
  }

  close(): void {
    this.#isClosed = true;
    this.#abandon();
  }

  #abandon(): void {
    this.#wait?.cancel();
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt?.end(new KvError('UNAVAILABLE', 'the link was closed at this end'));
  }

  #dial(): void {
    const attempt = new Attempt(this.#components, this.#options, {
      onHeard: () => this.#backoff.reset(),
      onEnded: (reason) => {
        if (this.#attempt === attempt) this.#retryLater(reason);
      },
    });
    this.#attempt = attempt;
    attempt.start(this.#attemptCount);
    this.#attemptCount += 1;
  }

  #retryLater(reason: KvError): void {
    this.#attempt = null;
    const delayMs = this.#backoff.next();
    this.#components.logger.debug({ reason: reason.message, delayMs }, 'link down, dialling again');
    this.#wait = this.#components.clock.after(delayMs, () => this.#dial());
  }
}

interface AttemptEvents {
  onHeard(): void;
  onEnded(reason: KvError): void;
}

/** One dial and the stream that comes of it; ends once. */
class Attempt<Out, In> {
  readonly #components: LinkComponents;
  readonly #options: LinkOptions<Out, In>;
  readonly #events: AttemptEvents;
  #deadline: Timer | null = null;
  #wire: Wire | null = null;
  #stream: StreamEnd<Out, In> | null = null;
  #isOver = false;

  constructor(components: LinkComponents, options: LinkOptions<Out, In>, events: AttemptEvents) {
    this.#components = components;
    this.#options = options;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#stream !== null && !this.#isOver;
  }

  /** A name with several addresses is tried one address an attempt, in turn. */
  start(attemptNo: number): void {
    const address = this.#options.address();
    this.#deadline = this.#components.clock.after(RPC_LIMITS.connectTimeoutMs, () => {
      this.end(new KvError('UNAVAILABLE', `${address} did not answer in time`));
    });
    this.#components.network.resolve(address).then(
      (found) => this.#connect(found[attemptNo % found.length] ?? address),
      (error: unknown) => this.end(fromStatus(error)),
    );
  }

  end(reason: KvError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#wire?.cut();
    this.#stream?.closed(reason);
    this.#events.onEnded(reason);
  }

  #connect(ipPort: string): void {
    if (this.#isOver) return;
    const { clock, network } = this.#components;
    const socket = network.connect(ipPort);
    const wire = new SocketWire(
      { clock, socket, remote: ipPort },
      {
        opened: () => this.#opened(wire),
        message: (bytes) => {
          this.#events.onHeard();
          this.#stream?.received(bytes);
        },
        ended: (reason) => this.end(reason),
      },
    );
    this.#wire = wire;
    socket.write(prefaceOf(this.#options.method.path));
  }

  #opened(wire: Wire): void {
    if (this.#isOver || this.#stream !== null) return;
    this.#deadline?.cancel();
    const { method, onOpen } = this.#options;
    const stream = new StreamEnd<Out, In>(this.#components.clock, wire, {
      encode: method.requestSerialize,
      decode: method.responseDeserialize,
    });
    this.#stream = stream;
    stream.open(onOpen);
  }
}
