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
import type { CoordinatorOptions } from '../config/options.ts';
import type { NodeFolder } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Command } from '../metadata/commands.ts';
import type { DiskRecord } from '../metadata/records.ts';
import type { PeerStatus } from '../raft/types.ts';
import { VERSION } from '../telemetry/build-info.ts';
import type { AdminPort, Readiness } from './admin-port.ts';
import type { PeerFact } from './grpc/peer-links.ts';
import type { Member } from './member.ts';
import { notReady } from './member.ts';

const POLL_MS = 10;
const PROPOSE_AGAIN_MS = 500;
const TARGET_LAG_MAX = 10_000;

/** What links tell of the other members. */
export interface PeerFacts {
  /** Its last hello; undefined where none came in this boot. */
  peer(node: NodeId): PeerFact | undefined;
}

const UNHEARD = { httpAddress: '', bootId: 0, version: '', heardMs: null } as const;

/** Who takes part in bootstrap while this node is no member. */
export interface BootstrapPort {
  state(): CoordinatorState;
  request(request: BootstrapRequest): Promise<BootstrapAnswer>;
}

export interface AdminParts {
  readonly clock: Clock;
  readonly folder: NodeFolder;
  readonly options: CoordinatorOptions;
  readonly bootstrap: BootstrapPort;
  readonly peers: PeerFacts;
  readonly pendingRestart: () => readonly string[];
  /** This node's HTTP address as others reach it. */
  readonly httpAddress: string;
}

export class CoordinatorAdmin implements AdminPort {
  readonly #parts: AdminParts;
  #member: Member | null = null;
  #isStopping = false;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  /** From now on this node is a member and can say more. */
  join(member: Member): void {
    this.#member = member;
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
    const member = this.#require();
    const index = await member.consensus.readBarrier(timeoutMs);
    const leader = this.#leader();
    if (leader === null) throw new KvError('NO_LEADER', 'no leader is known; try again shortly');
    const { metadata, registry, identity, consensus } = member;
    const disks = metadata.disks().filter(({ state, refs }) => state !== 'gone' || refs > 0);
    const away = disks.filter(({ disk }) => registry.find(disk) === undefined);
    const missing = away.reduce((total, { refs }) => total + refs, 0);
    return {
      clusterId: identity.clusterId,
      index,
      term: consensus.status().term,
      leader,
      operatorEpoch: this.operatorEpoch(),
      members: identity.members.map(({ node, name }) => this.#memberView(member, node, name)),
      volumes: disks.map((disk) => this.#volumeView(member, disk)),
      data: {
        underReplicated: metadata.counters.underReplicated + missing,
        lost: metadata.counters.lost,
      },
    };
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
    if (request.expectedTerm !== undefined && request.expectedTerm !== status.term) {
      throw new KvError('TERM_CHANGED', `the term is ${status.term} by now: look again first`);
    }
    const target = this.#target(identity, request.to);
    const progress = status.peers.find(({ node }) => node === target);
    if (progress !== undefined && status.lastIndex - progress.match > TARGET_LAG_MAX) {
      throw new KvError('TARGET_BEHIND', 'that member is too far behind to lead');
    }
    await consensus.transferLeadership(target, timeoutMs);
    const leader = this.#leader();
    if (leader === null) throw new KvError('TRANSFER_FAILED', 'no leader is known; look again');
    return { leader, term: consensus.status().term };
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

  #require(): Member {
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
    if (this.#member === null) return `this node is ${this.#parts.bootstrap.state()}`;
    if (this.#member.consensus.status().recovering) return 'recovering its log';
    return this.#member.consensus.caughtUp() ? null : 'not caught up with a leader yet';
  }

  #leader(): { nodeId: number; name: string } | null {
    const leader = this.#member?.consensus.status().leader ?? NOBODY;
    const found = this.#member?.identity.members.find(({ node }) => node === leader);
    return found === undefined ? null : { nodeId: found.node, name: found.name };
  }

  #leaderUrl(): string | null {
    const leader = this.#member?.consensus.status().leader ?? NOBODY;
    if (leader === NOBODY) return null;
    if (leader === this.#member?.identity.node) return `http://${this.#parts.httpAddress}`;
    const address = this.#parts.peers.peer(leader)?.httpAddress ?? '';
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

  #memberView(member: Member, node: NodeId, name: string): ClusterView['members'][number] {
    const status = member.consensus.status();
    const { lastIndex } = status;
    if (node === member.identity.node) {
      const own = { state: this.#state(), matchIndex: lastIndex, lag: 0, contactMs: 0 };
      const { bootId } = this.#parts.folder;
      return { nodeId: node, name, voter: true, ...own, bootId, version: VERSION };
    }
    const facts = this.#parts.peers.peer(node) ?? UNHEARD;
    const progress = status.peers.find((peer) => peer.node === node);
    const matchIndex = progress?.match ?? 0;
    return {
      nodeId: node,
      name,
      voter: true,
      state: peerState(progress),
      matchIndex,
      lag: Math.max(0, lastIndex - matchIndex),
      contactMs: facts.heardMs,
      bootId: facts.bootId,
      version: facts.version,
    };
  }

  #volumeView(member: Member, record: DiskRecord): ClusterView['volumes'][number] {
    const live = member.registry.find(record.disk);
    return {
      name: record.volume,
      disk: record.disk,
      session: record.session,
      state: record.state,
      zone: record.zone,
      live: live !== undefined,
      heardMs: live?.heardMs ?? null,
      refs: record.refs,
      usedBytes: live?.usedBytes ?? 0,
      capacityBytes: record.capacityBytes,
      version: live?.version ?? '',
    };
  }
}

/** The Raft part of a status; that of a node which is no member yet is empty. */
function logView(member: Member | null) {
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

function peerState(progress: PeerStatus | undefined): ClusterView['members'][number]['state'] {
  if (progress?.recentlyActive !== true) return 'unknown';
  return progress.recovering ? 'recovering' : 'member';
}
