/** Looks once at everything that a plan needs, and makes a snapshot of it. */

import type { Clock } from '../../services/common/clock.ts';
import type { Answers, ClusterAdmin, Target } from '../admin/types.ts';
import type { MiniKVCluster } from '../api/cluster.ts';
import type { Role } from '../api/names.ts';
import { roleName } from '../api/names.ts';
import { type ObjectPlace, placesOf } from '../desired/build.ts';
import { PORTS, ROLES } from '../desired/names.ts';
import { fieldOf, textOf } from '../kube/json.ts';
import { KINDS, kindOf } from '../kube/kinds.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { Call, Kind, Kube, KubeObject, ObjectKey } from '../kube/types.ts';
import { namesOf } from '../plan/pods.ts';
import type { ForeignObject, Known, LiveObject, PodFacts, Snapshot } from '../plan/types.ts';
import {
  type Belonging,
  belongingOf,
  budgetFacts,
  claimFacts,
  controllerOf,
  podFacts,
  setFacts,
  statusFacts,
} from './facts.ts';
import type { ClusterMemory } from './memory.ts';
import { isWatched, type View } from './view.ts';

export interface ObserverComponents {
  readonly kube: Kube;
  readonly admin: ClusterAdmin;
  readonly clock: Clock;
}

export interface ObserverOptions {
  readonly adminNamespaces: readonly string[];
}

/** One cluster, where it is read from and what is remembered of it. */
export interface Looked {
  readonly cr: MiniKVCluster;
  readonly view: View;
  readonly memory: ClusterMemory;
  readonly call: Call;
}

export class Observer {
  readonly #parts: ObserverComponents;
  readonly #options: ObserverOptions;

  constructor(parts: ObserverComponents, options: ObserverOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  async look(looked: Looked): Promise<Snapshot> {
    const { cr, view, memory, call } = looked;
    const { name, namespace = '', uid = '' } = cr.metadata;
    const [objects, podObjects, claimObjects, kinds] = await Promise.all([
      this.#objects(looked),
      view.list(KINDS.pod, namespace),
      view.list(KINDS.claim, namespace),
      this.#kinds(cr, call),
    ]);
    const pods = present(podObjects.map((pod) => podFacts(name, pod)));
    const status = statusFacts(cr.status);
    const answers = await this.#parts.admin.read(
      {
        coordinators: targetsOf(pods, 'coordinator'),
        volumes: targetsOf(pods, 'volume'),
        clusterId: status.clusterId,
      },
      call.signal,
    );
    const own = objects.filter(({ belonging }) => belonging === 'ours');
    const sts = setsOf(name, own);
    const nowMs = this.#parts.clock.wallMs();
    const zones = await this.#zones(looked, pods);
    const snapshot = {
      nowMs,
      cr: {
        name,
        namespace,
        uid,
        generation: cr.metadata.generation ?? 0,
        deleting: cr.metadata.deletionTimestamp !== undefined,
        spec: cr.spec,
        status,
      },
      op: { adminNamespaces: this.#options.adminNamespaces, kinds },
      sts,
      pods,
      claims: present(claimObjects.map((claim) => claimFacts(cr, claim))),
      pdb: budgetsOf(name, own),
      applied: memory.applied(),
      live: Object.fromEntries(own.map(({ key, object }) => [key, liveOf(object)])),
      foreign: [
        ...present(objects.map((found) => foreignOf(cr, found))),
        ...foreignPods(name, podObjects, sts),
      ],
      zones,
      ...byPod(answers),
      open: memory.open,
      transferRefusedMs: memory.transferRefusedMs,
    };
    return { ...snapshot, absentSinceMs: memory.absentSince(absentIn(snapshot), nowMs) };
  }

  /** Every object of our names that is there. */
  async #objects(looked: Looked): Promise<readonly Found[]> {
    const places = placesOf(looked.cr.metadata.name);
    const found = await Promise.all(places.map((place) => this.#object(looked, place)));
    return present(found);
  }

  async #object({ cr, view, memory, call }: Looked, place: ObjectPlace): Promise<Found | null> {
    const key = `${place.kind}/${place.name}`;
    const kind = kindOf(place);
    const at = { namespace: cr.metadata.namespace ?? '', name: place.name };
    const cached = isWatched(kind) ? await view.get(kind, at) : null;
    const isSought = cached === null && this.#mustSeek(cr, memory, { kind, key });
    const read = isSought ? await this.#seek(kind, at, call) : cached;
    const object = memory.freshest(key, read);
    const belonging = object === null ? null : belongingOf(object, cr);
    if (isSought && belonging !== 'ours') memory.noteSought(key, cr.metadata.generation ?? 0);
    return object === null || belonging === null ? null : { key, kind, object, belonging };
  }

  /**
   * A name that the cache does not have may be taken by an object without our labels, which an apply would
   * take over; and monitoring has no cache, so it is read each time. What is not wanted is looked for, for
   * each spec, until it has once been seen not to be there: what is ours goes, though its deletion may fail.
   */
  #mustSeek(
    { spec, metadata }: MiniKVCluster,
    memory: ClusterMemory,
    { kind, key }: { readonly kind: Kind; readonly key: string },
  ): boolean {
    return wantsKind(spec, kind) || !memory.wasSought(key, metadata.generation ?? 0);
  }

