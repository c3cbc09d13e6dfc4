/**
 * What other coordinators may ask here. Open before recovery: a probe is answered in every state,
 * because bootstrap needs it; streams and snapshot pieces are refused as UNAVAILABLE until this node
 * is a member that runs.
 */
import { KvError } from '../../common/errors.ts';
import type { Member } from '../../consensus/transport.ts';
import {
  type ClusterViewReply,
  type ClusterViewRequest,
  type ProbeReply,
  type ProbeRequest,
  type RaftFrame,
  RaftService as RaftMethods,
} from '../../rpc/generated/raft.ts';
import { checkHello, helloTo, type Introduction } from '../../rpc/hello.ts';
import { bidi, type RpcService, unary } from '../../rpc/server.ts';
import { RAFT_STREAM } from '../../rpc/streams.ts';
import type { Outgoing, StreamEvents } from '../../rpc/types.ts';
import type { PeerLinks } from './peer-links.ts';

export interface RaftServiceComponents {
  readonly introduce: () => Introduction;
  /** Directory state, or `waiting`. */
  readonly state: () => string;
  /** As durable in the folder; none while it is empty. */
  readonly members: () => readonly Member[];
  readonly term: () => number;
  /** This node's view of the cluster as JSON. @throws KvError `NOT_LEADER`, `NO_LEADER`. */
  readonly clusterView: (timeoutMs: number) => Promise<string>;
}

export class RaftService {
  readonly #components: RaftServiceComponents;
  #links: PeerLinks | null = null;

  constructor(components: RaftServiceComponents) {
    this.#components = components;
  }

  /** From now on streams and snapshot pieces go to `links`. */
  attach(links: PeerLinks): void {
    this.#links = links;
  }

  services(): readonly RpcService[] {
    return [
      bidi(RAFT_STREAM, (outgoing) => this.#exchange(outgoing)),
      unary(RaftMethods.probe, (request) => this.#probe(request)),
      unary(RaftMethods.sendSnapshotChunk, (request) =>
        this.#links === null ? Promise.reject(notReady()) : this.#links.receiveChunk(request),
      ),
      unary(RaftMethods.clusterView, (request) => this.#view(request)),
    ];
  }

  #exchange(outgoing: Outgoing<RaftFrame>): StreamEvents<RaftFrame> {
    if (this.#links !== null) return this.#links.accept(outgoing);
    outgoing.close(notReady());
    return { onMessage: () => undefined, onClosed: () => undefined };
  }

  async #view({ hello, timeoutMs }: ClusterViewRequest): Promise<ClusterViewReply> {
    if (this.#links === null) throw notReady();
    this.#links.admit(hello);
    return { json: await this.#components.clusterView(timeoutMs) };
  }

  /** Any coordinator may ask, of another cluster too: that is what it wants to find out. */
  #probe({ hello }: ProbeRequest): Promise<ProbeReply> {
    const { introduce, state, members, term } = this.#components;
    const refusal = checkHello({ role: 'coordinator', clusterId: null, to: null }, hello);
    if (refusal !== null) return Promise.reject(refusal);
    return Promise.resolve({
      hello: helloTo(introduce(), hello?.from ?? 0),
      state: state(),
      members: members().map(({ node, name, address }) => ({ node, name, address })),
      term: term(),
    });
  }
}

const notReady = (): KvError => new KvError('NOT_READY', 'this coordinator is not running yet');
