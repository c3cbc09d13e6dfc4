/**
 * Answers remembered for retries, the newest IDEMPOTENCY_ROWS_MAX of a principal by log order. Rows
 * are in the store; here stands only each principal's order. Principals are configured, hence few.
 */
import type { Digest, TxnId } from '../common/ids.ts';
import type { Commit } from './commands.ts';
import { idempotencyKey, idempotencyOf } from './keys.ts';
import { IDEMPOTENCY_ROWS_MAX } from './limits.ts';
import { decodeAnswer, encodeAnswer, type StoredAnswer } from './record-codec.ts';
import type { TxnOutcome } from './records.ts';
import type { RowStore } from './row-store.ts';

export interface Asked {
  readonly principal: string;
  readonly key: string;
  readonly requestHash: Digest;
}

export class IdempotencyTable {
  readonly #rows: RowStore;
  readonly #rowsMax: number;
  /** Keys of each principal, oldest first: a Set keeps the order in which they came. */
  readonly #order = new Map<string, Set<string>>();

  constructor(rows: RowStore, rowsMax: number = IDEMPOTENCY_ROWS_MAX) {
    this.#rows = rows;
    this.#rowsMax = rowsMax;
  }

  /** Takes up stored rows in any order. */
  restore(stored: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): void {
    const known = stored.map(([key, value]) => ({
      ...idempotencyOf(key),
      at: decodeAnswer(value).outcome.index,
    }));
    known.sort((a, b) => a.at - b.at);
    for (const row of known) this.#orderOf(row.principal).add(row.key);
  }

  find(asked: NonNullable<Commit['idempotency']>): StoredAnswer | undefined {
    const row = this.#rows.get(idempotencyKey(asked.principal, asked.key));
    return row === undefined ? undefined : decodeAnswer(row);
  }

  /** Remembers the first answer to a key; `outcome.index` is the present log index. */
  remember(asked: Asked, txnId: TxnId, outcome: TxnOutcome): void {
    const row = encodeAnswer(this.#rows.writer, {
      requestHash: asked.requestHash,
      txnId,
      outcome,
    });
    this.#rows.put(idempotencyKey(asked.principal, asked.key), row, undefined);
    const order = this.#orderOf(asked.principal);
    order.add(asked.key);
    if (order.size > this.#rowsMax) this.#evict(asked.principal, order);
  }

  #evict(principal: string, order: Set<string>): void {
    const [oldest] = order;
    if (oldest === undefined) return;
    order.delete(oldest);
    const key = idempotencyKey(principal, oldest);
    const row = this.#rows.get(key);
    if (row !== undefined) this.#rows.delete(key, row);
  }

  #orderOf(principal: string): Set<string> {
    let order = this.#order.get(principal);
    if (order === undefined) {
      order = new Set();
      this.#order.set(principal, order);
    }
    return order;
  }
}
