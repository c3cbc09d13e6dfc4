/**
 * News of decisions on their way to one disk. Those that come within a moment leave as one request for
 * each action, with whatever else leaves for that disk; each caller gets its own part of the reply.
 */
import type { Clock, Timer } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import type { CopyId } from '../common/ids.ts';
import { LIMITS } from './limits.ts';

export type SettleAction = 'finalize' | 'discard' | 'drop';

/** Copies of one request. */
const COPIES_MAX = 4096;

interface Caller {
  readonly first: number;
  readonly count: number;
  readonly resolve: (results: readonly boolean[]) => void;
  readonly reject: (error: Error) => void;
}

/** Asks the disk. */
type Settle = (action: SettleAction, copyIds: readonly CopyId[]) => Promise<readonly boolean[]>;

export class Settlements {
  readonly #clock: Clock;
  readonly #settle: Settle;
  /** A new map each time, for what `InFlight` says of old ones. */
  #gathering = new Map<SettleAction, SettleBatch>();
  #linger: Timer | null = null;

  constructor(clock: Clock, settle: Settle) {
    this.#clock = clock;
    this.#settle = settle;
  }

  add(action: SettleAction, copyIds: readonly CopyId[]): Promise<readonly boolean[]> {
    let batch = this.#gathering.get(action);
    if (batch?.hasRoomFor(copyIds.length) !== true) {
      if (batch !== undefined) this.leave();
      batch = new SettleBatch();
      this.#gathering.set(action, batch);
    }
    // Nobody waits for it, and every message that is spared spares two processes a wake-up.
    this.#linger ??= this.#clock.after(LIMITS.settleLingerMs, () => this.leave());
    return batch.add(copyIds);
  }

  /** What has gathered leaves now. */
  leave(): void {
    this.#linger?.cancel();
    this.#linger = null;
    const gathered = this.#gathering;
    this.#gathering = new Map();
    for (const [action, batch] of gathered) {
      batch.send((copyIds) => this.#settle(action, copyIds));
    }
  }
}

class SettleBatch {
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
