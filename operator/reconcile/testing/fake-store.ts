/**
 * The processes of one cluster, in miniature, behind the admin port: what they hold lies in the claims,
 * so it outlives pods; who is unready is told to the nodes. It refuses what the real ones refuse.
 */
import type { ClusterView, CoordinatorStatus, VolumeStatus } from '../../../services/api/admin.ts';
import type {
  Answers,
  Caller,
  ClusterAdmin,
  Outcome,
  ReadTargets,
  Target,
} from '../../admin/types.ts';
import { fieldOf, listOf } from '../../kube/json.ts';
import { KINDS } from '../../kube/kinds.ts';
import type { FakeNodes } from '../../kube/testing/fake-nodes.ts';
import type { MemoryKube } from '../../kube/testing/memory-kube.ts';
import type { KubeObject } from '../../kube/types.ts';

interface Folder {
  state: 'empty' | 'armed' | 'member';
  clusterId: string | null;
  disk: number;
  zone: string;
}

const NAMESPACE = 'store';
const done: Outcome = { kind: 'done' };
const refused = (code: string): Outcome => ({ kind: 'refused', code, message: code });

export class FakeStore implements ClusterAdmin {
  /** Pods that answer nobody, and `cluster` for the view of the leader. */
  readonly silent = new Set<string>();
  readonly calls: string[] = [];
  readonly ids = new Set<string>();
  leader = '';
  term = 0;
  epoch = 0;
  underReplicated = 0;
  transferRefusals = 0;
  readonly #kube: MemoryKube;
  readonly #nodes: FakeNodes;
  readonly #folders = new Map<string, Folder>();
  #voters: readonly { nodeId: number; name: string }[] = [];
  #disks = 0;

  constructor(kube: MemoryKube, nodes: FakeNodes) {
    this.#kube = kube;
    this.#nodes = nodes;
  }

