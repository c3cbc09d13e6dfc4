/**
 * A Kubernetes and a store in miniature, as pure state that moves by the second: two StatefulSet
 * controllers, pods that start and end, and a store that forms, elects, registers and repairs. Plans are
 * carried out on it, and what they must never do is checked while they are.
 */
import type { Role } from '../../api/names.ts';
import { claimName, podName, roleName } from '../../api/names.ts';
import { contentHash } from '../../desired/manifest.ts';
import { ROLES } from '../../desired/names.ts';
import { specOf } from '../../desired/testing/sample-cluster.ts';
import type {
  AppliedFacts,
  ClaimFacts,
  ClusterAnswer,
  CoordinatorAnswer,
  LiveObject,
  Plan,
  PodFacts,
  Snapshot,
  StatusFacts,
  Step,
} from '../types.ts';
import { fresh, setOf } from './snapshots.ts';

const SECOND = 1000;
const START_MS = 3 * SECOND;
const STOP_MS = 4 * SECOND;
const CATCH_UP_MS = 2 * SECOND;
const REPAIR_MS = 5 * SECOND;

interface Pod {
  readonly role: Role;
  readonly ordinal: number;
  readonly uid: string;
  readonly revision: string;
  readonly image: string;
  readonly createdMs: number;
  /** Last change of `ready`. */
  sinceMs: number;
  ready: boolean;
  endsMs: number | null;
}

interface SetState {
  uid: string;
  generation: number;
  observedGeneration: number;
  replicas: number;
  template: string;
  image: string;
}

/** What a claim holds, by claim name: it outlives the pod. */
interface Folder {
  state: 'empty' | 'armed' | 'member';
  disk: number;
}

export class World {
  nowMs = 1_000_000;
  spec: Snapshot['cr']['spec'];
  generation = 1;
  status: StatusFacts = fresh().cr.status;
  /** Pods of a role that find a node. */
  nodes = 100;
  readonly ids = new Set<string>();
  readonly sets: Record<Role, SetState | null> = { coordinator: null, volume: null };
  readonly pods = new Map<string, Pod>();
  readonly claims = new Map<string, ClaimFacts>();
  readonly folders = new Map<string, Folder>();
  live: Record<string, LiveObject> = {};
  applied: Record<string, AppliedFacts> = {};
  leader = '';
  term = 0;
  thinUntilMs = 0;
  bootstraps = 0;
  disruptions = 0;
  #count = 0;

  constructor(given: Readonly<Record<string, unknown>> = {}) {
    this.spec = specOf(given);
  }

  change(given: Readonly<Record<string, unknown>>): void {
    this.spec = specOf(given);
    this.generation += 1;
  }

  /** How many nodes carry a pod that has a claim there. */
  get placed(): number {
    const bound = [...this.claims.values()].filter(({ phase }) => phase === 'Bound');
    return Math.max(0, ...bound.map(({ ordinal }) => ordinal + 1));
  }

  /** The operator starts anew: its memory is gone. */
  forget(): void {
    this.applied = {};
  }

  tick(): void {
    this.nowMs += SECOND;
    for (const role of ROLES) this.#reconcileSet(role);
    for (const [name, pod] of this.pods) this.#movePod(name, pod);
    this.#form();
    this.#elect();
  }

