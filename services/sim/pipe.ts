/**
 * One direction of a connection: segments arrive in the order in which they were sent, later or never.
 * While the link is cut they wait, as a sender goes on to repeat what nobody acknowledges.
 */
import { type Segment, type SimSocket, signal } from './socket.ts';
import type { LinkFaults } from './types.ts';

/** What a pipe asks of the network that it is a part of. */
export interface Road {
  /** Calls back when what is sent now would arrive, not before `earliestMs`; answers when that is. */
  carry(pipe: Pipe, earliestMs: number, arrived: () => void): number;
  arrived(pipe: Pipe, segment: Segment): void;
  isReset(pipe: Pipe): boolean;
}

/** One direction between two machines, shared by all that goes that way. */
export interface Link {
  faults: LinkFaults;
}

export class Pipe {
  readonly from: string;
  readonly to: string;
  readonly sender: SimSocket;
  readonly link: Link;
  /** null until the other end has accepted. */
  receiver: SimSocket | null = null;
  readonly #road: Road;
  #lastMs = 0;
  #stalled: Segment[] = [];
  #isClosed = false;

  constructor(road: Road, options: Pick<Pipe, 'from' | 'to' | 'sender' | 'link'>) {
    this.#road = road;
    this.from = options.from;
    this.to = options.to;
    this.sender = options.sender;
    this.link = options.link;
  }

  get isStalled(): boolean {
    return this.#stalled.length > 0;
  }

  /** The sender has closed and everything has arrived: nothing to remember. */
  get isDone(): boolean {
    return this.#isClosed && this.#stalled.length === 0;
  }

  send(segment: Segment): void {
    if (segment.kind === 'data' && this.#road.isReset(this)) {
      this.#carry(signal('reset'));
      this.sender.resetSoon();
      return;
    }
    this.#carry(segment);
  }

  closed(): void {
    this.#isClosed = true;
  }

  /** The link is whole again. */
  flow(): void {
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const segment of stalled) this.#carry(segment);
  }

  #carry(segment: Segment): void {
    if (this.#stalled.length > 0 || this.link.faults.isCut) {
      this.#stalled.push(segment);
      return;
    }
    this.#lastMs = this.#road.carry(this, this.#lastMs, () => {
      // The link was cut while it was on its way.
      if (this.#stalled.length > 0 || this.link.faults.isCut) {
        this.#stalled.push(segment);
      } else this.#road.arrived(this, segment);
    });
  }
}
