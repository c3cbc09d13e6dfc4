/**
 * Scheduler, kubelets and the binder of claims by hand. One `step` takes every pod as far as it gets; what
 * shall not work is said by the test in plain fields.
 */
import type { Clock } from '../../../services/common/clock.ts';
import { fieldOf, listOf, textOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { keyOf } from '../object.ts';
import type { KubeObject } from '../types.ts';
import type { Json } from './field-set.ts';
import type { MemoryKube } from './memory-kube.ts';

const KUBELET = { manager: 'kubelet', subresource: 'status' } as const;

export class FakeNodes {
  /** Names of nodes; pods go to them in turn by ordinal. */
  readonly names: readonly string[];
  /** Nodes without power: their pods stay as they are and are seen as not ready. */
  readonly down = new Set<string>();
  /** Images that cannot be pulled. */
  readonly missingImages = new Set<string>();
  /** Names of pods that no node takes, whose process never gets ready, that do not end. */
  readonly unschedulable = new Set<string>();
  readonly unready = new Set<string>();
  readonly lingering = new Set<string>();
  readonly #kube: MemoryKube;
  readonly #clock: Clock;
  #ips = 0;

  constructor(kube: MemoryKube, clock: Clock, names: readonly string[] = ['a', 'b', 'c']) {
    this.#kube = kube;
    this.#clock = clock;
    this.names = names;
    for (const name of names) {
      const zone = { 'topology.kubernetes.io/zone': `zone-${name}` };
      kube.put(KINDS.node, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: zone } });
    }
  }

  /** Binds claims, ends pods that are being deleted, schedules and runs the others. */
  step(): void {
    for (const claim of this.#kube.all(KINDS.claim)) {
      if (fieldOf(claim, 'status', 'phase') !== 'Bound') this.#bind(claim);
    }
    for (const pod of this.#kube.all(KINDS.pod)) {
      if (pod.metadata.deletionTimestamp !== undefined) this.#end(pod);
      else this.#run(this.#scheduled(pod));
    }
  }

  #bind(claim: KubeObject): void {
    this.#kube.edit(
      KINDS.claim,
      keyOf(claim),
      (object) => {
        object['status'] = { phase: 'Bound' };
      },
      { manager: 'kube-controller-manager', subresource: 'status' },
    );
  }

  #end(pod: KubeObject): void {
    if (this.down.has(nodeOf(pod)) || this.lingering.has(pod.metadata.name)) return;
    this.#kube.remove(KINDS.pod, keyOf(pod));
  }

  #scheduled(pod: KubeObject): KubeObject {
    const { name } = pod.metadata;
    if (nodeOf(pod) !== '') return pod;
    const isRefused = this.unschedulable.has(name);
    this.#condition(pod, 'PodScheduled', { isTrue: !isRefused, reason: 'Unschedulable' });
    if (isRefused) return pod;
    const ordinal = Number(/\d+$/.exec(name)?.[0] ?? 0);
    const up = this.names.filter((node) => !this.down.has(node));
    return this.#kube.edit(
      KINDS.pod,
      keyOf(pod),
      (object) => {
        (object['spec'] as Json)['nodeName'] = up[ordinal % up.length];
      },
      { manager: 'kube-scheduler' },
    );
  }

  #run(pod: KubeObject): void {
    const node = nodeOf(pod);
    if (node === '') return;
    if (this.down.has(node)) {
      this.#condition(pod, 'Ready', { isTrue: false, reason: 'NodeNotReady' });
      return;
    }
    const containers = listOf(fieldOf(pod, 'spec', 'containers'));
    const isMissing = containers.some((container) =>
      this.missingImages.has(textOf(fieldOf(container, 'image'))),
    );
    const isReady = !isMissing && !this.unready.has(pod.metadata.name);
    const state = isMissing
      ? { waiting: { reason: 'ImagePullBackOff' } }
      : { running: { startedAt: this.#now() } };
    if (fieldOf(pod, 'status', 'podIP') === undefined) this.#ips += 1;
    const ip = fieldOf(pod, 'status', 'podIP') ?? `10.0.${this.#ips >> 8}.${this.#ips & 255}`;
    const phase = isMissing ? 'Pending' : 'Running';
    const hasStarted = fieldOf(pod, 'status', 'containerStatuses') !== undefined;
    if (!hasStarted || fieldOf(pod, 'status', 'phase') !== phase) {
      this.#kube.edit(
        KINDS.pod,
        keyOf(pod),
        (object) => {
          object['status'] = {
            ...(object['status'] as Json | undefined),
            phase,
            podIP: ip,
            startTime: this.#now(),
            containerStatuses: containers.map((container) => ({
              name: fieldOf(container, 'name'),
              image: fieldOf(container, 'image'),
              ready: isReady,
              restartCount: 0,
              state,
            })),
          };
        },
        KUBELET,
      );
    }
    this.#condition(pod, 'Ready', { isTrue: isReady, reason: 'ContainersNotReady' });
  }

  #condition(pod: KubeObject, type: string, { isTrue, reason }: Verdict): void {
    const stored = this.#kube.read(KINDS.pod, keyOf(pod));
    const conditions = listOf(fieldOf(stored, 'status', 'conditions')) as Json[];
    const status = isTrue ? 'True' : 'False';
    const old = conditions.find((condition) => condition['type'] === type);
    if (old?.['status'] === status) return;
    const next = {
      type,
      status,
      lastTransitionTime: this.#now(),
      ...(isTrue ? {} : { reason }),
    };
    this.#kube.edit(
      KINDS.pod,
      keyOf(pod),
      (object) => {
        object['status'] = {
          phase: 'Pending',
          ...(object['status'] as Json | undefined),
          conditions: [...conditions.filter((condition) => condition['type'] !== type), next],
        };
      },
      KUBELET,
    );
  }

  #now(): string {
    return `${new Date(this.#clock.wallMs()).toISOString().slice(0, 19)}Z`;
  }
}

interface Verdict {
  readonly isTrue: boolean;
  readonly reason: string;
}

const nodeOf = (pod: KubeObject): string => textOf(fieldOf(pod, 'spec', 'nodeName'));
