/**
 * The Kubernetes API as a port. `HttpKube` talks to a real API server, `MemoryKube` is one in memory;
 * both pass the same conformance suite. Calls answer what the server answered and never retry: what a
 * failure means is the caller's to judge, by `KubeError`.
 */

/** A kind of object, as it stands in paths: `/apis/apps/v1/namespaces/NS/statefulsets`. */
export interface Kind {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string;
  /** `StatefulSet`. */
  readonly kind: string;
  /** `statefulsets`. */
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Times are RFC 3339 text as the server sent them; nothing here is ever a Date. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly [field: string]: unknown;
}

/** Any object of the API; what lies beside its metadata is read by whoever knows the kind. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Where an object is; `namespace` is left out for kinds that have none. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}

/** What every call takes: who may stop it, and how long it may last (10 s if not said, evictions 20). */
export interface Call {
  readonly signal: AbortSignal;
  readonly deadlineMs?: number;
}

/** Which objects of a kind; without `namespace` those of all namespaces. */
export interface Selection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListOptions extends Selection, Call {
  /** Objects in one page; all if not said. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly continueFrom?: string;
}

export interface Page {
  readonly items: readonly KubeObject[];
  /** From here a watch goes on. The same on every page of one list. */
  readonly resourceVersion: string;
  /** null: this was the last page. */
  readonly next: string | null;
}

export interface WatchOptions extends Selection, Call {
  readonly resourceVersion: string;
  /** After this the server ends the stream by itself. */
  readonly timeoutSeconds: number;
}

/**
 * A change of one object, or a bookmark: nothing newer of this selection up to `resourceVersion`. A
 * deleted event carries the object's last state.
 */
export type WatchEvent =
  | { readonly kind: 'added' | 'modified' | 'deleted'; readonly object: KubeObject }
  | { readonly kind: 'bookmark'; readonly resourceVersion: string };

export interface ApplyOptions extends Call {
  /** Who owns the fields of the given object; those this manager owned before and left out go. */
  readonly manager: string;
  /** Take fields over from other managers instead of failing with a conflict. */
  readonly force?: boolean;
  readonly subresource?: 'status';
  /** Answer what would be stored, and store nothing. */
  readonly dryRun?: boolean;
}

export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface DeleteOptions extends Preconditions, Call {
  /** What becomes of the objects it owns: they stay without owner, or the server deletes them. */
  readonly propagation: 'Orphan' | 'Background';
}

export interface Kube {
  /** The object, or null when there is none of that name. */
  get(kind: Kind, key: ObjectKey, options: Call): Promise<KubeObject | null>;
  /** One page in order of namespace and name. A `next` that has grown too old fails as gone. */
  list(kind: Kind, options: ListOptions): Promise<Page>;
  /**
   * Changes after `resourceVersion`, with bookmarks. Ends when the server closes the stream; throws when
   * it cannot be opened, breaks, or reports an error. `deadlineMs` bounds the opening alone: whoever
   * reads must notice silence by itself and abort.
   */
  watch(kind: Kind, options: WatchOptions): AsyncIterable<WatchEvent>;
  /** Server-side apply: creates the object or merges it. Answers what is stored now. */
  apply(kind: Kind, object: KubeObject, options: ApplyOptions): Promise<KubeObject>;
  create(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject>;
  /** Stores `object` whole; a conflict unless its resourceVersion is still the stored one. */
  replace(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject>;
  /** Asks for deletion; the object may live on until its grace period or its finalizers end. */
  delete(kind: Kind, key: ObjectKey, options: DeleteOptions): Promise<void>;
  /** Deletes a pod if its disruption budget allows; 429 if it does not. */
  evict(pod: ObjectKey, options: Preconditions & Call): Promise<void>;
  /** Whether the server knows this kind at all. */
  serves(kind: Kind, options: Call): Promise<boolean>;
}
