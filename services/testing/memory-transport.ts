/**
 * A network of consensus drivers in one process: messages are delivered on the manual clock's next
 * turn, in order for each pair; links can be cut and nodes taken away.
 */
import { KvError } from '../common/errors.ts';
import type { NodeId } from '../common/ids.ts';
import type {
  SnapshotChunk,
  SnapshotProgress,
  Transport,
  TransportHandlers,
} from '../consensus/transport.ts';
import type { Message } from '../raft/messages.ts';
import type { ManualClock } from './manual-clock.ts';

export class MemoryNetwork {
  /** Sees every message that is sent. */
  onSend: (message: Message) => void = () => undefined;
  /** Messages that never arrive, besides those of cut links. */
  isLost: (message: Message) => boolean = () => false;
  readonly #clock: ManualClock;
  readonly #nodes = new Map<NodeId, TransportHandlers>();
  readonly #cut = new Set<string>();

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** The transport of one life of a node; an older one of the same node is dead. */
  transport(self: NodeId): Transport {
    let mine: TransportHandlers | null = null;
    return {
      listen: (handlers) => {
        mine = handlers;
        this.#nodes.set(self, handlers);
        if (this.#nodes.size > 1) for (const met of this.#nodes.values()) met.onOpened();
      },
      send: (messages) => {
        if (mine === null || this.#nodes.get(self) !== mine) return;
        for (const message of messages) this.#deliver(self, message);
      },
      sendSnapshotChunk: (chunk) => this.#deliverChunk(self, chunk),
    };
  }

  /** The node is gone, as by SIGKILL: its links close. */
  remove(node: NodeId): void {
    this.#nodes.delete(node);
    for (const handlers of this.#nodes.values()) handlers.onClosed(node);
  }

  /** Drops everything from `from` to `to` until healed. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  #deliver(from: NodeId, message: Message): void {
    this.onSend(message);
    if (this.#cut.has(`${from}>${message.to}`) || this.isLost(message)) return;
    const target = this.#nodes.get(message.to);
    this.#clock.soon(() => {
      if (target !== undefined && this.#nodes.get(message.to) === target) {
        target.onMessages([message]);
      }
    });
  }

  async #deliverChunk(from: NodeId, chunk: SnapshotChunk): Promise<SnapshotProgress> {
    const target = this.#nodes.get(chunk.to);
    if (target === undefined || this.#cut.has(`${from}>${chunk.to}`)) {
      throw new KvError('UNAVAILABLE', 'the peer is away');
    }
    return target.onSnapshotChunk(chunk);
  }
}
