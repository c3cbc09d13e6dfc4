/** The port over HTTP: paths, query and bodies as the API server wants them. */

import { SECOND_MS } from '../../services/common/units.ts';
import type { HttpTransport, KubeRequest } from './http-transport.ts';
import { fieldOf, listOf, textOf } from './json.ts';
import { KINDS } from './kinds.ts';
import { KubeError, NO_ANSWER } from './kube-error.ts';
import { keyOf, readObject } from './object.ts';
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
} from './types.ts';
import { readEvents } from './watch-lines.ts';

const APPLY_TYPE = 'application/apply-patch+yaml';
const FIELD_MANAGER = 'minikv-operator';
/** At least: the server itself tries for ten seconds when a precondition of an eviction does not hold. */
const EVICT_MS_MIN = 20 * SECOND_MS;

export class HttpKube implements Kube {
  readonly #transport: HttpTransport;

  constructor(transport: HttpTransport) {
    this.#transport = transport;
  }

  async get(kind: Kind, key: ObjectKey, options: Call): Promise<KubeObject | null> {
    try {
      return await this.#object(kind, {
        method: 'GET',
        verb: 'get',
        path: pathOf(kind, key),
        resource: kind.plural,
        ...callOf(options),
      });
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return null;
      throw error;
    }
  }

  async list(kind: Kind, options: ListOptions): Promise<Page> {
    const { limit, continueFrom } = options;
    const answer = await this.#transport.send({
      method: 'GET',
      verb: 'list',
      path: collectionPath(kind, options.namespace),
      resource: kind.plural,
      query: { ...selectionQuery(options), limit: limit?.toString(), continue: continueFrom },
      ...callOf(options),
    });
    return {
      items: listOf(fieldOf(answer, 'items')).map((item) => readObject(kind, item)),
      resourceVersion: textOf(fieldOf(answer, 'metadata', 'resourceVersion')),
      next: textOf(fieldOf(answer, 'metadata', 'continue')) || null,
    };
  }

  async *watch(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const body = await this.#transport.stream({
      method: 'GET',
      verb: 'watch',
      path: collectionPath(kind, options.namespace),
      resource: kind.plural,
      query: {
        ...selectionQuery(options),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: options.resourceVersion,
        timeoutSeconds: String(options.timeoutSeconds),
      },
      ...callOf(options),
    });
    try {
      yield* readEvents(kind, body);
    } catch (cause) {
      options.signal.throwIfAborted();
      if (cause instanceof KubeError) throw cause;
      const message = `watch ${kind.plural}: the stream broke`;
      throw new KubeError({ code: 0, reason: NO_ANSWER, message, cause });
    }
  }

  apply(kind: Kind, object: KubeObject, options: ApplyOptions): Promise<KubeObject> {
    const { manager, force = false, subresource, dryRun = false } = options;
    return this.#object(kind, {
      method: 'PATCH',
      verb: 'apply',
      path: pathOf(kind, keyOf(object), subresource),
      resource: resourceOf(kind, subresource),
      query: {
        fieldManager: manager,
        force: String(force),
        dryRun: dryRun ? 'All' : undefined,
        fieldValidation: 'Strict',
      },
      body: object,
      contentType: APPLY_TYPE,
      ...callOf(options),
    });
  }

  create(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject> {
    return this.#object(kind, {
      method: 'POST',
      verb: 'create',
      path: collectionPath(kind, object.metadata.namespace),
      resource: kind.plural,
      query: { fieldManager: FIELD_MANAGER },
      body: object,
      ...callOf(options),
    });
  }

  replace(kind: Kind, object: KubeObject, options: Call): Promise<KubeObject> {
    return this.#object(kind, {
      method: 'PUT',
      verb: 'update',
      path: pathOf(kind, keyOf(object)),
      resource: kind.plural,
      query: { fieldManager: FIELD_MANAGER },
      body: object,
      ...callOf(options),
    });
  }

  async delete(kind: Kind, key: ObjectKey, options: DeleteOptions): Promise<void> {
    await this.#transport.send({
      method: 'DELETE',
      verb: 'delete',
      path: pathOf(kind, key),
      resource: kind.plural,
      body: deleteBody(options, options.propagation),
      ...callOf(options),
    });
  }

  async evict(pod: ObjectKey, options: Preconditions & Call): Promise<void> {
    await this.#transport.send({
      method: 'POST',
      verb: 'create',
      path: pathOf(KINDS.pod, pod, 'eviction'),
      resource: resourceOf(KINDS.pod, 'eviction'),
      body: {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: pod,
        deleteOptions: deleteBody(options),
      },
      signal: options.signal,
      deadlineMs: Math.max(EVICT_MS_MIN, options.deadlineMs ?? 0),
    });
  }

  async serves(kind: Kind, options: Call): Promise<boolean> {
    try {
      const answer = await this.#transport.send({
        method: 'GET',
        verb: 'discover',
        path: rootOf(kind),
        resource: kind.plural,
        ...callOf(options),
      });
      const resources = listOf(fieldOf(answer, 'resources'));
      return resources.some((resource) => fieldOf(resource, 'name') === kind.plural);
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return false;
      throw error;
    }
  }

  async #object(kind: Kind, request: KubeRequest): Promise<KubeObject> {
    return readObject(kind, await this.#transport.send(request));
  }
}

const callOf = ({ signal, deadlineMs }: Call): Call =>
  deadlineMs === undefined ? { signal } : { signal, deadlineMs };

const rootOf = ({ apiVersion }: Pick<Kind, 'apiVersion'>): string =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

/** Where the objects of a kind are, all of them or those of a namespace. */
export function collectionPath(
  kind: Pick<Kind, 'apiVersion' | 'plural'>,
  namespace: string | undefined,
): string {
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${rootOf(kind)}${within}/${kind.plural}`;
}

function pathOf(kind: Kind, { namespace, name }: ObjectKey, subresource?: string): string {
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

const resourceOf = ({ plural }: Kind, subresource: string | undefined): string =>
  subresource === undefined ? plural : `${plural}/${subresource}`;

const selectionQuery = ({ labelSelector, fieldSelector }: Selection) => ({
  labelSelector,
  fieldSelector,
});

const deleteBody = ({ uid, resourceVersion }: Preconditions, propagationPolicy?: string) => ({
  apiVersion: 'v1',
  kind: 'DeleteOptions',
  preconditions: { uid, resourceVersion },
  propagationPolicy,
});
