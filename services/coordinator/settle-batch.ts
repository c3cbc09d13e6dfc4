/** Settlements for one disk and action that leave as one request; each caller gets its own part. */
import { asError } from '../common/errors.ts';
import type { CopyId } from '../common/ids.ts';

export type SettleAction = 'finalize' | 'discard' | 'drop';

/** Copies of one request. */
const COPIES_MAX = 4096;

interface Caller {
  readonly first: number;
  readonly count: number;
  readonly resolve: (results: readonly boolean[]) => void;
  readonly reject: (error: Error) => void;
}

export class SettleBatch {
  readonly #copyIds: CopyId[] = [];
  readonly #callers: Caller[] = [];

  hasRoomFor(count: number): boolean {
    return this.#copyIds.length === 0 || this.#copyIds.length + count <= COPIES_MAX;
  }

  add(copyIds: readonly CopyId[]): Promise<readonly boolean[]> {
    const first = this.#copyIds.length;
    this.#copyIds.push(...copyIds);
    return new Promise((resolve, reject) => {
      this.#callers.push({ first, count: copyIds.length, resolve, reject });
    });
  }

  /** Sends all by `settle` and tells every caller how its copies fared. */
  send(settle: (copyIds: readonly CopyId[]) => Promise<readonly boolean[]>): void {
    settle(this.#copyIds).then(
      (results) => {
        for (const { first, count, resolve } of this.#callers) {
          resolve(results.slice(first, first + count));
        }
      },
      (error: unknown) => {
        for (const { reject } of this.#callers) reject(asError(error));
      },
    );
  }
}
