/**
 * Copies that an earlier life of this volume staged and whose record was destroyed since: without an
 * owner nobody can be asked what became of them. Votes of earlier sessions do not count, so a copy that
 * no record names once this session has begun will never be named. Whoever walks over all records of a
 * state of this session therefore settles it: what the walk did not name goes.
 */
import type { CopyId } from '../common/ids.ts';
import type { CopyInfo, StorageEngine } from '../storage/types.ts';

const PAGE_MAX = 500;

export class Unnamed {
  readonly #engine: StorageEngine;
  /** Those of an earlier life that a coordinator has asked about: a read that fails takes no owner from them. */
  readonly #named = new Set<CopyId>();

  constructor(engine: StorageEngine) {
    this.#engine = engine;
  }

  /** A record names this copy. */
  name(copy: CopyInfo): void {
    if (isInherited(copy)) this.#named.add(copy.copyId);
  }

  /** A walk over all records has named all that it will: drops the rest, and resolves once that is durable. */
  async walkEnded(): Promise<void> {
    let after: CopyId | null = null;
    for (;;) {
      const page = await this.#engine.list(after, PAGE_MAX, ['staged']);
      const unnamed = page.filter((copy) => this.#isUnnamed(copy));
      // At once: they share one sync.
      await Promise.all(unnamed.map(({ copyId }) => this.#engine.drop(copyId)));
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.copyId;
    }
  }

  #isUnnamed(copy: CopyInfo): boolean {
    return isInherited(copy) && copy.owner.length === 0 && !this.#named.has(copy.copyId);
  }
}

const isInherited = ({ state, stagedForMs }: CopyInfo): boolean =>
  state === 'staged' && stagedForMs === Number.POSITIVE_INFINITY;
