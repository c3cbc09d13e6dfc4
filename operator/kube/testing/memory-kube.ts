/**
 * An API server in memory: the port's second body, passing the same conformance suite as the real one.
 * Nothing in it moves by itself: garbage is collected, bookmarks are sent and history is forgotten only
 * when a test says so, and time is the test's clock. Every answer is a copy.
 */
import { type Clock, withDeadline } from '../../../services/common/clock.ts';
import { SECOND_MS } from '../../../services/common/units.ts';
import { KINDS } from '../kinds.ts';
import { DEADLINE_EXCEEDED, KubeError, NO_ANSWER } from '../kube-error.ts';
import { keyOf } from '../object.ts';
import type {
  ApplyOptions,
  Call,
  DeleteOptions,
  Kind,
  Kube,
  KubeObject,
  ListOptions,
  ObjectKey,
  Page,
  Preconditions,
  Selection,
  WatchEvent,
  WatchOptions,
} from '../types.ts';
import { evictPod } from './eviction.ts';
import { clone, type Json } from './field-set.ts';
import { MemoryStore, type Writer } from './memory-store.ts';
import { matches } from './selectors.ts';
import { type Change, WatchHub } from './watch-hub.ts';

const VERBS = {
  get: 'read',
  list: 'read',
  watch: 'read',
  discover: 'read',
  apply: 'write',
  create: 'write',
  update: 'write',
  delete: 'write',
  evict: 'write',
} as const;
export type Verb = keyof typeof VERBS;

/** One call, as a test sees it. */
export interface SeenCall {
  readonly verb: Verb;
  /** `pods`, `minikvclusters/status`. */
  readonly resource: string;
  readonly namespace: string;
  /** Empty for calls on collections. */
  readonly name: string;
}

/**
 * Looks at each call before it is carried out. It may throw what the call shall fail with, wait, or
 * answer `lose-answer`: then the call takes effect and its caller never hears of it.
 */
export type Intercept = (call: SeenCall) => undefined | 'lose-answer' | Promise<undefined>;

const DEADLINE_MS = 10 * SECOND_MS;

