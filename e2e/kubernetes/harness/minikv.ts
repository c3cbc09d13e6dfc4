/** A whole minikv in a story's namespace: an operator for this namespace alone, and clusters. */
import type { V1Pod } from '@kubernetes/client-node';
import { OPERATOR_CHART } from '../../charts/render.ts';
import { CLUSTER_DEFINITION, untilEstablished } from './definitions.ts';
import { MINIKV_IMAGE } from './image.ts';
import { helm, kubectl } from './kubectl.ts';
import type { Namespace } from './namespace.ts';
import { readPath } from './reader.ts';

const CRD_FILE = 'crds/minikv.io_minikvclusters.yaml';
const INSTALL_MS = 120_000;
/** From images present to Ready, as the product promises. */
export const READY_MS = 60_000;

/** What a story reads of a MiniKVCluster. */
export interface ClusterObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly generation: number };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly observedGeneration?: number;
    readonly phase?: string;
    readonly clusterID?: string;
    readonly origin?: string;
    readonly bootstrapped?: boolean;
    readonly leader?: string;
    readonly version?: string;
    readonly image?: string;
    readonly coordinators?: RoleStatus & {
      readonly members?: readonly {
        readonly name: string;
        readonly role: string;
        readonly healthy: boolean;
      }[];
    };
    readonly volumes?: RoleStatus & { readonly members?: readonly { readonly state: string }[] };
    readonly conditions?: readonly Condition[];
  };
}

interface RoleStatus {
  readonly ready?: number;
  readonly updated?: number;
}

/** What a story reads of `GET /admin/cluster`. */
export interface ClusterView {
  readonly leader: { readonly name: string };
  readonly members: readonly { readonly name: string; readonly nodeId: number }[];
  readonly volumes: readonly {
    readonly name: string;
    readonly disk: number;
    readonly live: boolean;
  }[];
  readonly data: { readonly underReplicated: number; readonly lost: number };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** Installs the operator's chart for this namespace alone, and waits for both its pods. */
export async function installOperator(
  namespace: Namespace,
  values: readonly string[] = [],
): Promise<void> {
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', CRD_FILE]);
  await untilEstablished(CLUSTER_DEFINITION);
  const sets = [`watchNamespaces={${namespace.name}}`, 'crds.install=false', 'rights.users=false'];
  const args = ['upgrade', '--install', 'minikv-operator', OPERATOR_CHART, '--wait'];
  const all = [...sets, ...values].flatMap((value) => ['--set', value]);
  await helm([...args, '--namespace', namespace.name, ...all], { timeoutMs: INSTALL_MS });
}

/** The smallest cluster, with more of `spec` where a story wants it. */
export const clusterObject = (name: string, spec: object = {}): object => ({
  apiVersion: 'minikv.io/v1alpha1',
  kind: 'MiniKVCluster',
  metadata: { name },
  spec: { image: MINIKV_IMAGE, ...spec },
});

/** One cluster of a story, by its name. */
export class MinikvCluster {
  readonly name: string;
  readonly #namespace: Namespace;

  constructor(namespace: Namespace, name: string) {
    this.#namespace = namespace;
    this.name = name;
  }

  get(): Promise<ClusterObject> {
    return this.#namespace.get<ClusterObject>('minikvcluster', this.name);
  }

  /** A merge patch of `spec`. */
  async change(spec: object): Promise<void> {
    const patch = JSON.stringify({ spec });
    await this.#namespace.kubectl(['patch', 'mkv', this.name, '--type=merge', '-p', patch]);
  }

  /** Waits for a condition to be True. */
  condition(type: string, timeoutMs = READY_MS): Promise<void> {
    return this.#namespace.condition(`mkv/${this.name}`, type, timeoutMs);
  }

  /** How it is with one condition now, as `True BrokenPod`; empty before the operator has said it. */
  async said(type: string): Promise<string> {
    const { status } = await this.get();
    const found = status?.conditions?.find((condition) => condition.type === type);
    return found === undefined ? '' : `${found.status} ${found.reason}`;
  }

  /** Waits until the operator says that the present spec is in force and that all is well. */
  async runs(timeoutMs = READY_MS): Promise<void> {
    await this.#namespace.waitFor(`${this.name} to be Running`, timeoutMs, async () => {
      const { metadata, status } = await this.get();
      return status?.observedGeneration === metadata.generation && status.phase === 'Running';
    });
  }

  async pods(role: 'coordinator' | 'volume'): Promise<readonly V1Pod[]> {
    const labels = `app.kubernetes.io/instance=${this.name},app.kubernetes.io/component=${role}`;
    return this.#namespace.list<V1Pod>('pod', labels);
  }

  /** The cluster as its leader knows it. @throws Error while there is none. */
  async view(): Promise<ClusterView> {
    const service = `/api/v1/namespaces/${this.#namespace.name}/services/${this.name}:http`;
    return await readPath<ClusterView>(`${service}/proxy/admin/cluster`);
  }

  /** What stays the same whatever happens to pods. */
  async identities(): Promise<unknown> {
    const { members, volumes } = await this.view();
    return {
      clusterID: (await this.get()).status?.clusterID,
      nodes: Object.fromEntries(members.map(({ name, nodeId }) => [name, nodeId])),
      disks: Object.fromEntries(volumes.map(({ name, disk }) => [name, disk])),
    };
  }

  /** Waits until that many pods of each role are ready and every value has all its copies. */
  async settled(coordinators: number, volumes: number, timeoutMs: number): Promise<void> {
    const what = `${coordinators} coordinators and ${volumes} volumes, and all copies`;
    await this.#namespace.waitFor(what, timeoutMs, async () => {
      const roles = [await this.pods('coordinator'), await this.pods('volume')];
      const ready = roles.map((pods) => pods.filter(isReady).length);
      if (ready[0] !== coordinators || ready[1] !== volumes) return false;
      const { data, volumes: disks } = await this.view();
      const live = disks.filter((disk) => disk.live).length;
      return live === volumes && data.underReplicated === 0 && data.lost === 0;
    });
  }
}

/** Whether a pod takes requests and is not on its way out. */
export function isReady({ metadata, status }: V1Pod): boolean {
  if (metadata?.deletionTimestamp !== undefined) return false;
  const conditions = status?.conditions ?? [];
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}
