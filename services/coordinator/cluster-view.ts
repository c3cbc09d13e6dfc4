/**
 * `GET /admin/cluster`: the cluster as its leader sees it, at an index that a majority has confirmed
 * after the question. Any coordinator may be asked; one that does not lead asks the leader, because
 * only the leader hears from every member. Invariant: a view is never made by a node that is not sure
 * to lead, so nobody's guess is taken for the state of the cluster; nor by one that has just started
 * and cannot know yet which volumes are well.
 */
import { type ClusterView, clusterViewSchema } from '../api/admin.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { NOBODY, type NodeId } from '../common/ids.ts';
import { VERSION } from '../common/version.ts';
import type { Identity } from '../consensus/transport.ts';
import type { Consensus } from '../consensus/types.ts';
import type { DiskRecord } from '../metadata/records.ts';
import type { PeerStatus } from '../raft/types.ts';
import type { FirstContact } from './first-contact.ts';
import type { PeerFact } from './grpc/peer-links.ts';
import type { Metadata } from './metadata-port.ts';
import type { VolumeDirectory } from './volume-port.ts';

/** Between two questions while nobody leads or the leader is about to change. */
const ASK_AGAIN_MS = 50;

/** What links tell of the other members, and the way to one of them. */
export interface PeerPort {
  /** Its last hello; undefined where none came in this boot. */
  fact(node: NodeId): PeerFact | undefined;
  /** The other's own view as JSON. @throws KvError `NOT_LEADER`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`. */
  clusterView(node: NodeId, timeoutMs: number): Promise<string>;
}

export interface ClusterViewComponents {
  readonly clock: Clock;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: Pick<VolumeDirectory, 'find'>;
  readonly contact: Pick<FirstContact, 'isMade'>;
  readonly identity: Identity;
  readonly peers: PeerPort;
  /** What this node says of itself. */
  readonly self: () => { readonly state: MemberView['state']; readonly bootId: number };
}

type MemberView = ClusterView['members'][number];

const UNHEARD = { bootId: 0, version: '', heardMs: null } as const;

export class ClusterViews {
  readonly #components: ClusterViewComponents;

  constructor(components: ClusterViewComponents) {
    this.#components = components;
  }

  /** The leader's view. @throws KvError `NO_LEADER` when none gave it in `timeoutMs`. */
  async view(timeoutMs: number): Promise<ClusterView> {
    const { clock } = this.#components;
    const endMs = clock.monotonicMs() + timeoutMs;
    let cause: Error | null = null;
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = endMs - clock.monotonicMs()) {
      try {
        return await this.#once(leftMs);
      } catch (thrown) {
        cause = asError(thrown);
        if (!isPassing(cause)) throw cause;
      }
      await sleep(clock, ASK_AGAIN_MS);
    }
    throw new KvError('NO_LEADER', 'no leader told its view of the cluster in time', { cause });
  }

  /** This node's view, if it leads. @throws KvError `NOT_LEADER`, `NO_LEADER`, `NOT_READY`. */
  async own(timeoutMs: number): Promise<ClusterView> {
    const { consensus, contact } = this.#components;
    this.#requireLeading();
    if (!contact.isMade) {
      throw new KvError('NOT_READY', 'the leader has just started and not heard all volumes yet');
    }
    const index = await consensus.readBarrier(timeoutMs);
    // A read may be confirmed by another leader than the one that was asked.
    this.#requireLeading();
    return this.#build(index);
  }

  async #once(timeoutMs: number): Promise<ClusterView> {
    const { consensus, identity, peers } = this.#components;
    const { leader } = consensus.status();
    if (leader === NOBODY) throw new KvError('NO_LEADER', 'no leader is known');
    if (leader === identity.node) return this.own(timeoutMs);
    const json: unknown = JSON.parse(await peers.clusterView(leader, timeoutMs));
    return clusterViewSchema.parse(json);
  }

  #requireLeading(): void {
    if (this.#components.consensus.status().role === 'leader') return;
    throw new KvError('NOT_LEADER', 'this coordinator does not lead; ask the leader');
  }

  #build(index: number): ClusterView {
    const { consensus, metadata, directory, identity } = this.#components;
    const disks = metadata.disks().filter(({ state, refs }) => state !== 'gone' || refs > 0);
    const away = disks.filter(({ disk }) => directory.find(disk) === undefined);
    const missing = away.reduce((total, { refs }) => total + refs, 0);
    const { clusterId, node, name } = identity;
    return {
      clusterId,
      index,
      term: consensus.status().term,
      leader: { nodeId: node, name },
      operatorEpoch: metadata.cluster.operatorEpoch,
      members: identity.members.map((member) => this.#member(member.node, member.name)),
      volumes: disks.map((disk) => this.#volume(disk)),
      data: {
        underReplicated: metadata.counters.underReplicated + missing,
        lost: metadata.counters.lost,
      },
    };
  }

  #member(node: NodeId, name: string): MemberView {
    const { consensus, identity, peers, self } = this.#components;
    const { lastIndex, peers: followers } = consensus.status();
    const common = { nodeId: node, name, voter: true };
    if (node === identity.node) {
      const own = { matchIndex: lastIndex, lag: 0, contactMs: 0, version: VERSION };
      return { ...common, ...own, ...self() };
    }
    const { heardMs: contactMs, bootId, version } = peers.fact(node) ?? UNHEARD;
    const progress = followers.find((peer) => peer.node === node);
    const matchIndex = progress?.match ?? 0;
    const lag = Math.max(0, lastIndex - matchIndex);
    return { ...common, state: stateOf(progress), matchIndex, lag, contactMs, bootId, version };
  }

  #volume(record: DiskRecord): ClusterView['volumes'][number] {
    const { clock, directory } = this.#components;
    const live = directory.find(record.disk);
    const { disk, session, state, zone, refs, capacityBytes } = record;
    return {
      name: record.volume,
      disk,
      session,
      state,
      zone,
      live: live !== undefined,
      heardMs: live === undefined ? null : clock.monotonicMs() - live.heardAtMs,
      refs,
      usedBytes: live?.usedBytes ?? 0,
      capacityBytes,
      version: live?.version ?? '',
    };
  }
}

/** Worth asking again: leadership is on its way, or was just lost. */
const PASSING = new Set<string>([
  'NOT_LEADER',
  'NO_LEADER',
  'NOT_READY',
  'UNAVAILABLE',
  'STOPPING',
]);

const isPassing = (error: Error): boolean => error instanceof KvError && PASSING.has(error.code);

function stateOf(progress: PeerStatus | undefined): MemberView['state'] {
  if (progress?.recentlyActive !== true) return 'unknown';
  return progress.recovering ? 'recovering' : 'member';
}
