/** A dialled link whose far end is the test: it opens, answers and breaks streams as it likes. */
import type { LinkOptions } from '../rpc/link.ts';
import type { Link, StreamEvents } from '../rpc/types.ts';

export class FarLink<Out, In> implements Link {
  readonly options: LinkOptions<Out, In>;
  /** What the near end has sent on the present stream. */
  sent: Out[] = [];
  isClosed = false;
  /** Called for each message that the near end sends. */
  onSent: (message: Out) => void = () => undefined;
  #events: StreamEvents<In> | null = null;

  constructor(options: LinkOptions<Out, In>) {
    this.options = options;
  }

  get connected(): boolean {
    return this.#events !== null;
  }

  redial(): void {}

  /** By the near end. */
  close(): void {
    this.isClosed = true;
    this.break();
  }

  /** The far end accepts: a fresh stream. */
  open(): void {
    this.sent = [];
    this.#events = this.options.onOpen({
      send: (message) => {
        if (this.#events === null && this.sent.length > 0) return false;
        this.sent.push(message);
        this.onSent(message);
        return true;
      },
      close: () => this.break(),
      remote: 'far:1',
    });
  }

  deliver(message: In): void {
    this.#events?.onMessage(message);
  }

  /** The stream ends, whichever side wanted it. */
  break(reason = new Error('the far end is gone')): void {
    const events = this.#events;
    this.#events = null;
    events?.onClosed(reason);
  }
}