  snapshot(isSilent: (name: string) => boolean = () => false): Snapshot {
    const s = fresh();
    const pods = [...this.pods].map(([name, pod]) => this.#podFacts(name, pod));
    const answers = <T>(role: Role, of: (name: string) => T): Record<string, T | 'unknown'> =>
      Object.fromEntries(
        pods
          .filter((pod) => pod.role === role)
          .map(({ name }) => [
            name,
            this.#isRunning(name) && !isSilent(name) ? of(name) : ('unknown' as const),
          ]),
      );
    return {
      ...s,
      nowMs: this.nowMs,
      cr: { ...s.cr, spec: this.spec, generation: this.generation, status: this.status },
      sts: { coordinator: this.#setFacts('coordinator'), volume: this.#setFacts('volume') },
      pods,
      claims: [...this.claims.values()],
      pdb: { coordinator: this.#budget('coordinator'), volume: this.#budget('volume') },
      applied: this.applied,
      live: this.live,
      coordinators: answers('coordinator', (name) => this.#coordinator(name)),
      volumes: answers('volume', (name) => ({
        clusterId: this.#folder(name).disk === 0 ? null : this.status.clusterId,
        disk: this.#folder(name).disk,
      })),
      cluster: isSilent('cluster') ? 'unknown' : this.#cluster(),
      absentSinceMs: {},
    };
  }

  /** Carries a plan out up to `steps` of its parts: a crash in the middle is a smaller number. */
  act(plan: Plan, steps = Number.POSITIVE_INFINITY): void {
    const parts: (() => void)[] = [
      () => this.#identify(plan),
      ...plan.applies.map((step) => () => this.#step(step)),
      ...plan.calls.map((call) => () => {
        if (call.kind === 'bootstrap') this.#bootstrap(call.pod);
      }),
      () => this.#end(plan.broken),
      () => this.#disrupt(plan),
      () => {
        this.status = {
          ...this.status,
          observedGeneration: plan.status.observedGeneration ?? 0,
          conditions: Object.fromEntries(plan.status.conditions.map((c) => [c.type, c])),
        };
      },
    ];
    for (const part of parts.slice(0, steps)) part();
  }

  #identify({ identity }: Plan): void {
    if (identity === null) return;
    const clusterId = identity.clusterId ?? this.#hex();
    if (this.status.clusterId !== null && this.status.clusterId !== clusterId) {
      throw new Error('clusterID is set once');
    }
    this.ids.add(clusterId);
    const { origin, bootstrapped } = identity;
    this.status = { ...this.status, clusterId, origin, bootstrapped };
  }

  #step(step: Step): void {
    if (step.kind !== 'apply') return;
    this.#count += 1;
    const rv = `rv-${this.#count}`;
    const uid = this.live[step.key]?.uid ?? `uid-${this.#count}`;
    this.live[step.key] = { uid, rv, content: step.manifest };
    this.applied[step.key] = { hash: step.hash, rv };
    const role = ROLES.find((one) => step.key === `StatefulSet/${roleName('demo', one)}`);
    if (role === undefined) return;
    const spec = step.manifest['spec'] as {
      replicas: number;
      template: { spec: { containers: { image: string }[] } };
    };
    const before = this.sets[role];
    if (before !== null) this.#checkFall(role, before.replicas, spec.replicas);
    this.sets[role] = {
      uid,
      generation: (before?.generation ?? 0) + 1,
      observedGeneration: before?.observedGeneration ?? 0,
      replicas: spec.replicas,
      template: contentHash(spec.template),
      image: spec.template.spec.containers[0]!.image,
    };
  }

  /** Only what has never been anywhere may go. */
  #checkFall(role: Role, before: number, after: number): void {
    for (let ordinal = after; ordinal < before; ordinal += 1) {
      const name = podName('demo', role, ordinal);
      const wasBound = this.claims.get(claimName('data', name))?.phase === 'Bound';
      const holds = this.folders.has(name) && this.#folder(name).state !== 'empty';
      const disk = this.folders.get(name)?.disk ?? 0;
      if (role === 'coordinator' || wasBound || holds || disk > 0) {
        throw new Error(`replicas fell below ${name}`);
      }
    }
  }

  #bootstrap(name: string): void {
    if (this.status.bootstrapped || [...this.folders.values()].some(({ disk }) => disk > 0)) {
      throw new Error('bootstrap of a formed cluster');
    }
    this.bootstraps += 1;
    if (this.#isRunning(name)) this.#folder(name).state = 'armed';
  }

  #disrupt({ disruptive, broken }: Plan): void {
    if (disruptive === null) return;
    if (broken !== null) throw new Error('two disturbances in a pass');
    this.disruptions += 1;
    if (disruptive.kind === 'transfer') {
      this.#lead(disruptive.to);
      return;
    }
    const away = [...this.pods].filter(([name]) => !this.#isRunning(name));
    const same = away.filter(([, pod]) => pod.role === disruptive.role);
    if (same.length > 0) throw new Error(`${disruptive.pod} evicted while ${same[0]![0]} is away`);
    this.#end(disruptive);
  }

  #end(target: { readonly pod: string; readonly uid: string } | null): void {
    const pod = target === null ? undefined : this.pods.get(target.pod);
    if (pod === undefined || pod.uid !== target?.uid) return;
    if (pod.role === 'volume' && pod.ready) this.thinUntilMs = this.nowMs + STOP_MS + REPAIR_MS * 2;
    pod.endsMs ??= this.nowMs + STOP_MS;
    pod.ready = false;
    pod.sinceMs = this.nowMs;
  }

  #reconcileSet(role: Role): void {
    const set = this.sets[role];
    if (set === null) return;
    set.observedGeneration = set.generation;
    for (const [name, pod] of this.pods) {
      if (pod.role === role && pod.ordinal >= set.replicas) this.pods.delete(name);
    }
    for (let ordinal = 0; ordinal < set.replicas; ordinal += 1) {
      const name = podName('demo', role, ordinal);
      const claim = claimName('data', name);
      const phase = this.#isPlaced(ordinal) ? 'Bound' : 'Pending';
      const found = this.claims.get(claim);
      const facts = found ?? {
        name: claim,
        role,
        ordinal,
        pod: name,
        uid: `uid-${claim}`,
        deleting: false,
        clusterId: this.status.clusterId,
        owned: false,
      };
      if (found?.phase !== 'Bound') this.claims.set(claim, { ...facts, phase });
      if (this.pods.has(name)) continue;
      this.#count += 1;
      this.pods.set(name, {
        role,
        ordinal,
        uid: `uid-${this.#count}`,
        revision: set.template,
        image: set.image,
        createdMs: this.nowMs,
        sinceMs: this.nowMs,
        ready: false,
        endsMs: null,
      });
    }
  }

