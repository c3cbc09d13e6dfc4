/** The objects of a memory API server: what is stored, by which rules, and what a deletion leaves. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../services/common/clock.ts';
import { fieldOf, listOf, textOf } from '../json.ts';
import { KINDS } from '../kinds.ts';
import { KubeError } from '../kube-error.ts';
import { keyOf } from '../object.ts';
import type { Kind, KubeObject, ObjectKey, OwnerReference, Preconditions } from '../types.ts';
import { clone, type Json } from './field-set.ts';
import { hasGeneration, hasStatus, setDefaults, validate } from './object-rules.ts';
import { applyFields, type Owners, ownersAfterUpdate } from './ownership.ts';
import type { Change } from './watch-hub.ts';

interface Stored {
  readonly object: Json;
  readonly owners: Owners;
}

/** In whose name, and to which part of an object; `` is all but status. */
export interface Writer {
  readonly manager: string;
  readonly subresource: string;
}

interface Metadata extends Json {
  name: string;
  namespace?: string;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

const CLAIM_PROTECTION = 'kubernetes.io/pvc-protection';

export class MemoryStore {
  /** Namespaces that are going away. */
  readonly terminating = new Set<string>();
  readonly #clock: Clock;
  readonly #publish: (change: Change) => void;
  readonly #objects = new Map<Kind, Map<string, Stored>>();
  #version = 100;
  #uids = 0;

  constructor(clock: Clock, publish: (change: Change) => void) {
    this.#clock = clock;
    this.#publish = publish;
  }

  get resourceVersion(): string {
    return String(this.#version);
  }

  read(kind: Kind, key: ObjectKey): KubeObject | null {
    const stored = this.#of(kind).get(textOfKey(key));
    return stored === undefined ? null : copyOf(stored.object);
  }

  mustRead(kind: Kind, key: ObjectKey): KubeObject {
    const object = this.read(kind, key);
    if (object === null) throw notFound(kind, key);
    return object;
  }

  all(kind: Kind): KubeObject[] {
    const sorted = [...this.#of(kind)].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([, { object }]) => copyOf(object));
  }

  create(kind: Kind, object: KubeObject, writer: Writer): KubeObject {
    const key = keyOf(object);
    if (this.#of(kind).has(textOfKey(key))) {
      const message = `${kind.plural} "${key.name}" already exists`;
      throw new KubeError({ code: 409, reason: 'AlreadyExists', message });
    }
    const fresh = this.#fresh(kind, object);
    const owners = ownersAfterUpdate({ object: {}, owners: new Map() }, fresh, writer.manager);
    return this.#insert(kind, { object: fresh, owners });
  }

  replace(kind: Kind, object: KubeObject, writer: Writer): KubeObject {
    const key = keyOf(object);
    const old = this.#stored(kind, key);
    if (object.metadata.resourceVersion === undefined) {
      const message = 'metadata.resourceVersion: must be specified for an update';
      throw new KubeError({ code: 422, reason: 'Invalid', message });
    }
    checkVersions(old.object, object.metadata);
    const next = partOf(old.object, clone(object), writer.subresource);
    return this.#update(kind, old, {
      object: next,
      owners: ownersAfterUpdate(old, next, writer.manager),
    });
  }

  apply(
    kind: Kind,
    object: KubeObject,
    options: Writer & { readonly force: boolean; readonly dryRun: boolean },
  ): KubeObject {
    if (object.metadata['managedFields'] !== undefined) {
      const message = 'metadata.managedFields must be nil';
      throw new KubeError({ code: 400, reason: 'BadRequest', message });
    }
    const key = keyOf(object);
    const old = this.#of(kind).get(textOfKey(key));
    const intent = intentOf(object, options.subresource);
    if (old === undefined) {
      if (options.subresource !== '') throw notFound(kind, key);
      if (object.metadata.uid !== undefined)
        throw conflict(key.name, 'no existing object was found');
      const fresh = this.#fresh(kind, { ...intent, metadata: object.metadata } as KubeObject);
      const none = { object: {}, owners: new Map() };
      const { owners } = applyFields(none, intent, { ...options, force: true });
      return this.#insert(kind, { object: fresh, owners }, options.dryRun);
    }
    const { uid, resourceVersion } = object.metadata;
    if (uid !== undefined && uid !== metaOf(old.object)['uid']) throw immutable('metadata.uid');
    checkVersions(old.object, resourceVersion === undefined ? {} : { resourceVersion });
    return this.#update(kind, old, applyFields(old, intent, options), options.dryRun);
  }

