/**
 * The other coordinators as a transport. Each node dials every other one and sends on its own
 * streams, so a closed stream, whichever way, says that its process went. Invariant: a message
 * reaches the core only from a member that said who it is, on a stream of its newest boot.
 */
import { KvError } from '../../common/errors.ts';
import { hexOf, logIndex, type NodeId, term } from '../../common/ids.ts';
import { STATE_FORMAT } from '../../common/version.ts';
import type {
  Identity,
  Member,
  SnapshotChunk,
  SnapshotProgress,
  Transport,
  TransportHandlers,
} from '../../consensus/transport.ts';
import type { Message } from '../../raft/messages.ts';
import type { Hello } from '../../rpc/generated/common.ts';
import {
  type RaftFrame,
  RaftService,
  type SnapshotChunkReply,
  type SnapshotChunkRequest,
} from '../../rpc/generated/raft.ts';
import { checkHello, helloTo } from '../../rpc/hello.ts';
import type { Outgoing, StreamEvents } from '../../rpc/types.ts';
import { callUnary } from '../../rpc/unary.ts';
import type { PeerFormats, StateDigest, StateExchange, StateListener } from '../state-exchange.ts';
import { PeerLink, type PeerLinkComponents } from './peer-link.ts';
import { decodeMessage } from './raft-codec.ts';

/** A piece is written and perhaps synced before it is answered. */
const CHUNK_TIMEOUT_MS = 5000;
const DIGEST_BYTES = 8;
/** The other end is told to answer before this end gives up. */
const VIEW_MARGIN_MS = 250;

export interface PeerLinksOptions {
  readonly identity: Identity;
  /** host:port that the settings give for a name; null: use the member list's. */
  readonly addressOf: (name: string) => string | null;
}

/** What a member has said of itself. */
export interface PeerFact {
  readonly httpAddress: string;
  readonly bootId: number;
  readonly version: string;
  /** Milliseconds since its last message. */
  readonly heardMs: number;
}

/** What is known of one other member. */
interface Peer {
  readonly member: Member;
  readonly link: PeerLink;
  /** Highest boot id that it has said hello with. */
  boot: number;
  hello: Hello | null;
  heardAtMs: number;
  inbound: Outgoing<RaftFrame> | null;
}

export class PeerLinks implements Transport, StateExchange, PeerFormats {
  readonly #components: PeerLinkComponents;
  readonly #identity: Identity;
  readonly #peers = new Map<NodeId, Peer>();
  #handlers: TransportHandlers | null = null;
  #stateListener: StateListener | null = null;
  /** Highest term of own messages and of accepted ones; null until this node has spoken. */
  #knownTerm: number | null = null;
  #isClosed = false;

