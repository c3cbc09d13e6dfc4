/**
 * What operators see of a coordinator and may ask of it. The node's own view needs no quorum; changes
 * are commands, done once they are seen applied here.
 */
import type {
  BootstrapAnswer,
  BootstrapRequest,
  ClusterView,
  CoordinatorState,
  CoordinatorStatus,
  TransferAnswer,
  TransferRequest,
  VolumeChange,
  VolumeChangeAnswer,
} from '../api/admin.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { digestBuild } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { NOBODY, type NodeId } from '../common/ids.ts';
import { VERSION } from '../common/version.ts';
import type { CoordinatorOptions } from '../config/options.ts';
import type { DirectoryState, NodeFolder } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import type { Consensus } from '../consensus/types.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Command } from '../metadata/commands.ts';
import type { DiskRecord } from '../metadata/records.ts';
import type { AdminPort, Readiness } from './admin-port.ts';
import { ClusterViews, type PeerPort } from './cluster-view.ts';
import { FirstContact } from './first-contact.ts';
import { notReady } from './member.ts';
import type { Metadata } from './metadata-port.ts';
import type { VolumeDirectory } from './volume-port.ts';

const POLL_MS = 10;
const PROPOSE_AGAIN_MS = 500;
const TARGET_LAG_MAX = 10_000;

/** What is asked of a member that runs. */
export interface AdminMember {
  readonly identity: Identity;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly registry: VolumeDirectory;
  directoryState(): DirectoryState;
}

/** Who takes part in bootstrap while this node is no member. */
export interface BootstrapPort {
  state(): CoordinatorState;
  request(request: BootstrapRequest): Promise<BootstrapAnswer>;
}

export interface AdminParts {
  readonly clock: Clock;
  readonly folder: Pick<NodeFolder, 'identity' | 'bootId'>;
  readonly options: CoordinatorOptions;
  readonly bootstrap: BootstrapPort;
  readonly peers: PeerPort;
  readonly pendingRestart: () => readonly string[];
  /** This node's HTTP address as others reach it. */
  readonly httpAddress: string;
}

export class CoordinatorAdmin implements AdminPort {
  readonly #parts: AdminParts;
  #member: AdminMember | null = null;
  #views: ClusterViews | null = null;
  #contact: FirstContact | null = null;
  #isStopping = false;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  /** From now on this node is a member and can say more. */
  join(member: AdminMember): void {
    const { clock, folder, peers } = this.#parts;
    const { consensus, identity, metadata, registry: directory } = member;
    this.#member = member;
    const contact = new FirstContact({ clock, metadata, directory });
    this.#contact = contact;
    this.#views = new ClusterViews({
      clock,
      consensus,
      metadata,
      directory,
      contact,
      identity,
      peers,
      self: () => ({ state: this.#state(), bootId: folder.bootId }),
    });
  }

  beginStop(): void {
    this.#isStopping = true;
  }

  leaderName(): string | null {
    return this.#leader()?.name ?? null;
  }

  leaderContactMs(): number | null {
    const contactMs = this.#member?.consensus.leaderContactMs() ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(contactMs) ? contactMs : null;
  }

  health(): Readiness {
    const reason = this.#notReadyReason();
    return {
      ready: reason === null,
      reason,
      healthyVolumes: this.#member?.registry.live().length ?? 0,
      isLeader: this.#member?.consensus.status().role === 'leader',
    };
  }