  delete(
    kind: Kind,
    key: ObjectKey,
    options: Preconditions & { readonly propagation: 'Orphan' | 'Background' },
  ): void {
    const old = this.#stored(kind, key);
    checkVersions(old.object, options);
    const finalizers = new Set(metaOf(old.object).finalizers);
    if (options.propagation === 'Orphan') finalizers.add('orphan');
    const isRunning = kind === KINDS.pod && fieldOf(old.object, 'spec', 'nodeName') !== undefined;
    if (finalizers.size === 0 && !isRunning) this.remove(kind, key);
    else this.#mark(kind, old, [...finalizers]);
  }

  /** Takes the object away, whatever its finalizers say. */
  remove(kind: Kind, key: ObjectKey): void {
    const old = this.#stored(kind, key);
    this.#of(kind).delete(textOfKey(key));
    this.#version += 1;
    const last = clone(old.object);
    metaOf(last)['resourceVersion'] = this.resourceVersion;
    this.#tell(kind, old.object, { after: last, isRemoval: true });
  }

  /**
   * One run of the garbage collector, repeated until it finds nothing: orphans lose the owner that asked
   * for it, objects whose owners are all gone are deleted, terminating namespaces are emptied, and claims
   * that no pod uses may go.
   */
  collectGarbage(): number {
    let changed = 0;
    for (let run = 0; run < 100; run += 1) {
      const found = this.#orphan() + this.#collect() + this.#releaseClaims();
      if (found === 0) return changed;
      changed += found;
    }
    throw new Error('the garbage collector never ends');
  }

