/** The last seen state of the objects of one kind, by namespace and name. */
import { keyOf } from './object.ts';
import type { KubeObject, ObjectKey } from './types.ts';

export class ObjectStore {
  readonly #namespaces = new Map<string, Map<string, KubeObject>>();

  get({ namespace = '', name }: ObjectKey): KubeObject | null {
    return this.#namespaces.get(namespace)?.get(name) ?? null;
  }

  /** All objects, or those of one namespace, in no order. */
  list(namespace?: string): readonly KubeObject[] {
    if (namespace !== undefined) return [...(this.#namespaces.get(namespace)?.values() ?? [])];
    return [...this.#namespaces.values()].flatMap((objects) => [...objects.values()]);
  }

  put(object: KubeObject): void {
    const { namespace = '', name } = keyOf(object);
    const objects = this.#namespaces.get(namespace) ?? new Map<string, KubeObject>();
    objects.set(name, object);
    this.#namespaces.set(namespace, objects);
  }

  remove({ namespace = '', name }: ObjectKey): void {
    const objects = this.#namespaces.get(namespace);
    objects?.delete(name);
    if (objects?.size === 0) this.#namespaces.delete(namespace);
  }
}