  /** Forms, elects and registers as far as it goes, and says who is ready. */
  step(): void {
    const coordinators = this.#pods('coordinator');
    const running = coordinators.filter((pod) => this.#isRunning(pod));
    const isArmed =
      this.#voters.length > 0 &&
      this.#voters.every(({ name }) => this.#folderOf(name).state !== 'empty');
    for (const { metadata } of running) {
      const folder = this.#folderOf(metadata.name);
      if (isArmed && folder.state === 'armed') folder.state = 'member';
    }
    const members = running
      .map(({ metadata }) => metadata.name)
      .filter((name) => this.#folderOf(name).state === 'member');
    if (members.length <= this.#voters.length / 2) this.leader = '';
    else if (!members.includes(this.leader)) this.#lead(members[0]!);
    for (const pod of this.#pods('volume')) {
      const folder = this.#folderOf(pod.metadata.name);
      if (!this.#isRunning(pod) || this.leader === '' || folder.disk > 0) continue;
      this.#disks += 1;
      folder.disk = this.#disks;
      folder.clusterId = this.#folderOf(this.leader).clusterId;
    }
    for (const pod of [...coordinators, ...this.#pods('volume')]) this.#tellReady(pod);
  }

  async read({ coordinators, volumes, clusterId }: ReadTargets): Promise<Answers> {
    const answers = <T>(targets: readonly Target[], of: (target: Target) => T) =>
      Object.fromEntries(
        targets.map((target) => [
          target.pod,
          this.#answers(target) ? of(target) : ('unknown' as const),
        ]),
      );
    const isAsked = clusterId !== null && coordinators.some((target) => this.#answers(target));
    return {
      coordinators: answers(coordinators, (target) => this.#coordinator(target)),
      volumes: answers(volumes, (target) => this.#volume(target)),
      cluster: isAsked && !this.silent.has('cluster') ? this.#view() : 'unknown',
    };
  }

  async bootstrap(
    target: Target,
    { clusterId, members }: Parameters<ClusterAdmin['bootstrap']>[1],
  ): Promise<Outcome> {
    this.calls.push(`bootstrap ${target.pod}`);
    if (!this.#answers(target)) return { kind: 'unknown', message: 'silent' };
    const folder = this.#folderOf(target.pod);
    if (folder.clusterId !== null && folder.clusterId !== clusterId)
      return refused('CLUSTER_EXISTS');
    if (folder.state === 'empty') {
      folder.state = 'armed';
      folder.clusterId = clusterId;
      this.ids.add(clusterId);
      this.#voters = members.map(({ nodeId, name }) => ({ nodeId, name }));
    }
    return done;
  }

  async transferLeader(
    target: Target,
    { to, expectedTerm, ...caller }: { to: number; expectedTerm: number } & Caller,
  ): Promise<Outcome> {
    this.calls.push(`transfer ${to}`);
    if (!this.#admits(caller)) return { kind: 'deposed' };
    if (expectedTerm !== this.term) return refused('TERM_CHANGED');
    if (this.transferRefusals > 0) {
      this.transferRefusals -= 1;
      return refused('TARGET_BEHIND');
    }
    this.#lead(this.#voters.find(({ nodeId }) => nodeId === to)?.name ?? target.pod);
    return done;
  }

  async setZone(
    _target: Target,
    { volume, disk, zone, ...caller }: { volume: string; disk: number; zone: string } & Caller,
  ): Promise<Outcome> {
    this.calls.push(`zone ${volume} ${zone}`);
    if (!this.#admits(caller)) return { kind: 'deposed' };
    const folder = this.#folderOf(volume);
    if (folder.disk !== disk) return refused('WRONG_NODE');
    folder.zone = zone;
    return done;
  }

  #admits({ epoch }: Caller): boolean {
    if (epoch < this.epoch) return false;
    this.epoch = epoch;
    return true;
  }

  #lead(name: string): void {
    this.leader = name;
    this.term += 1;
  }

  #pods(role: string): readonly KubeObject[] {
    return this.#kube
      .all(KINDS.pod)
      .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === role);
  }

  #pod(name: string): KubeObject | null {
    return this.#kube.read(KINDS.pod, { namespace: NAMESPACE, name });
  }

  #isRunning(pod: KubeObject): boolean {
    const [status] = listOf(fieldOf(pod, 'status', 'containerStatuses'));
    const isUp = fieldOf(status, 'state', 'running') !== undefined;
    const node = fieldOf(pod, 'spec', 'nodeName');
    const hasPower = typeof node === 'string' && !this.#nodes.down.has(node);
    return isUp && hasPower && pod.metadata.deletionTimestamp === undefined;
  }

  #tellReady(pod: KubeObject): void {
    const { name } = pod.metadata;
    const { state, disk } = this.#folderOf(name);
    const isVolume = pod.metadata.labels?.['app.kubernetes.io/component'] === 'volume';
    const isReady = isVolume ? disk > 0 : state === 'member' && this.leader !== '';
    if (isReady) this.#nodes.unready.delete(name);
    else this.#nodes.unready.add(name);
  }

  #answers({ pod, uid, address }: Target): boolean {
    const object = this.#pod(pod);
    const isOwn = object !== null && object.metadata.uid === uid && address !== null;
    return isOwn && this.#isRunning(object) && !this.silent.has(pod);
  }

  /** By the claim, so that a pod on a new claim is empty. */
  #folderOf(pod: string): Folder {
    const claim = this.#kube.read(KINDS.claim, { namespace: NAMESPACE, name: `data-${pod}` });
    const key = claim?.metadata.uid ?? pod;
    const found = this.#folders.get(key) ?? { state: 'empty', clusterId: null, disk: 0, zone: '' };
    this.#folders.set(key, found);
    return found;
  }

  #coordinator({ pod, uid }: Target): CoordinatorStatus {
    const { state, clusterId } = this.#folderOf(pod);
    const isMember = state === 'member';
    const nodeId = this.#voters.find(({ name }) => name === pod)?.nodeId ?? 0;
    const leader = this.#voters.find(({ name }) => name === this.leader) ?? null;
    return {
      name: pod,
      nodeId: state === 'empty' ? 0 : nodeId,
      clusterId,
      bootId: 1,
      podUid: uid,
      version: '0.1.0',
      state,
      role: pod === this.leader ? 'leader' : 'follower',
      term: this.term,
      leader,
      leaderContactMs: 0,
      commitIndex: 1,
      appliedIndex: 1,
      caughtUp: isMember,
      voters: isMember ? [...this.#voters] : [],
      operatorEpoch: this.epoch,
      pendingRestart: [],
      leader_url: null,
      digest: 'wasm',
      node_id: pod,
      is_leader: pod === this.leader,
      commit_index: 1,
      last_applied: 1,
      log_length: 1,
      nb_peers: 2,
      nb_volumes: 3,
      volume_ids: [],
      nb_s3_objects: 0,
    };
  }

  #volume({ pod, uid }: Target): VolumeStatus {
    const { disk, clusterId } = this.#folderOf(pod);
    const state = disk === 0 ? 'unformatted' : 'serving';
    const common = { name: pod, podUid: uid, version: '0.1.0', pendingRestart: [] };
    return { ...common, clusterId, disk, session: 1, boots: 1, state, digest: 'wasm' };
  }

  #view(): ClusterView | 'unknown' {
    const leader = this.#voters.find(({ name }) => name === this.leader);
    if (leader === undefined) return 'unknown';
    const isUp = (name: string): boolean => {
      const pod = this.#pod(name);
      return pod !== null && this.#isRunning(pod);
    };
    const volumes: ClusterView['volumes'] = [];
    for (const { metadata } of this.#kube.all(KINDS.claim)) {
      const name = metadata.name.replace(/^data-/, '');
      const { disk, zone } = this.#folderOf(name);
      const sizes = { refs: 5, usedBytes: 1, capacityBytes: 9, session: 1, heardMs: 1 };
      const live = isUp(name);
      if (disk > 0)
        volumes.push({ name, disk, state: 'active', zone, live, version: '', ...sizes });
    }
    const away = volumes.filter(({ live }) => !live).length * 5;
    return {
      clusterId: this.#folderOf(leader.name).clusterId ?? '',
      index: 1,
      term: this.term,
      leader,
      operatorEpoch: this.epoch,
      members: this.#voters.map(({ nodeId, name }) => ({
        nodeId,
        name,
        voter: true,
        state: isUp(name) ? 'member' : 'unknown',
        matchIndex: 10 - nodeId,
        lag: 0,
        contactMs: isUp(name) ? 10 : null,
        bootId: 1,
        version: '0.1.0',
      })),
      volumes,
      data: { underReplicated: away + this.underReplicated, lost: 0 },
    };
  }
}