  #orphan(): number {
    let changed = 0;
    for (const [kind, { object }] of this.#everything()) {
      const { finalizers = [], uid } = metaOf(object);
      if (!finalizers.includes('orphan')) continue;
      for (const [dependentKind, dependent] of this.#everything()) {
        const owners = metaOf(dependent.object).ownerReferences ?? [];
        if (!owners.some((owner) => owner.uid === uid)) continue;
        this.#rewrite(dependentKind, dependent, (meta) => {
          meta.ownerReferences = owners.filter((owner) => owner.uid !== uid);
        });
      }
      this.#finalized(kind, keyOf(copyOf(object)), 'orphan');
      changed += 1;
    }
    return changed;
  }

  #collect(): number {
    const uids = new Set(this.#everything().map(([, { object }]) => metaOf(object)['uid']));
    let changed = 0;
    for (const [kind, { object }] of this.#everything()) {
      const { ownerReferences: owners = [], namespace = '' } = metaOf(object);
      if (metaOf(object)['deletionTimestamp'] !== undefined) continue;
      const isLeft = owners.length > 0 && owners.every(({ uid }) => !uids.has(uid));
      if (!isLeft && !this.terminating.has(namespace)) continue;
      this.delete(kind, keyOf(copyOf(object)), { propagation: 'Background' });
      changed += 1;
    }
    return changed;
  }

  #releaseClaims(): number {
    const used = new Set(
      this.all(KINDS.pod).flatMap(({ spec, metadata }) =>
        listOf(fieldOf(spec, 'volumes')).map((volume) => {
          const name = textOf(fieldOf(volume, 'persistentVolumeClaim', 'claimName'));
          return textOfKey({ namespace: metadata.namespace ?? '', name });
        }),
      ),
    );
    let changed = 0;
    for (const claim of this.all(KINDS.claim)) {
      const key = keyOf(claim);
      const isGoing = claim.metadata.deletionTimestamp !== undefined;
      if (!isGoing || used.has(textOfKey(key))) continue;
      if (claim.metadata.finalizers?.includes(CLAIM_PROTECTION) !== true) continue;
      this.#finalized(KINDS.claim, key, CLAIM_PROTECTION);
      changed += 1;
    }
    return changed;
  }

  #finalized(kind: Kind, key: ObjectKey, finalizer: string): void {
    const old = this.#stored(kind, key);
    const left = (metaOf(old.object).finalizers ?? []).filter((name) => name !== finalizer);
    this.#rewrite(kind, old, (meta) => {
      meta.finalizers = left;
    });
  }

  /** A deletion that waits for finalizers or a grace period. */
  #mark(kind: Kind, old: Stored, finalizers: readonly string[]): void {
    this.#rewrite(kind, old, (meta) => {
      if (finalizers.length > 0) meta.finalizers = [...finalizers];
      meta['deletionTimestamp'] ??= this.#now();
      if (kind === KINDS.pod) meta['deletionGracePeriodSeconds'] = 30;
      else if (hasGeneration(kind.kind)) meta['generation'] = Number(meta['generation']) + 1;
    });
  }

  #rewrite(kind: Kind, old: Stored, change: (meta: Metadata) => void): void {
    const object = clone(old.object);
    change(metaOf(object));
    this.#update(kind, old, { object, owners: old.owners });
  }

  /** The object as it is stored first. */
  #fresh(kind: Kind, object: KubeObject): Json {
    const { namespace = '' } = object.metadata;
    if (this.terminating.has(namespace)) throw namespaceTerminating(object);
    const fresh = clone(object) as Json;
    if (hasStatus(kind.kind)) Reflect.deleteProperty(fresh, 'status');
    this.#uids += 1;
    const meta = metaOf(fresh);
    meta['uid'] = `00000000-0000-4000-8000-${this.#uids.toString(16).padStart(12, '0')}`;
    meta['creationTimestamp'] = this.#now();
    if (hasGeneration(kind.kind)) meta['generation'] = 1;
    if (kind === KINDS.claim) meta.finalizers = [CLAIM_PROTECTION];
    return fresh;
  }

  #insert(kind: Kind, stored: Stored, isDryRun = false): KubeObject {
    validate(stored.object, null);
    return this.#save(kind, null, stored, isDryRun);
  }

  #update(kind: Kind, old: Stored, next: Stored, isDryRun = false): KubeObject {
    setDefaults(next.object);
    validate(next.object, old.object);
    if (hasGeneration(kind.kind) && !isDeepStrictEqual(specOf(old.object), specOf(next.object))) {
      metaOf(next.object)['generation'] = Number(metaOf(old.object)['generation']) + 1;
    }
    if (isDeepStrictEqual(old.object, next.object)) {
      if (!isDryRun) this.#of(kind).set(textOfKey(keyOf(copyOf(old.object))), next);
      return copyOf(old.object);
    }
    const saved = this.#save(kind, old, next, isDryRun);
    const { deletionTimestamp, finalizers = [] } = saved.metadata;
    const hadFinalizer = (metaOf(old.object).finalizers ?? []).length > 0;
    const isFinalized = deletionTimestamp !== undefined && hadFinalizer && finalizers.length === 0;
    if (isFinalized && !isDryRun) this.remove(kind, keyOf(saved));
    return saved;
  }

  #save(kind: Kind, old: Stored | null, next: Stored, isDryRun: boolean): KubeObject {
    setDefaults(next.object);
    if (isDryRun) return copyOf(next.object);
    this.#version += 1;
    const meta = metaOf(next.object);
    meta['resourceVersion'] = this.resourceVersion;
    meta['managedFields'] = [...next.owners.keys()].map((owner) => {
      const [operation, manager, subresource] = owner.split(':');
      return { operation, manager, ...(subresource === '' ? {} : { subresource }) };
    });
    this.#of(kind).set(textOfKey(keyOf(copyOf(next.object))), next);
    this.#tell(kind, old?.object ?? null, { after: next.object, isRemoval: false });
    return copyOf(next.object);
  }

  #tell(kind: Kind, before: Json | null, change: { after: Json; isRemoval: boolean }): void {
    this.#publish({
      kind,
      before: before === null ? null : copyOf(before),
      after: copyOf(change.after),
      isRemoval: change.isRemoval,
      version: this.#version,
    });
  }

  #everything(): [Kind, Stored][] {
    return [...this.#objects].flatMap(([kind, objects]) =>
      [...objects.values()].map((stored): [Kind, Stored] => [kind, stored]),
    );
  }

  #of(kind: Kind): Map<string, Stored> {
    const objects = this.#objects.get(kind) ?? new Map<string, Stored>();
    this.#objects.set(kind, objects);
    return objects;
  }

  #stored(kind: Kind, key: ObjectKey): Stored {
    const stored = this.#of(kind).get(textOfKey(key));
    if (stored === undefined) throw notFound(kind, key);
    return stored;
  }

  #now(): string {
    return `${new Date(this.#clock.wallMs()).toISOString().slice(0, 19)}Z`;
  }
}