  #movePod(name: string, pod: Pod): void {
    if (pod.endsMs !== null) {
      if (this.nowMs >= pod.endsMs) this.pods.delete(name);
      return;
    }
    const folder = this.#folder(name);
    if (pod.role === 'volume' && this.#isRunning(name) && this.leader !== '' && folder.disk === 0) {
      this.#count += 1;
      folder.disk = this.#count;
    }
    const isServing =
      pod.role === 'volume' ? folder.disk > 0 : folder.state === 'member' && this.leader !== '';
    const ready = this.#isRunning(name) && isServing;
    if (ready === pod.ready) return;
    pod.ready = ready;
    pod.sinceMs = this.nowMs;
  }

  #form(): void {
    const set = this.sets.coordinator;
    if (set === null) return;
    const names = Array.from({ length: set.replicas }, (_, i) => podName('demo', 'coordinator', i));
    const isArmed = names.every((name) => this.#folder(name).state !== 'empty');
    for (const name of names) {
      const folder = this.#folder(name);
      if (isArmed && this.#isRunning(name) && folder.state === 'armed') folder.state = 'member';
    }
  }

  #elect(): void {
    const members = this.#members().filter((name) => this.#isRunning(name));
    const isMajority = members.length > (this.sets.coordinator?.replicas ?? 0) / 2;
    if (!isMajority) this.leader = '';
    else if (!members.includes(this.leader)) this.#lead(members[0]!);
  }

  #lead(name: string): void {
    this.leader = name;
    this.term += 1;
  }

  #members(): readonly string[] {
    return [...this.pods.keys()].filter((name) => this.#folder(name).state === 'member');
  }

  #folder(pod: string): Folder {
    const found = this.folders.get(pod) ?? { state: 'empty', disk: 0 };
    this.folders.set(pod, found);
    return found;
  }

  /** No two pods of a role share a node. */
  #isPlaced(ordinal: number): boolean {
    return ordinal < this.nodes;
  }

  #isRunning(name: string): boolean {
    const pod = this.pods.get(name);
    if (pod === undefined || !this.#isPlaced(pod.ordinal)) return false;
    const isUp = this.nowMs - pod.createdMs >= START_MS;
    return isUp && pod.endsMs === null && !pod.image.startsWith('bad');
  }

  #isCaughtUp(name: string): boolean {
    const pod = this.pods.get(name);
    return pod !== undefined && this.nowMs - pod.createdMs >= START_MS + CATCH_UP_MS;
  }

  #podFacts(name: string, pod: Pod): PodFacts {
    const isBad = pod.image.startsWith('bad') && this.nowMs - pod.createdMs >= START_MS;
    return {
      role: pod.role,
      ordinal: pod.ordinal,
      name,
      uid: pod.uid,
      rv: `${pod.uid}-${pod.sinceMs}`,
      revision: pod.revision,
      ip: '10.0.0.1',
      node: this.#isPlaced(pod.ordinal) ? `node-${pod.ordinal}` : null,
      ready: pod.ready,
      readySinceMs: pod.sinceMs,
      deleting: pod.endsMs !== null,
      waitingReason: isBad ? 'ImagePullBackOff' : null,
      unschedulable: !this.#isPlaced(pod.ordinal),
      exitMessage: null,
    };
  }

  #setFacts(role: Role): Snapshot['sts'][Role] {
    const set = this.sets[role];
    if (set === null) return null;
    const { uid, generation, observedGeneration, replicas, template } = set;
    const facts = { uid, generation, observedGeneration, replicas, updateRevision: template };
    return { ...setOf(role, replicas), ...facts };
  }

  #budget(role: Role): Snapshot['pdb'][Role] {
    if (this.live[`PodDisruptionBudget/${roleName('demo', role)}`] === undefined) return null;
    const down = [...this.pods.values()].filter((pod) => pod.role === role && !pod.ready);
    return { current: true, allowed: down.length === 0 ? 1 : 0 };
  }

  #voters(): readonly { nodeId: number; name: string }[] {
    return Array.from({ length: this.sets.coordinator?.replicas ?? 0 }, (_, i) => ({
      nodeId: i + 1,
      name: podName('demo', 'coordinator', i),
    }));
  }

  #coordinator(name: string): CoordinatorAnswer {
    const { state } = this.#folder(name);
    return {
      nodeId: state === 'empty' ? 0 : this.pods.get(name)!.ordinal + 1,
      clusterId: state === 'empty' ? null : this.status.clusterId,
      state,
      role: name === this.leader ? 'leader' : 'follower',
      caughtUp: state === 'member' && this.#isCaughtUp(name),
      voters: state === 'member' ? this.#voters() : [],
    };
  }

  #cluster(): Snapshot['cluster'] {
    const voters = this.#voters();
    const leader = voters.find(({ name }) => name === this.leader);
    if (leader === undefined || this.status.clusterId === null) return 'unknown';
    const volumes: ClusterAnswer['volumes'][number][] = [];
    for (const [name, { disk }] of this.folders) {
      const live = this.#isRunning(name);
      if (disk > 0) volumes.push({ name, disk, state: 'active', zone: '', live, refs: 5 });
    }
    const away = volumes.filter(({ live }) => !live).length * 5;
    const thin = this.nowMs < this.thinUntilMs ? 1 : 0;
    return {
      clusterId: this.status.clusterId,
      term: this.term,
      leader,
      members: voters.map(({ nodeId, name }) => ({
        nodeId,
        name,
        voter: true,
        state: this.#isRunning(name) && this.#isCaughtUp(name) ? 'member' : 'recovering',
        matchIndex: 100,
        lag: this.#isCaughtUp(name) ? 0 : 5000,
        contactMs: this.#isRunning(name) ? 20 : 9000,
        version: '0.1.0',
      })),
      volumes,
      data: { underReplicated: away + thin, lost: 0 },
    };
  }

  #hex(): string {
    this.#count += 1;
    return this.#count.toString(16).padStart(32, '0');
  }
}