  constructor(components: PeerLinkComponents, { identity, addressOf }: PeerLinksOptions) {
    this.#components = components;
    this.#identity = identity;
    for (const member of identity.members) {
      if (member.node === identity.node) continue;
      const link = new PeerLink(components, {
        peer: member,
        address: () => addressOf(member.name) ?? member.address,
        check: (hello) => this.#checkHello(hello, member),
        onOpened: () => this.#handlers?.onOpened(),
        onClosed: () => this.#hint(member.node),
      });
      this.#peers.set(member.node, {
        member,
        link,
        boot: 0,
        inbound: null,
        hello: null,
        heardAtMs: 0,
      });
    }
  }

  listen(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    for (const { link } of this.#peers.values()) link.open();
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#knownTerm = Math.max(this.#knownTerm ?? 0, message.term);
      this.#peers.get(message.to)?.link.push(message);
    }
  }

  /** The view of `node`, if it leads. @throws KvError `UNAVAILABLE`, `NOT_LEADER`, `DEADLINE_EXCEEDED`. */
  async clusterView(node: NodeId, timeoutMs: number): Promise<string> {
    const address = this.#remoteOf(node);
    const request = {
      hello: helloTo(this.#components.introduce(), node),
      timeoutMs: Math.max(1, Math.floor(timeoutMs) - VIEW_MARGIN_MS),
    };
    const { json } = await callUnary(
      this.#components,
      RaftService.clusterView,
      { address, timeoutMs },
      request,
    );
    return json;
  }

  /** The name of the member that says this hello. @throws KvError of the hello's check. */
  admit(hello: Hello | undefined): string {
    return this.#identify(hello).member.name;
  }

  tellDigest({ index, digest }: StateDigest): void {
    const wire = { index, digest: Buffer.from(digest, 'hex'), format: STATE_FORMAT };
    for (const { link } of this.#peers.values()) link.tell(wire);
  }

  everyPeerKnows(format: number): boolean {
    for (const { hello } of this.#peers.values()) {
      if (hello === null || hello.stateFormat < format) return false;
    }
    return true;
  }

  listenForDigests(listener: StateListener): void {
    this.#stateListener = listener;
  }

  async sendSnapshotChunk(chunk: SnapshotChunk): Promise<SnapshotProgress> {
    const address = this.#remoteOf(chunk.to);
    const { point, totalBytes, fileCrc, offset } = chunk;
    const request: SnapshotChunkRequest = {
      hello: helloTo(this.#components.introduce(), chunk.to),
      term: chunk.term,
      pointIndex: point.index,
      pointTerm: point.term,
      totalBytes,
      fileCrc,
      offset,
      data: chunk.data,
    };
    try {
      const target = { address, timeoutMs: CHUNK_TIMEOUT_MS };
      return await callUnary(this.#components, RaftService.sendSnapshotChunk, target, request);
    } catch (cause) {
      throw new KvError('UNAVAILABLE', `node ${chunk.to} did not take a piece`, { cause });
    }
  }

  /** Serves a stream that another coordinator opened. */
  accept(outgoing: Outgoing<RaftFrame>): StreamEvents<RaftFrame> {
    let peer: Peer | null = null;
    return {
      onMessage: (frame) => {
        if (peer === null) peer = this.#greet(frame.hello, outgoing);
        else this.#receive(peer, frame);
      },
      onClosed: () => {
        // A stream that a newer one replaced says nothing: its process lives.
        if (peer?.inbound !== outgoing) return;
        peer.inbound = null;
        this.#hint(peer.member.node);
      },
    };
  }

  /** @throws KvError of the hello's check, `INVALID_ARGUMENT`, `NOT_READY`. */
  async receiveChunk(request: SnapshotChunkRequest): Promise<SnapshotChunkReply> {
    const handlers = this.#handlers;
    if (handlers === null) throw new KvError('NOT_READY', 'this coordinator is still starting');
    const { member } = this.#identify(request.hello);
    const progress = await handlers.onSnapshotChunk(chunkOf(request, member, this.#identity.node));
    return { heldBytes: progress.heldBytes, staged: progress.staged };
  }

  /** What a member has said of itself in this boot; undefined before its first hello. */
  fact(node: NodeId): PeerFact | undefined {
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.hello === null) return undefined;
    const { httpAddress, bootId, version } = peer.hello;
    const heardMs = this.#components.clock.monotonicMs() - peer.heardAtMs;
    return { httpAddress, bootId, version, heardMs };
  }

  close(): void {
    this.#isClosed = true;
    for (const { link, inbound } of this.#peers.values()) {
      link.close();
      inbound?.close(new KvError('STOPPING', 'this coordinator is stopping'));
    }
  }

  #greet(hello: Hello | undefined, outgoing: Outgoing<RaftFrame>): Peer {
    if (this.#handlers === null || this.#isClosed) {
      throw new KvError('NOT_READY', 'this coordinator is not running');
    }
    const peer = this.#identify(hello);
    const previous = peer.inbound;
    peer.inbound = outgoing;
    previous?.close(new KvError('ALREADY_EXISTS', 'a newer stream of this node took over'));
    outgoing.send({
      hello: helloTo(this.#components.introduce(), peer.member.node),
      messages: [],
      digests: [],
    });
    peer.link.heard(peer.boot, hello?.address ?? '');
    return peer;
  }

  #receive(peer: Peer, { messages, digests }: RaftFrame): void {
    for (const { index, digest, format } of digests) {
      // Of another format: the peer runs another version, and its rows have other bytes.
      if (format !== STATE_FORMAT || digest.length !== DIGEST_BYTES) continue;
      const told = { index: logIndex(index), digest: hexOf(digest) };
      this.#stateListener?.onDigest(peer.member.node, told);
    }
    const received = messages.map((wire) => this.#decode(peer, wire));
    if (received.length === 0) return;
    peer.heardAtMs = this.#components.clock.monotonicMs();
    this.#handlers?.onMessages(received);
  }

  #decode(peer: Peer, wire: RaftFrame['messages'][number]): Message {
    try {
      const message = decodeMessage(wire, this.#knownTerm);
      if (message.from !== peer.member.node || message.to !== this.#identity.node) {
        throw new KvError('WRONG_NODE', `a message from ${message.from} to ${message.to}`);
      }
      if (this.#knownTerm !== null) this.#knownTerm = Math.max(this.#knownTerm, message.term);
      return message;
    } catch (error) {
      throw this.#refused(error, peer.member.name);
    }
  }

  /** @throws KvError `UNAVAILABLE`. */
  #remoteOf(node: NodeId): string {
    const address = this.#peers.get(node)?.link.remote ?? null;
    if (address === null) throw new KvError('UNAVAILABLE', `node ${node} is not connected`);
    return address;
  }

  /** The member that says this hello; remembers its boot. */
  #identify(hello: Hello | undefined): Peer {
    const peer = [...this.#peers.values()].find(({ member }) => member.node === hello?.from);
    const refusal = this.#checkHello(hello, peer?.member ?? null);
    if (refusal !== null || peer === undefined || hello === undefined) {
      throw this.#refused(refusal ?? notMember(hello), hello?.name ?? '');
    }
    if (hello.bootId < peer.boot) {
      const stale = new KvError('STALE_SESSION', 'a newer process of this node has said hello');
      throw this.#refused(stale, hello.name);
    }
    peer.boot = hello.bootId;
    peer.hello = hello;
    peer.heardAtMs = this.#components.clock.monotonicMs();
    return peer;
  }

  #checkHello(hello: Hello | undefined, member: Member | null): KvError | null {
    const { clusterId, node } = this.#identity;
    const refusal = checkHello({ role: 'coordinator', clusterId, to: node }, hello);
    if (refusal !== null) return refusal;
    if (member === null || hello?.from !== member.node || hello.name !== member.name) {
      return notMember(hello);
    }
    if (hello.clusterId === '' || hello.to === 0) {
      return new KvError('WRONG_CLUSTER', 'the peer has no cluster yet');
    }
    return null;
  }

  #hint(peer: NodeId): void {
    if (this.#isClosed) return;
    this.#stateListener?.onPeerClosed(peer);
    this.#handlers?.onClosed(peer);
  }

  #refused(error: unknown, name: string): unknown {
    if (error instanceof KvError) {
      this.#components.metrics.refused.add(1, { code: error.code });
      this.#components.logger.warn({ peer: name, reason: error.message }, 'coordinator refused');
    }
    return error;
  }
}

const notMember = (hello: Hello | undefined): KvError =>
  new KvError('WRONG_NODE', `${hello?.name ?? 'nobody'} is no member under id ${hello?.from ?? 0}`);

/** A peer's piece, checked. @throws KvError `INVALID_ARGUMENT`, `OUT_OF_RANGE`. */
function chunkOf(request: SnapshotChunkRequest, from: Member, to: NodeId): SnapshotChunk {
  const { pointIndex, pointTerm, totalBytes, fileCrc, offset, data } = request;
  const counters = [request.term, pointIndex, pointTerm, totalBytes, fileCrc, offset];
  if (!counters.every((value) => Number.isSafeInteger(value) && value >= 0)) {
    throw new KvError('INVALID_ARGUMENT', 'a field of a snapshot piece is no counter');
  }
  if (pointIndex === 0 || offset + data.length > totalBytes) {
    throw new KvError('OUT_OF_RANGE', 'a snapshot piece reaches beyond its snapshot');
  }
  return {
    from: from.node,
    to,
    term: request.term,
    point: { index: logIndex(pointIndex), term: term(pointTerm) },
    totalBytes,
    fileCrc,
    offset,
    data,
  };
}
