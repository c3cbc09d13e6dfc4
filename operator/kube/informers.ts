/**
 * One view of several kinds over the namespaces that are watched: a reflector for each kind and namespace,
 * or for each kind over all namespaces.
 */
import { type Change, Reflector, type ReflectorComponents } from './reflector.ts';
import type { Kind, KubeObject, ObjectKey } from './types.ts';

export interface WatchedKind {
  readonly kind: Kind;
  readonly labelSelector?: string;
}

export interface InformersOptions {
  readonly kinds: readonly WatchedKind[];
  /** Empty: all. */
  readonly namespaces: readonly string[];
}

export interface InformersComponents extends Omit<ReflectorComponents, 'onChange'> {
  readonly onChange: (kind: Kind, change: Change) => void;
}

export class Informers {
  readonly #reflectors = new Map<Kind, ReadonlyMap<string, Reflector>>();
  readonly #namespaces: readonly string[];

  constructor(parts: InformersComponents, { kinds, namespaces }: InformersOptions) {
    this.#namespaces = namespaces.length > 0 ? namespaces : [ALL];
    for (const { kind, ...selection } of kinds) {
      const onChange = (change: Change): void => parts.onChange(kind, change);
      const make = (namespace: Partial<ObjectKey>): Reflector =>
        new Reflector({ ...parts, onChange }, { kind, selection: { ...selection, ...namespace } });
      const own = namespaces.map((namespace) => [namespace, make({ namespace })] as const);
      this.#reflectors.set(kind, new Map(own.length > 0 ? own : [[ALL, make({})]]));
    }
    parts.metrics.sampleAges(() =>
      [...this.#reflectors].map(([kind, each]) => [kind.kind, oldest([...each.values()]) / 1000]),
    );
  }

  /** The object as last seen, or null; null means nothing before its namespace `hasSynced`. */
  get(kind: Kind, key: ObjectKey): KubeObject | null {
    return this.#reflector(kind, key.namespace ?? ALL)?.store.get(key) ?? null;
  }

  list(kind: Kind, namespace: string): readonly KubeObject[] {
    return this.#reflector(kind, namespace)?.store.list(namespace) ?? [];
  }

  /** All objects of a kind in the namespaces that are watched. */
  all(kind: Kind): readonly KubeObject[] {
    return [...(this.#reflectors.get(kind)?.values() ?? [])].flatMap(({ store }) => store.list());
  }

  /** Whether all kinds have been filled of what is in the namespace. */
  hasSynced(namespace: string): boolean {
    return this.#of(namespace).every((reflector) => reflector?.hasSynced === true);
  }

  /**
   * Whether no namespace is still to come: each is filled or refused, and there is one to work in. A
   * namespace that was deleted, or its rights, must not hold up the others.
   */
  get isReady(): boolean {
    const synced = this.#namespaces.filter((namespace) => this.hasSynced(namespace));
    return synced.length > 0 && synced.length + this.refused.length === this.#namespaces.length;
  }

  /** Watched namespaces of which some kind was never filled, since the server refuses its list. */
  get refused(): readonly string[] {
    return this.#namespaces.filter((namespace) =>
      this.#of(namespace).some((reflector) => reflector?.isRefused === true),
    );
  }

  /** How long the most idle of all watches has neither heard nor asked, in milliseconds. */
  get idleMs(): number {
    return Math.max(0, ...this.#all().map(({ idleMs }) => idleMs));
  }

  start(): void {
    for (const reflector of this.#all()) reflector.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((reflector) => reflector.stop()));
  }

  #reflector(kind: Kind, namespace: string): Reflector | undefined {
    const each = this.#reflectors.get(kind);
    return each?.get(namespace) ?? each?.get(ALL);
  }

  #of(namespace: string): readonly (Reflector | undefined)[] {
    return [...this.#reflectors.keys()].map((kind) => this.#reflector(kind, namespace));
  }

  #all(): readonly Reflector[] {
    return [...this.#reflectors.values()].flatMap((each) => [...each.values()]);
  }
}

/** Stands for all namespaces; no namespace is called so. */
const ALL = '';

const oldest = (reflectors: readonly Reflector[]): number =>
  Math.max(0, ...reflectors.map(({ silentMs }) => silentMs));