const textOfKey = ({ namespace = '', name }: ObjectKey): string => `${namespace}/${name}`;
const metaOf = (object: Json): Metadata => object['metadata'] as Metadata;
const copyOf = (object: Json): KubeObject => clone(object) as unknown as KubeObject;

function specOf(object: Json): Json {
  const { metadata: _metadata, status: _status, ...rest } = object;
  return rest;
}

/** `next` with what its writer may not touch taken from `old`: status, or all but status. */
function partOf(old: Json, next: Json, subresource: string): Json {
  const kept = metaOf(clone(old));
  if (subresource === 'status') return { ...clone(old), status: next['status'] };
  if (hasStatus(String(old['kind']))) {
    if (old['status'] === undefined) Reflect.deleteProperty(next, 'status');
    else next['status'] = clone(old['status']);
  }
  const meta = metaOf(next);
  const server = ['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'managedFields'];
  for (const name of [...server, 'deletionTimestamp', 'deletionGracePeriodSeconds']) {
    if (kept[name] === undefined) Reflect.deleteProperty(meta, name);
    else meta[name] = kept[name];
  }
  return next;
}

/** The part of an applied object that its writer may own. */
function intentOf(object: KubeObject, subresource: string): Json {
  const { apiVersion, kind, status, ...rest } = clone(object) as Json;
  const { labels, annotations, ownerReferences, finalizers } = object.metadata;
  if (subresource === 'status') return { apiVersion, kind, metadata: {}, status };
  const meta = { labels, annotations, ownerReferences, finalizers };
  const given = Object.entries(meta).filter(([, value]) => value !== undefined);
  const own = hasStatus(String(kind)) || status === undefined ? {} : { status };
  const metadata = clone(Object.fromEntries(given));
  return { ...rest, apiVersion, kind, metadata, ...own };
}

function checkVersions(old: Json, { uid, resourceVersion }: Preconditions): void {
  const { name, uid: oldUid, resourceVersion: oldVersion } = metaOf(old);
  const isSame =
    (uid === undefined || uid === oldUid) &&
    (resourceVersion === undefined || resourceVersion === oldVersion);
  if (isSame) return;
  throw conflict(name, 'the object has been modified');
}

function conflict(name: string, why: string): KubeError {
  const message = `Operation cannot be fulfilled on "${name}": ${why}`;
  return new KubeError({ code: 409, reason: 'Conflict', message });
}

function immutable(field: string): KubeError {
  const message = 'field is immutable';
  const causes = [{ reason: 'FieldValueInvalid', message, field }];
  return new KubeError({ code: 422, reason: 'Invalid', message: `${field}: ${message}`, causes });
}

const notFound = (kind: Kind, { name }: ObjectKey): KubeError =>
  new KubeError({ code: 404, reason: 'NotFound', message: `${kind.plural} "${name}" not found` });

function namespaceTerminating({ metadata: { namespace = '' } }: KubeObject): KubeError {
  const message = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const cause = { reason: 'NamespaceTerminating', message, field: 'metadata.namespace' };
  return new KubeError({ code: 403, reason: 'Forbidden', message, causes: [cause] });
}
