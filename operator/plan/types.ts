/**
 * The two values between which everything is decided: what was seen at one moment, and what is to be
 * done about it. Nothing that is remembered from an earlier pass is an authority; the few memories in a
 * snapshot (`applied`, `open`, `absentSinceMs`, `transferRefusedMs`) only spare writes or make the
 * operator wait, and may be forgotten.
 */
import type { ClusterSpec, ClusterStatus } from '../api/cluster.ts';
import type { ConditionFinding, ConditionType } from '../api/conditions.ts';
import type { Role } from '../api/names.ts';
import type { Manifest } from '../desired/manifest.ts';
import type { NotedTemplate } from '../desired/wanted.ts';

/**
 * `unknown` stands for every answer that did not come or cannot be trusted: no IP, time-out, 5xx, the
 * wrong pod. It is never healthy, empty, zero or absent.
 */
export type Known<T> = T | 'unknown';

export interface Snapshot {
  /** Wall clock, as pods and conditions are stamped by it. */
  readonly nowMs: number;
  readonly cr: ClusterFacts;
  readonly op: OperatorFacts;
  readonly sts: Readonly<Record<Role, StatefulSetFacts | null>>;
  readonly pods: readonly PodFacts[];
  readonly claims: readonly ClaimFacts[];
  readonly pdb: Readonly<Record<Role, BudgetFacts | null>>;
  /** Our last apply of each object, by `Kind/name`. */
  readonly applied: Readonly<Record<string, AppliedFacts>>;
  /** Objects of our names that are there, by `Kind/name`. */
  readonly live: Readonly<Record<string, LiveObject>>;
  /** Objects under names that are wanted, and not ours. */
  readonly foreign: readonly ForeignObject[];
  /** Zone label of each node that carries a volume; asked only with `failureDomain: Zone`. */
  readonly zones: Readonly<Record<string, Known<string>>>;
  /** Answers by pod name; a pod that is not there has none. */
  readonly coordinators: Readonly<Record<string, Known<CoordinatorAnswer>>>;
  readonly volumes: Readonly<Record<string, Known<VolumeAnswer>>>;
  readonly cluster: Known<ClusterAnswer>;
  readonly open: Expectation | null;
  /** Since when this operator has seen a wanted pod missing or not ready. */
  readonly absentSinceMs: Readonly<Record<string, number>>;
  /** When a transfer of leadership was refused. */
  readonly transferRefusedMs: readonly number[];
}

export interface ForeignObject {
  /** `Kind/name`. */
  readonly key: string;
  /** On its way out by itself; else it is somebody else's and stays. */
  readonly leaves: boolean;
}

export interface ClusterFacts {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number;
  readonly deleting: boolean;
  readonly spec: ClusterSpec;
  readonly status: StatusFacts;
}

export interface StatusFacts {
  readonly observedGeneration: number;
  readonly clusterId: string | null;
  readonly origin: 'New' | 'Adopted' | null;
  readonly bootstrapped: boolean;
  readonly conditions: Readonly<Partial<Record<ConditionType, ConditionFacts>>>;
}

export interface ConditionFacts {
  readonly status: string;
  readonly reason: string;
  readonly sinceMs: number;
}

export interface OperatorFacts {
  /** Namespaces from which the admin ports may be reached. */
  readonly adminNamespaces: readonly string[];
  readonly kinds: { readonly podMonitor: boolean; readonly prometheusRule: boolean };
}

export interface StatefulSetFacts {
  readonly uid: string;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly replicas: number;
  readonly updateRevision: string;
  readonly noted: NotedTemplate | null;
}

export interface PodFacts {
  readonly role: Role;
  readonly ordinal: number;
  readonly name: string;
  readonly uid: string;
  readonly rv: string;
  /** Label `controller-revision-hash`. */
  readonly revision: string;
  readonly ip: string | null;
  readonly node: string | null;
  readonly ready: boolean;
  /** When `ready` became what it is. */
  readonly readySinceMs: number;
  readonly deleting: boolean;
  /** Why the container waits, such as `ImagePullBackOff`. */
  readonly waitingReason: string | null;
  readonly unschedulable: boolean;
  /** Last words of the container. */
  readonly exitMessage: string | null;
}

export interface ClaimFacts {
  readonly name: string;
  readonly role: Role;
  readonly ordinal: number;
  readonly pod: string;
  readonly uid: string;
  readonly phase: string;
  readonly deleting: boolean;
  /** Label `minikv.io/cluster-id`. */
  readonly clusterId: string | null;
  /** Whether this cluster object is among its owners. */
  readonly owned: boolean;
}

export interface BudgetFacts {
  /** Its status is of its present spec. */
  readonly current: boolean;
  readonly allowed: number;
}

