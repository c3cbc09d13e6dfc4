/**
 * How a coordinator comes by its identity, exactly once in the life of a cluster. It asks all
 * configured peers what they are and carries out what bootstrap-rules.ts says; everything that it
 * decides is durable in the node folder before anybody hears of it.
 */
import type { BootstrapAnswer, BootstrapRequest, CoordinatorState } from '../api/admin.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type ClusterId, clusterId, hexOf, isHex32, nodeId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import type { CoordinatorOptions, NamedAddress } from '../config/options.ts';
import type { NodeFolder } from '../consensus/node-folder.ts';
import type { Identity, Member } from '../consensus/transport.ts';
import { type ProbeReply, RaftService } from '../rpc/generated/raft.ts';
import { helloTo, type Introduction } from '../rpc/hello.ts';
import { callUnary } from '../rpc/unary.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  type BootstrapAction,
  isSettled,
  type PeerAnswer,
  type PeerState,
  stepOfEmpty,
} from './bootstrap-rules.ts';

const ASK_EVERY_MS = 200;
const PROBE_TIMEOUT_MS = SECOND_MS;
const STATES: readonly string[] = ['empty', 'armed', 'member', 'recovering', 'void', 'waiting'];

/** Asks one address; rejects where nobody answers. */
export type Probe = (address: string) => Promise<ProbeReply>;

export interface BootstrapParts {
  readonly folder: NodeFolder;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly introduce: () => Introduction;
  /** For tests; by default a call over the wire. */
  readonly probe?: Probe;
}

export type BootstrapOptions = Pick<
  CoordinatorOptions,
  'name' | 'peers' | 'bootstrap' | 'clusterId'
>;

export class Bootstrap {
  readonly #parts: BootstrapParts;
  readonly #options: BootstrapOptions;
  readonly #probe: Probe;
  /** Peers that were seen armed or more with our cluster, by name; that cannot be undone. */
  readonly #settled = new Set<string>();
  #isWaiting = false;

  constructor(parts: BootstrapParts, options: BootstrapOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#probe =
      parts.probe ??
      ((address) =>
        callUnary(
          RaftService.probe,
          address,
          { hello: helloTo(parts.introduce(), 0) },
          PROBE_TIMEOUT_MS,
        ));
  }

  state(): CoordinatorState {
    const state = this.#parts.folder.directoryState();
    return state === 'empty' && this.#isWaiting ? 'waiting' : state;
  }

  /** Resolves once this node may vote; rejects when the signal aborts. */
  async run(signal: AbortSignal): Promise<Identity> {
    const { folder, clock } = this.#parts;
    while (true) {
      signal.throwIfAborted();
      const { identity } = folder;
      // A member was allowed to vote once: it needs nobody's leave to come back.
      if (identity !== null && folder.directoryState() === 'member') return identity;
      if (identity === null) await this.#stepEmpty();
      else if (await this.#allSettled(identity)) {
        await folder.becomeMember();
        return identity;
      }
      await sleep(clock, ASK_EVERY_MS, signal);
    }
  }

  /**
   * `POST /admin/bootstrap`: arms this node, durably. The same again answers the state.
   * @throws KvError `CLUSTER_EXISTS`, `PEER_NOT_EMPTY`, `PEER_UNKNOWN`, `INVALID_ARGUMENT`.
   */
  async request(request: BootstrapRequest): Promise<BootstrapAnswer> {
    const { folder } = this.#parts;
    const cluster = clusterId(request.clusterId);
    if (folder.identity !== null) {
      if (folder.identity.clusterId === cluster) return { state: this.state() };
      throw new KvError(
        'CLUSTER_EXISTS',
        `this node belongs to cluster ${folder.identity.clusterId}`,
      );
    }
    const members = request.members.map(({ nodeId: node, name, address }) => ({
      node: nodeId(node),
      name,
      address,
    }));
    const self = members.find(({ name }) => name === this.#options.name);
    if (self === undefined) {
      throw new KvError(
        'INVALID_ARGUMENT',
        `the members do not name this node, ${this.#options.name}`,
      );
    }
    for (const { name, address } of members) {
      if (name !== self.name) await this.#requireFree(name, address, cluster);
    }
    await folder.arm({ clusterId: cluster, node: self.node, name: self.name, members });
    return { state: this.state() };
  }

  async #requireFree(name: string, address: string, cluster: ClusterId): Promise<void> {
    const answer = await this.#ask(address);
    if (answer === null) {
      throw new KvError('PEER_UNKNOWN', `${name} does not answer; try again`, {
        detail: { peer: name },
      });
    }
    const isFree = answer.state === 'empty' || isSettled(answer, cluster);
    if (!isFree) {
      throw new KvError('PEER_NOT_EMPTY', `${name} is ${answer.state} in another cluster`, {
        detail: { peer: name },
      });
    }
  }

  async #stepEmpty(): Promise<void> {
    const { bootstrap, clusterId: configured, name } = this.#options;
    const names = this.#options.peers.map((peer) => peer.name);
    const answers = await Promise.all(this.#others().map(({ address }) => this.#ask(address)));
    const action = stepOfEmpty(
      {
        mode: bootstrap,
        clusterId: configured === null ? null : clusterId(configured),
        isInitiator: names.every((other) => name <= other),
      },
      answers,
    );
    await this.#carryOut(action);
  }

  async #carryOut(action: BootstrapAction): Promise<void> {
    const { folder, random, logger } = this.#parts;
    if (action.kind === 'waiting' && !this.#isWaiting) {
      this.#isWaiting = true;
      logger.warn({}, 'this empty node meets a living cluster and waits to be added');
    }
    if (action.kind !== 'arm') return;
    const cluster = action.clusterId ?? clusterId(hexOf(random.bytes(16)));
    const members = this.#options.peers.map(memberOf);
    const self = members.find(({ name }) => name === this.#options.name);
    if (self === undefined)
      throw new KvError('INVALID_ARGUMENT', 'the peers do not name this node');
    await folder.arm({ clusterId: cluster, node: self.node, name: self.name, members });
    logger.info({ cluster, node: self.node }, 'armed');
  }

  async #allSettled(identity: Identity): Promise<boolean> {
    const missing = identity.members.filter(
      ({ name }) => name !== identity.name && !this.#settled.has(name),
    );
    await Promise.all(
      missing.map(async ({ name, address }) => {
        const configured = this.#options.peers.find((peer) => peer.name === name);
        const answer = await this.#ask(configured?.address ?? address);
        if (isSettled(answer, identity.clusterId)) this.#settled.add(name);
      }),
    );
    return missing.every(({ name }) => this.#settled.has(name));
  }

  async #ask(address: string): Promise<PeerAnswer | null> {
    try {
      const { state, hello } = await this.#probe(address);
      if (!isPeerState(state)) return null;
      const cluster = hello?.clusterId ?? '';
      return { state, clusterId: isHex32(cluster) ? clusterId(cluster) : null };
    } catch {
      // Unreachable says nothing: the caller asks again.
      return null;
    }
  }

  #others(): readonly NamedAddress[] {
    return this.#options.peers.filter(({ name }) => name !== this.#options.name);
  }
}

const memberOf = ({ name, address }: NamedAddress, ordinal: number): Member => ({
  node: nodeId(ordinal + 1),
  name,
  address,
});

const isPeerState = (text: string): text is PeerState => STATES.includes(text);