  status(): CoordinatorStatus {
    const { folder, options, pendingRestart } = this.#parts;
    const identity = this.#identity();
    const voters = identity?.members ?? [];
    const volumes = this.#member?.registry.live() ?? [];
    return {
      name: options.name,
      nodeId: identity?.node ?? 0,
      clusterId: identity?.clusterId ?? null,
      bootId: folder.bootId,
      podUid: options.podUid,
      version: VERSION,
      state: this.#state(),
      leader: this.#leader(),
      leaderContactMs: this.leaderContactMs(),
      voters: voters.map(({ node, name }) => ({ nodeId: node, name })),
      operatorEpoch: this.operatorEpoch(),
      pendingRestart: [...pendingRestart()],
      leader_url: this.#leaderUrl(),
      digest: digestBuild,
      node_id: options.name,
      nb_peers: Math.max(0, voters.length - 1),
      nb_volumes: volumes.length,
      volume_ids: volumes.map(({ name }) => name),
      nb_s3_objects: 0,
      ...logView(this.#member),
    };
  }

  async cluster(timeoutMs: number): Promise<ClusterView> {
    if (this.#views === null) throw notReady();
    return this.#views.view(timeoutMs);
  }

  /** This node's own view as JSON, for another coordinator. @throws KvError `NOT_LEADER`. */
  async ownClusterView(timeoutMs: number): Promise<string> {
    if (this.#views === null) throw notReady();
    return JSON.stringify(await this.#views.own(timeoutMs));
  }

  clusterId(): string | null {
    return this.#identity()?.clusterId ?? null;
  }

  operatorEpoch(): number {
    return this.#member?.metadata.cluster.operatorEpoch ?? 0;
  }

  async raiseOperatorEpoch(epoch: number, timeoutMs: number): Promise<void> {
    const { metadata } = this.#require();
    const isDone = (): boolean => metadata.cluster.operatorEpoch >= epoch;
    await this.#applyUntil({ kind: 'set-operator-epoch', epoch }, isDone, timeoutMs);
    if (metadata.cluster.operatorEpoch > epoch) {
      throw new KvError('STALE_EPOCH', `a later operator has epoch ${this.operatorEpoch()}`);
    }
  }

  bootstrap(request: BootstrapRequest): Promise<BootstrapAnswer> {
    return this.#parts.bootstrap.request(request);
  }

  async transferLeader(request: TransferRequest, timeoutMs: number): Promise<TransferAnswer> {
    const { consensus, identity } = this.#require();
    const status = consensus.status();
    const target = this.#target(identity, request.to);
    // A repeat of what has happened already, whatever the term is by now.
    if (target !== NOBODY && target === status.leader) return this.#led();
    if (request.expectedTerm !== undefined && request.expectedTerm !== status.term) {
      throw new KvError('TERM_CHANGED', `the term is ${status.term} by now: look again first`);
    }
    const progress = status.peers.find(({ node }) => node === target);
    const lag = progress === undefined ? 0 : status.lastIndex - progress.match;
    if (progress?.recovering === true || lag > TARGET_LAG_MAX) {
      throw new KvError('TARGET_BEHIND', 'that member is too far behind to lead');
    }
    const leader = await consensus.transferLeadership(target, timeoutMs);
    if (target !== NOBODY && leader !== target) {
      throw new KvError('TRANSFER_FAILED', 'another member took over; look again');
    }
    return this.#led();
  }

  /** Who leads now. @throws KvError `TRANSFER_FAILED`. */
  #led(): TransferAnswer {
    const leader = this.#leader();
    if (leader === null) throw new KvError('TRANSFER_FAILED', 'no leader is known; look again');
    return { leader, term: this.#require().consensus.status().term };
  }

  async setVolume(
    name: string,
    change: VolumeChange,
    timeoutMs: number,
  ): Promise<VolumeChangeAnswer> {
    const { metadata } = this.#require();
    const record = this.#diskOf(name, change.disk);
    const zone = change.zone ?? null;
    const state = change.state ?? null;
    const isDone = (): boolean => {
      const now = metadata.disk(record.disk);
      return (zone === null || now?.zone === zone) && (state === null || now?.state === state);
    };
    await this.#applyUntil({ kind: 'set-disk', disk: record.disk, state, zone }, isDone, timeoutMs);
    return { index: metadata.appliedIndex };
  }

  /** Proposes until `isDone` is seen in the applied state. */
  async #applyUntil(command: Command, isDone: () => boolean, timeoutMs: number): Promise<void> {
    const { clock } = this.#parts;
    const { consensus } = this.#require();
    const bytes = encodeCommand(command).slice();
    const endMs = clock.monotonicMs() + timeoutMs;
    let proposeAtMs = 0;
    while (!isDone()) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= endMs) throw new KvError('DEADLINE_EXCEEDED', 'not applied in time; look again');
      if (nowMs >= proposeAtMs) {
        consensus.propose(bytes, () => undefined);
        proposeAtMs = nowMs + PROPOSE_AGAIN_MS;
      }
      await sleep(clock, POLL_MS);
    }
  }

  #require(): AdminMember {
    if (this.#member === null) throw notReady();
    return this.#member;
  }

  #identity(): Identity | null {
    return this.#member?.identity ?? this.#parts.folder.identity;
  }