export interface AppliedFacts {
  readonly hash: string;
  /** resourceVersion that our apply left. */
  readonly rv: string;
  /** The server's refusal of that very content. */
  readonly refused?: {
    readonly atMs: number;
    readonly message: string;
    /** A field that cannot change: the object must be made anew. */
    readonly immutable: boolean;
  };
}

export interface LiveObject {
  readonly uid: string;
  readonly rv: string;
  readonly content: unknown;
}

export type CoordinatorState =
  | 'empty'
  | 'armed'
  | 'waiting'
  | 'member'
  | 'recovering'
  | 'void'
  | 'stopping';

export interface CoordinatorAnswer {
  readonly nodeId: number;
  readonly clusterId: string | null;
  readonly state: CoordinatorState;
  readonly role: 'leader' | 'candidate' | 'follower';
  readonly caughtUp: boolean;
  readonly voters: readonly { readonly nodeId: number; readonly name: string }[];
}

export interface VolumeAnswer {
  readonly clusterId: string | null;
  /** 0: unformatted. */
  readonly disk: number;
}

/** The leader's view at a ReadIndex. */
export interface ClusterAnswer {
  readonly clusterId: string;
  readonly term: number;
  readonly leader: { readonly nodeId: number; readonly name: string };
  readonly members: readonly {
    readonly nodeId: number;
    readonly name: string;
    readonly voter: boolean;
    readonly state: CoordinatorState | 'unknown';
    readonly matchIndex: number;
    readonly lag: number;
    readonly contactMs: number | null;
    readonly version: string;
  }[];
  readonly volumes: readonly {
    readonly name: string;
    readonly disk: number;
    readonly state: 'active' | 'draining' | 'gone';
    readonly zone: string;
    readonly live: boolean;
    readonly refs: number;
  }[];
  readonly data: { readonly underReplicated: number; readonly lost: number };
}

/** What was done last and must be seen before anything else is disturbed; `atMs` is when, as `nowMs`. */
export type Expectation = { readonly atMs: number } & (
  | { readonly kind: 'evict'; readonly pod: string; readonly oldUid: string }
  | { readonly kind: 'transfer'; readonly oldLeader: string }
);

export interface Plan {
  readonly applies: readonly Step[];
  readonly calls: readonly AdminCall[];
  readonly broken: PodDelete | null;
  readonly disruptive: Action | null;
  readonly identity: IdentityIntent | null;
  readonly status: StatusIntent;
  readonly events: readonly PlanEvent[];
  readonly requeueMs: number;
}

/** A change of a Kubernetes object that disturbs no pod; each may fail without the others. */
export type Step =
  | {
      readonly kind: 'apply';
      readonly key: string;
      readonly manifest: Manifest;
      readonly hash: string;
    }
  /** An object of ours that the spec has turned off. */
  | { readonly kind: 'delete'; readonly key: string; readonly uid: string }
  /** A StatefulSet with a field that cannot change goes and leaves its pods; the next pass applies it. */
  | { readonly kind: 'recreate'; readonly key: string; readonly uid: string }
  /** Makes the claim go with the cluster, or stay. */
  | {
      readonly kind: 'own-claim';
      readonly claim: string;
      readonly uid: string;
      readonly owned: boolean;
    };

export type AdminCall =
  | {
      readonly kind: 'bootstrap';
      readonly pod: string;
      readonly clusterId: string;
      readonly members: readonly {
        readonly nodeId: number;
        readonly name: string;
        readonly address: string;
      }[];
    }
  | {
      readonly kind: 'zone';
      readonly volume: string;
      readonly disk: number;
      readonly zone: string;
    };

export interface PodDelete {
  readonly pod: string;
  readonly uid: string;
  readonly rv: string;
}

/** The one thing of a pass that takes something away which works. */
export type Action =
  | ({ readonly kind: 'evict'; readonly role: Role; readonly outdated: number } & PodDelete)
  | {
      readonly kind: 'transfer';
      readonly from: string;
      readonly to: string;
      readonly toNodeId: number;
      readonly expectedTerm: number;
    };

/** What the identity manager owns; absent fields stay as they are. */
export interface IdentityIntent {
  /** null: to be minted. */
  readonly clusterId: string | null;
  readonly origin: 'New' | 'Adopted';
  readonly bootstrapped: boolean;
}

export type TimedCondition = ConditionFinding & { readonly sinceMs: number };

export type StatusIntent = Omit<
  ClusterStatus,
  'clusterID' | 'origin' | 'bootstrapped' | 'conditions'
> & { readonly conditions: readonly TimedCondition[] };

export interface PlanEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}