  /**
   * The kinds of monitoring are optional twice over. Where there is no such kind it is not asked for: the
   * right to it is then missing as a rule. Where that alone is missing, nothing was ever made by us either.
   */
  async #seek(kind: Kind, at: ObjectKey, call: Call): Promise<KubeObject | null> {
    const { kube } = this.#parts;
    if (!isWatched(kind) && !(await kube.serves(kind, call))) return null;
    try {
      return await kube.get(kind, at, call);
    } catch (thrown) {
      if (!isWatched(kind) && thrown instanceof KubeError && thrown.code === 403) return null;
      throw thrown;
    }
  }

  async #kinds({ spec }: MiniKVCluster, call: Call): Promise<Snapshot['op']['kinds']> {
    const { kube } = this.#parts;
    const { podMonitor, prometheusRule } = spec.monitoring;
    return {
      podMonitor: podMonitor && (await kube.serves(KINDS.podMonitor, call)),
      prometheusRule: prometheusRule && (await kube.serves(KINDS.prometheusRule, call)),
    };
  }

  async #zones(
    { cr, memory, call }: Looked,
    pods: readonly PodFacts[],
  ): Promise<Readonly<Record<string, Known<string>>>> {
    if (cr.spec.volumes.failureDomain !== 'Zone') return {};
    const nowMs = this.#parts.clock.wallMs();
    const nodes = new Set(
      present(pods.filter(({ role }) => role === 'volume').map(({ node }) => node)),
    );
    for (const node of nodes) {
      if (memory.zoneOf(node, nowMs) === null) {
        memory.noteZone(node, await this.#zone(node, call), nowMs);
      }
    }
    return Object.fromEntries(
      [...nodes].map((node) => [node, memory.zoneOf(node, nowMs) ?? 'unknown']),
    );
  }

  async #zone(node: string, call: Call): Promise<Known<string>> {
    try {
      const object = await this.#parts.kube.get(KINDS.node, { name: node }, call);
      return object?.metadata.labels?.['topology.kubernetes.io/zone'] ?? 'unknown';
    } catch {
      // Without the right to read nodes the zone stays unknown, and an event says so.
      return 'unknown';
    }
  }
}

function wantsKind({ networkPolicy, monitoring }: MiniKVCluster['spec'], kind: Kind): boolean {
  if (kind === KINDS.networkPolicy) return networkPolicy.enabled;
  if (kind === KINDS.podMonitor) return monitoring.podMonitor;
  return kind === KINDS.prometheusRule ? monitoring.prometheusRule : true;
}

interface Found {
  readonly key: string;
  readonly kind: Kind;
  readonly object: KubeObject;
  readonly belonging: Belonging;
}

/** What stands in the place of an object of ours; null: it is ours itself, or its name is not wanted. */
function foreignOf({ spec }: MiniKVCluster, { key, kind, belonging }: Found): ForeignObject | null {
  if (belonging === 'ours' || !wantsKind(spec, kind)) return null;
  return { key, leaves: belonging === 'leaving' };
}

const present = <T>(values: readonly (T | null)[]): readonly T[] =>
  values.filter((value) => value !== null);

export function targetOf(pod: PodFacts): Target {
  const host = pod.ip?.includes(':') === true ? `[${pod.ip}]` : pod.ip;
  const address = host === null ? null : `${host}:${PORTS[pod.role].admin}`;
  return { pod: pod.name, uid: pod.uid, address };
}

const targetsOf = (pods: readonly PodFacts[], role: Role): readonly Target[] =>
  pods.filter((pod) => pod.role === role).map((pod) => targetOf(pod));

const byPod = ({ coordinators, volumes, cluster }: Answers) => ({ coordinators, volumes, cluster });

const findOwn = (own: readonly Found[], key: string): KubeObject | undefined =>
  own.find((found) => found.key === key)?.object;

function setsOf(name: string, own: readonly Found[]): Snapshot['sts'] {
  const of = (role: Role): Snapshot['sts'][Role] => {
    const set = findOwn(own, `StatefulSet/${roleName(name, role)}`);
    return set === undefined ? null : setFacts(set);
  };
  return { coordinator: of('coordinator'), volume: of('volume') };
}

function budgetsOf(name: string, own: readonly Found[]): Snapshot['pdb'] {
  const of = (role: Role): Snapshot['pdb'][Role] => {
    const pdb = findOwn(own, `PodDisruptionBudget/${roleName(name, role)}`);
    return pdb === undefined ? null : budgetFacts(pdb);
  };
  return { coordinator: of('coordinator'), volume: of('volume') };
}

const liveOf = (object: KubeObject): LiveObject => ({
  uid: object.metadata.uid ?? '',
  rv: textOf(fieldOf(object, 'metadata', 'resourceVersion')),
  content: object,
});

/** Pods of our names that belong to a StatefulSet that was there before. */
const foreignPods = (
  name: string,
  pods: readonly KubeObject[],
  sts: Snapshot['sts'],
): readonly ForeignObject[] =>
  pods
    .filter((pod) => {
      const role = podFacts(name, pod)?.role;
      const controller = controllerOf(pod);
      return role !== undefined && controller !== null && controller !== sts[role]?.uid;
    })
    .map((pod) => ({ key: `Pod/${pod.metadata.name}`, leaves: true }));

function absentIn(s: Omit<Snapshot, 'absentSinceMs'>): readonly string[] {
  const whole = { ...s, absentSinceMs: {} };
  const names = ROLES.flatMap((role) => namesOf(whole, role, s.sts[role]?.replicas ?? 0));
  return names.filter((name) => s.pods.find((pod) => pod.name === name)?.ready !== true);
}
