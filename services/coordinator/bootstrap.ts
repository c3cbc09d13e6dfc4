/**
 * Carries the bootstrap rules out: asks the peers, takes the identity durably, and lets this node
 * vote once all of them have one. Invariant: identities are taken one at a time, each right after a
 * round of answers, and only through the folder.
 */
import { Backoff } from '../common/backoff.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type ClusterId, clusterId, hexOf, nodeId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { Semaphore } from '../common/semaphore.ts';
import type { NamedAddress } from '../config/options.ts';
import type { NodeFolder } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  type BootstrapAction,
  type BootstrapRules,
  confirms,
  decide,
  isRequestOpen,
  type NodeState,
  type OwnView,
  type PeerAnswer,
  refusalOfPeers,
} from './bootstrap-rules.ts';

const PAUSE_MS = { minMs: 100, maxMs: 1000 };
/** Bootstrap calls that may wait for their turn. */
const WAITERS_MAX = 16;
const CLUSTER_ID_BYTES = 16;

export interface BootstrapComponents {
  /**
   * Its state must be final (`member` where the log has a term) before anybody is answered or asked:
   * a member that looks armed would let a wiped peer take its old identity again.
   */
  readonly folder: Pick<NodeFolder, 'name' | 'identity' | 'directoryState' | 'arm'>;
  /** Asks one peer; `unreachable` instead of an error. */
  readonly probe: (peer: NamedAddress) => Promise<PeerAnswer>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface BootstrapOptions {
  readonly mode: 'auto' | 'manual';
  readonly clusterId: ClusterId | null;
  /** All coordinators in the same order on all of them, this one among them. */
  readonly peers: readonly NamedAddress[];
}

export class Bootstrap {
  readonly #components: BootstrapComponents;
  readonly #rules: BootstrapRules;
  readonly #others: readonly NamedAddress[];
  readonly #turn = new Semaphore(1, WAITERS_MAX);
  readonly #confirmed = new Set<string>();
  #last: BootstrapAction | null = null;

  constructor(components: BootstrapComponents, { mode, clusterId, peers }: BootstrapOptions) {
    const members = peers.map(({ name, address }, i) => ({ node: nodeId(i + 1), name, address }));
    this.#components = components;
    this.#rules = { mode, clusterId, members };
    this.#others = peers.filter(({ name }) => name !== components.folder.name);
  }

  /** For status and probes. */
  state(): NodeState {
    const state = this.#components.folder.directoryState();
    return state === 'empty' && this.#last?.kind === 'waiting' ? 'waiting' : state;
  }

  /**
   * Resolves with the identity once this node may vote; a member at once, even alone.
   * @throws KvError `INVALID_ARGUMENT` when the peers do not name this node; the signal's reason.
   */
  async run(signal: AbortSignal): Promise<Identity> {
    const { clock, random, folder } = this.#components;
    const backoff = new Backoff(random, PAUSE_MS);
    for (;;) {
      signal.throwIfAborted();
      const before = this.#last;
      const action = await this.#turn.run(() => this.#step());
      if (action.kind === 'start' && folder.identity !== null) return folder.identity;
      if (before?.kind !== action.kind) backoff.reset();
      await sleep(clock, backoff.next(), signal);
    }
  }

  /**
   * `POST /admin/bootstrap`: takes the identity durably; a repeat answers the same.
   * @throws KvError `CLUSTER_EXISTS`, `WRONG_CLUSTER`, `PEER_NOT_EMPTY`, `PEER_UNKNOWN` (both with
   * the peer in the detail), `INVALID_ARGUMENT`.
   */
  async request(
    request: Pick<Identity, 'clusterId' | 'members'>,
  ): Promise<{ readonly state: NodeState }> {
    await this.#turn.run(async () => {
      if (!isRequestOpen(this.#own(), request, this.#rules)) return;
      const refusal = refusalOfPeers(await this.#ask(), request);
      if (refusal !== null) throw refusal;
      await this.#arm(request);
    });
    return { state: this.state() };
  }

  async #step(): Promise<BootstrapAction> {
    const isMember = ['member', 'recovering'].includes(this.#own().state);
    const answers = isMember ? [] : await this.#ask();
    const { identity } = this.#components.folder;
    for (const answer of answers) {
      if (identity !== null && confirms(identity, answer)) this.#confirmed.add(answer.name);
    }
    const action = decide(this.#own(), answers, this.#rules);
    this.#report(action);
    if (action.kind === 'arm') {
      await this.#arm({
        clusterId: clusterId(action.clusterId ?? this.#mint()),
        members: this.#rules.members,
      });
    }
    return action;
  }

  async #arm({ clusterId, members }: Pick<Identity, 'clusterId' | 'members'>): Promise<void> {
    const { folder, logger } = this.#components;
    const self = members.find(({ name }) => name === folder.name);
    if (self === undefined) throw notAPeer(folder.name);
    await folder.arm({ clusterId, node: self.node, name: self.name, members });
    logger.info({ clusterId, node: self.node }, 'identity taken');
  }

  #ask(): Promise<PeerAnswer[]> {
    const { folder, probe } = this.#components;
    const isListed = this.#rules.members.some(({ name }) => name === folder.name);
    if (!isListed) return Promise.reject(notAPeer(folder.name));
    return Promise.all(this.#others.map((peer) => probe(peer)));
  }

  #own(): OwnView {
    const { folder } = this.#components;
    return {
      name: folder.name,
      state: folder.directoryState(),
      identity: folder.identity,
      confirmed: this.#confirmed,
    };
  }

  #mint(): string {
    return hexOf(this.#components.random.bytes(CLUSTER_ID_BYTES));
  }

  /** Says what is awaited, once for each change. */
  #report(action: BootstrapAction): void {
    const isNews = JSON.stringify(action) !== JSON.stringify(this.#last);
    this.#last = action;
    if (isNews) this.#components.logger.info({ ...action }, 'bootstrap');
  }
}

const notAPeer = (name: string): KvError =>
  new KvError('INVALID_ARGUMENT', `the peers do not name this coordinator, ${name}`);
