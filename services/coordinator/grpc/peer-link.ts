/**
 * Our own stream to one other coordinator: dials until closed, batches per loop turn, drops what the
 * peer cannot take (Raft repeats it). A peer that came back elsewhere is dialled at the address of
 * its hello, in turn with its name, because DNS may lag behind.
 */
import type { Clock } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import type { Random } from '../../common/random.ts';
import type { Member } from '../../consensus/transport.ts';
import type { Message } from '../../raft/messages.ts';
import type { Hello } from '../../rpc/generated/common.ts';
import type { RaftFrame, StateDigest as WireDigest } from '../../rpc/generated/raft.ts';
import { helloTo, type Introduction } from '../../rpc/hello.ts';
import { openLink } from '../../rpc/link.ts';
import type { Network } from '../../rpc/network.ts';
import { RAFT_STREAM } from '../../rpc/streams.ts';
import { TurnBatcher } from '../../rpc/turn-batcher.ts';
import type { Link, Outgoing, StreamEvents } from '../../rpc/types.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { PeerMetrics } from './peer-metrics.ts';
import { encodeMessage, messageBytes } from './raft-codec.ts';

/** Messages of one frame; well below the wire's limit, as one append brings up to 512 KiB. */
const FRAME_LIMITS = { itemsMax: 1024, bytesMax: 1024 * 1024 };

export interface PeerLinkComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly metrics: PeerMetrics;
  readonly introduce: () => Introduction;
}

export interface PeerLinkOptions {
  readonly peer: Member;
  /** host:port by the peer's name, asked for at each attempt. */
  readonly address: () => string;
  /** Refuses a hello that is not the peer's. */
  readonly check: (hello: Hello | undefined) => KvError | null;
  /** The peer has said hello. */
  readonly onOpened: () => void;
  /** A stream on which the peer had said hello has closed. */
  readonly onClosed: () => void;
}

export class PeerLink {
  readonly #components: PeerLinkComponents;
  readonly #options: PeerLinkOptions;
  readonly #batcher: TurnBatcher<Message>;
  #link: Link | null = null;
  #outgoing: Outgoing<RaftFrame> | null = null;
  #isFull = false;
  /** Boot id of the process behind the open stream, 0 until it has said hello. */
  #boot = 0;
  /** Where the peer said it is; dialled in turn with its name until a stream opens. */
  #direct = '';
  #triesDirect = false;

  constructor(components: PeerLinkComponents, options: PeerLinkOptions) {
    this.#components = components;
    this.#options = options;
    this.#batcher = new TurnBatcher<Message>(
      components.clock,
      (messages) => this.#flush(messages),
      FRAME_LIMITS,
    );
  }

  /** host:port of the process behind the open stream, or null while there is none. */
  get remote(): string | null {
    return this.#boot === 0 ? null : (this.#outgoing?.remote ?? null);
  }

  open(): void {
    const { clock, random, logger, network, introduce } = this.#components;
    const { peer, check } = this.#options;
    const onOpen = (outgoing: Outgoing<RaftFrame>): StreamEvents<RaftFrame> => {
      this.#outgoing = outgoing;
      this.#isFull = false;
      this.#boot = 0;
      outgoing.send({ hello: helloTo(introduce(), peer.node), messages: [], digests: [] });
      return {
        onMessage: ({ hello }) => {
          const refusal = check(hello);
          if (refusal !== null) throw refusal;
          this.#boot = hello?.bootId ?? 0;
          this.#direct = '';
          this.#options.onOpened();
        },
        onDrain: () => {
          this.#isFull = false;
        },
        onClosed: (reason) => this.#closed(reason),
      };
    };
    this.#link = openLink(
      { clock, random, network, logger: logger.child({ peer: peer.name }) },
      { method: RAFT_STREAM, address: () => this.#nextAddress(), onOpen },
    );
  }

  /** The peer has said hello on a stream of its own: perhaps it restarted, perhaps elsewhere. */
  heard(bootId: number, address: string): void {
    if (this.#outgoing !== null && (this.#boot === 0 || this.#boot >= bootId)) return;
    this.#direct = address;
    this.#triesDirect = false;
    this.#link?.redial();
  }

  push(message: Message): void {
    if (this.#outgoing === null || this.#isFull) this.#components.metrics.dropped.add();
    else this.#batcher.push(message, messageBytes(message));
  }

  /** At once, and not at all while the peer is away or slow. */
  tell(digest: WireDigest): void {
    if (this.#outgoing === null || this.#isFull) return;
    this.#isFull = !this.#outgoing.send({ hello: undefined, messages: [], digests: [digest] });
  }

  close(): void {
    this.#link?.close();
  }

  #nextAddress(): string {
    this.#triesDirect = this.#direct !== '' && !this.#triesDirect;
    return this.#triesDirect ? this.#direct : this.#options.address();
  }

  #flush(messages: readonly Message[]): void {
    const { logger, metrics } = this.#components;
    try {
      const frame = { hello: undefined, messages: messages.map(encodeMessage), digests: [] };
      if (this.#outgoing?.send(frame) === false) this.#isFull = true;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      metrics.dropped.add(messages.length);
      logger.warn({ peer: this.#options.peer.name, error }, 'raft frame dropped');
    }
  }

  #closed(reason: Error): void {
    const wasKnown = this.#boot !== 0;
    this.#outgoing = null;
    this.#boot = 0;
    this.#batcher.clear();
    if (reason instanceof KvError && reason.code.startsWith('WRONG_')) {
      const fields = { peer: this.#options.peer.name, reason: reason.message };
      this.#components.logger.warn(fields, 'refused by a coordinator');
    }
    if (wasKnown) this.#options.onClosed();
  }
}
