/**
 * Compares a store that a watch keeps with a list read beside it. The list has a version, and so has each
 * event; once the watch has come to the list's version, every difference that is not newer than that
 * version is drift.
 */
import { keyOf } from './object.ts';
import type { ObjectStore } from './object-store.ts';
import type { KubeObject, ObjectKey } from './types.ts';

interface Listed {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly version: number;
}

export class Audit {
  /** Objects whose deletion the watch told since the audit began; null: not begun. */
  #deleted: Set<string> | null = null;
  #list: { readonly objects: ReadonlyMap<string, Listed>; readonly version: number } | null = null;

  /** To be called before the list is asked for. */
  start(): void {
    this.#deleted = new Set();
  }

  deleted({ metadata }: KubeObject): void {
    this.#deleted?.add(metadata.uid ?? '');
  }

  listed(items: readonly KubeObject[], version: string): void {
    const objects = new Map(
      items.map((object) => {
        const uid = object.metadata.uid ?? '';
        return [uid, { key: keyOf(object), uid, version: versionOf(object) }];
      }),
    );
    this.#list = { objects, version: Number(version) };
  }

  /** Whether there is a list and the watch has come to it. */
  isDue(watchVersion: string): boolean {
    return this.#list !== null && Number(watchVersion) >= this.#list.version;
  }

  /** Names of objects that the store has otherwise, too many or too few. */
  drift(store: ObjectStore): readonly string[] {
    if (this.#list === null) return [];
    const { objects, version } = this.#list;
    const isWrong = ({ key, uid, version: listed }: Listed): boolean => {
      if (this.#deleted?.has(uid) === true) return false;
      const stored = store.get(key);
      return stored?.metadata.uid !== uid || versionOf(stored) < listed;
    };
    const absent = [...objects.values()].filter(isWrong).map(({ key }) => key.name);
    const ghosts = store
      .list()
      .filter((stored) => !objects.has(stored.metadata.uid ?? '') && versionOf(stored) <= version)
      .map(({ metadata }) => metadata.name);
    return [...absent, ...ghosts];
  }
}

/** Versions of one API server are numbers that grow. */
const versionOf = ({ metadata }: KubeObject): number => Number(metadata.resourceVersion);