  #state(): CoordinatorState {
    if (this.#isStopping) return 'stopping';
    if (this.#member === null) return this.#parts.bootstrap.state();
    return this.#member.directoryState();
  }

  #notReadyReason(): string | null {
    if (this.#isStopping) return 'stopping';
    if (this.#member === null) {
      const state = this.#parts.bootstrap.state();
      return state === 'member' ? 'opening its log and state' : `this node is ${state}`;
    }
    if (this.#member.consensus.status().recovering) return 'recovering its log';
    if (!this.#member.consensus.caughtUp()) return 'not caught up with a leader yet';
    if (!this.#member.metadata.isTrusted) return 'its state is in doubt';
    return this.#contact?.isMade === true ? null : 'not in contact with the volumes yet';
  }

  #leader(): { nodeId: number; name: string } | null {
    const leader = this.#member?.consensus.leader ?? NOBODY;
    const found = this.#member?.identity.members.find(({ node }) => node === leader);
    return found === undefined ? null : { nodeId: found.node, name: found.name };
  }

  #leaderUrl(): string | null {
    const leader = this.#member?.consensus.leader ?? NOBODY;
    if (leader === NOBODY) return null;
    if (leader === this.#member?.identity.node) return `http://${this.#parts.httpAddress}`;
    const address = this.#parts.peers.fact(leader)?.httpAddress ?? '';
    return address === '' ? null : `http://${address}`;
  }

  #target(identity: Identity, to: TransferRequest['to']): NodeId {
    if (to === undefined) return NOBODY;
    const found = identity.members.find(({ node, name }) => node === to || name === to);
    if (found === undefined) throw new KvError('INVALID_ARGUMENT', `no member is called ${to}`);
    return found.node;
  }

  #diskOf(name: string, disk: number | undefined): DiskRecord {
    const { metadata } = this.#require();
    const all = metadata.disks().filter(({ volume }) => volume === name);
    const found = disk === undefined ? all.at(-1) : all.find((record) => record.disk === disk);
    if (found !== undefined) return found;
    if (all.length > 0)
      throw new KvError('WRONG_NODE', `disk ${disk ?? 0} is not of volume ${name}`);
    throw new KvError('INVALID_ARGUMENT', `no volume is called ${name}`);
  }
}

/** The Raft part of a status; that of a node which is no member yet is empty. */
function logView(member: AdminMember | null) {
  if (member === null) return EMPTY_LOG_VIEW;
  const raft = member.consensus.status();
  const applied = member.metadata.appliedIndex;
  const role: CoordinatorStatus['role'] = raft.role === 'pre-candidate' ? 'candidate' : raft.role;
  return {
    role,
    is_leader: role === 'leader',
    term: raft.term,
    commitIndex: raft.commit,
    commit_index: raft.commit,
    appliedIndex: applied,
    last_applied: applied,
    caughtUp: member.consensus.caughtUp(),
    log_length: raft.lastIndex - raft.baseIndex,
  };
}

const EMPTY_LOG_VIEW = {
  role: 'follower',
  is_leader: false,
  term: 0,
  commitIndex: 0,
  commit_index: 0,
  appliedIndex: 0,
  last_applied: 0,
  caughtUp: false,
  log_length: 0,
} as const;