export class MemoryKube implements Kube {
  /** All calls so far, oldest first. */
  readonly calls: SeenCall[] = [];
  intercept: Intercept | null = null;
  /** What the server knows by discovery; take one out to have it answer 404. */
  readonly served = new Set<Kind>(Object.values(KINDS));
  readonly #clock: Clock;
  readonly #store: MemoryStore;
  readonly #watches: WatchHub;
  readonly #pages = new Map<string, readonly KubeObject[]>();
  #pageCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    const publish = (change: Change): void => this.#watches.publish(change);
    this.#store = new MemoryStore(clock, publish);
    this.#watches = new WatchHub(clock, { since: this.#store.resourceVersion });
  }

  /** Calls so far that were meant to change something. */
  get writes(): readonly SeenCall[] {
    return this.calls.filter(({ verb }) => VERBS[verb] === 'write');
  }

  get(kind: Kind, key: ObjectKey, options: Call): Promise<KubeObject | null> {
    return this.#call({ verb: 'get', kind, key }, options, () => this.read(kind, key));
  }

  list(kind: Kind, options: ListOptions): Promise<Page> {
    const key = { namespace: options.namespace ?? '', name: '' };
    return this.#call({ verb: 'list', kind, key }, options, () => {
      const { continueFrom, limit = Number.POSITIVE_INFINITY } = options;
      const version = continueFrom?.split(':')[0] ?? this.#store.resourceVersion;
      const all =
        continueFrom === undefined ? this.all(kind, options) : this.#pages.get(continueFrom);
      if (all === undefined) throw expired('The provided continue parameter is too old');
      const rest = all.slice(limit);
      if (rest.length === 0) return { items: all, resourceVersion: version, next: null };
      this.#pageCount += 1;
      const next = `${version}:${this.#pageCount}`;
      this.#pages.set(next, rest);
      return { items: all.slice(0, limit), resourceVersion: version, next };
    });
  }

  async *watch(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const key = { namespace: options.namespace ?? '', name: '' };
    const stream = await this.#call({ verb: 'watch', kind, key }, options, () =>
      this.#watches.open(kind, options),
    );
    yield* stream;
  }

  apply(kind: Kind, object: KubeObject, options: ApplyOptions): Promise<KubeObject> {
    const { manager, force = false, dryRun = false } = options;
    const subresource = options.subresource ?? '';
    const writer = { manager: `Apply:${manager}:${subresource}`, subresource };
    return this.#call({ verb: 'apply', kind, key: keyOf(object), subresource }, options, () =>
      this.#store.apply(kind, object, { ...writer, force, dryRun }),
    );
  }

  create(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject> {
    return this.#call({ verb: 'create', kind, key: keyOf(object) }, options, () =>
      this.#store.create(kind, object, UPDATER),
    );
  }

  replace(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject> {
    return this.#call({ verb: 'update', kind, key: keyOf(object) }, options, () =>
      this.#store.replace(kind, object, UPDATER),
    );
  }

  delete(kind: Kind, key: ObjectKey, options: DeleteOptions): Promise<void> {
    return this.#call({ verb: 'delete', kind, key }, options, () =>
      this.#store.delete(kind, key, options),
    );
  }

  evict(pod: ObjectKey, options: Preconditions & Call): Promise<void> {
    const call = { verb: 'evict', kind: KINDS.pod, key: pod, subresource: 'eviction' } as const;
    return this.#call(call, options, () => evictPod(this.#store, pod, options));
  }

  serves(kind: Kind, options: Call): Promise<boolean> {
    const key = { namespace: '', name: '' };
    return this.#call({ verb: 'discover', kind: null, key }, options, () => this.served.has(kind));
  }

  // What follows is not part of the port: a test's hands, and those of the controllers it drives.

  read(kind: Kind, key: ObjectKey): KubeObject | null {
    return this.#store.read(kind, key);
  }

  all(kind: Kind, selection: Selection = {}): readonly KubeObject[] {
    return this.#store.all(kind).filter((object) => matches(selection, object));
  }

  /** Stores what `change` makes of the object, as somebody else (`kubectl-edit` if not said). */
  edit(
    kind: Kind,
    key: ObjectKey,
    change: (object: Json) => void,
    options: { manager?: string; subresource?: 'status' } = {},
  ): KubeObject {
    const draft = clone(this.#store.mustRead(kind, key)) as Json;
    change(draft);
    const { manager = 'kubectl-edit', subresource = '' } = options;
    const writer = { manager: `Update:${manager}:${subresource}`, subresource };
    return this.#store.replace(kind, draft as unknown as KubeObject, writer);
  }

  /** Makes an object as somebody else. */
  put(kind: Kind, object: KubeObject, manager = 'kubectl-create'): KubeObject {
    return this.#store.create(kind, object, { manager: `Update:${manager}:`, subresource: '' });
  }

  /** Takes the object away at once, as the end of a grace period does. */
  remove(kind: Kind, key: ObjectKey): void {
    this.#store.remove(kind, key);
  }

  /** A plain deletion by somebody else. */
  drop(kind: Kind, key: ObjectKey): void {
    this.#store.delete(kind, key, { propagation: 'Background' });
  }

  /** Nothing can be made in the namespace any more; `collectGarbage` empties it. */
  terminateNamespace(name: string): void {
    this.#store.terminating.add(name);
  }

  /** One pass of the garbage collector, to its end. Answers how many objects it changed. */
  collectGarbage(): number {
    return this.#store.collectGarbage();
  }

  /** Tells all watchers how far the server is. */
  sendBookmarks(): void {
    this.#watches.bookmark(this.#store.resourceVersion);
  }

  /** Forgets all history: a watch or a page from before now is answered 410. */
  compact(): void {
    this.#pages.clear();
    this.#watches.compact(this.#store.resourceVersion);
  }

  /** Ends all open watches: orderly, or with an error. */
  endWatches(error: KubeError | null = null): void {
    this.#watches.end(error);
  }

  /** Open watches stay open and say nothing any more, like a connection whose other end is gone. */
  silenceWatches(): void {
    this.#watches.silence();
  }

  get watchCount(): number {
    return this.#watches.count;
  }

  async #call<T>(call: Called, options: Call, answer: () => T): Promise<T> {
    const { verb, kind, key, subresource = '' } = call;
    options.signal.throwIfAborted();
    const plural = kind === null ? '' : kind.plural;
    const resource = subresource === '' ? plural : `${plural}/${subresource}`;
    const seen = { verb, resource, namespace: key.namespace ?? '', name: key.name };
    this.calls.push(seen);
    const { deadlineMs = DEADLINE_MS } = options;
    const late = (): KubeError =>
      new KubeError({ code: 0, reason: DEADLINE_EXCEEDED, message: `${verb} ${resource}: late` });
    const verdict = await withDeadline(this.#clock, this.#intercepted(seen), deadlineMs, late);
    options.signal.throwIfAborted();
    if (kind !== null && !this.served.has(kind)) {
      throw new KubeError({ code: 404, reason: 'NotFound', message: '404 page not found' });
    }
    const value = answer();
    if (verdict !== 'lose-answer') return value;
    throw new KubeError({ code: 0, reason: NO_ANSWER, message: `${verb} ${resource}: lost` });
  }

  async #intercepted(call: SeenCall): Promise<'lose-answer' | undefined> {
    return this.intercept?.(call);
  }
}

interface Called {
  readonly verb: Verb;
  readonly kind: Kind | null;
  readonly key: ObjectKey;
  readonly subresource?: string;
}

/** The operator's own plain writes. */
const UPDATER: Writer = { manager: 'Update:minikv-operator:', subresource: '' };

const expired = (message: string): KubeError =>
  new KubeError({ code: 410, reason: 'Expired', message });
