/**
 * Ordered listings over all shards: each shard is in byte order, so a merge of the shards is too. A
 * page comes from one fixed view of the table, whatever is applied meanwhile.
 */
import { compareBytes, concatBytes } from '../common/bytes.ts';
import type { LogIndex } from '../common/ids.ts';
import { afterPrefix, keyOfRecordKey, SHARDS, shardKey } from '../metadata/keys.ts';
import { decodeRecord } from '../metadata/record-codec.ts';
import type { Listed, ListRequest, Page } from './gateway.ts';
import type { TableRow } from './table-rows.ts';
import type { TableView } from './table-view.ts';

const BATCH_MIN = 16;

interface Bounds {
  readonly first: Uint8Array;
  /** null: to the end of the shard. */
  readonly end: Uint8Array | null;
}

/** One page of a listing; closes the view. */
export async function listPage(
  view: TableView,
  request: ListRequest,
  readIndex: LogIndex,
): Promise<Page> {
  try {
    const bounds = boundsOf(request);
    const batch = Math.max(BATCH_MIN, Math.ceil((2 * request.limit) / SHARDS));
    const shards = await Promise.all(
      Array.from({ length: SHARDS }, (_, shard) =>
        ShardCursor.open(view, { shard, bounds, batch }),
      ),
    );
    const merge = new ShardHeap(shards);
    const entries: Listed[] = [];
    while (entries.length <= request.limit) {
      const next = await merge.take();
      if (next === null) break;
      entries.push(next);
    }
    const more = entries.length > request.limit;
    return { entries: entries.slice(0, request.limit), more, readIndex };
  } finally {
    await view.close();
  }
}

function boundsOf(request: ListRequest): Bounds {
  const { prefix, start, end, after } = request;
  let first = compareBytes(start, prefix) > 0 ? start : prefix;
  if (after !== null) {
    const next = concatBytes([after, Uint8Array.of(0)]);
    if (compareBytes(next, first) > 0) first = next;
  }
  const prefixEnd = prefix.length === 0 ? undefined : afterPrefix(prefix);
  if (end.length === 0) return { first, end: prefixEnd ?? null };
  if (prefixEnd !== undefined && compareBytes(prefixEnd, end) < 0) return { first, end: prefixEnd };
  return { first, end };
}

class ShardCursor {
  readonly #view: TableView;
  readonly #options: { readonly shard: number; readonly bounds: Bounds; readonly batch: number };
  /** What is not listed of a row, such as an inline value, is let go of at once. */
  #rows: readonly Listed[] = [];
  #at = 0;
  #next: Uint8Array;
  #isDone = false;

  private constructor(
    view: TableView,
    options: { readonly shard: number; readonly bounds: Bounds; readonly batch: number },
  ) {
    this.#view = view;
    this.#options = options;
    this.#next = shardKey(options.shard, options.bounds.first);
  }

  static async open(
    view: TableView,
    options: { readonly shard: number; readonly bounds: Bounds; readonly batch: number },
  ): Promise<ShardCursor> {
    const cursor = new ShardCursor(view, options);
    await cursor.#refill();
    return cursor;
  }

  /** The least key not taken yet; null at the end. */
  get key(): Uint8Array | null {
    return this.#rows[this.#at]?.key ?? null;
  }

  async take(): Promise<Listed> {
    const row = this.#rows[this.#at];
    if (row === undefined) throw new RangeError('the cursor is at its end');
    this.#at += 1;
    if (this.#at === this.#rows.length && !this.#isDone) {
      this.#next = concatBytes([shardKey(this.#options.shard, row.key), Uint8Array.of(0)]);
      await this.#refill();
    }
    return row;
  }

  async #refill(): Promise<void> {
    const { shard, bounds, batch } = this.#options;
    const end = bounds.end === null ? shardEnd(shard) : shardKey(shard, bounds.end);
    const rows =
      compareBytes(this.#next, end) < 0 ? await this.#view.range(this.#next, end, batch) : [];
    this.#rows = rows.map(listedOf);
    this.#at = 0;
    this.#isDone = this.#rows.length < batch;
  }
}

function shardEnd(shard: number): Uint8Array {
  const [table = 0] = shardKey(shard, new Uint8Array(0));
  return shard === SHARDS - 1 ? Uint8Array.of(table + 1) : Uint8Array.of(table, shard + 1);
}

/**
 * The shards that have keys left as a binary heap by their least key: place 0 is the least, the
 * children of place i are at 2i + 1 and 2i + 2.
 */
class ShardHeap {
  readonly #heap: ShardCursor[];

  constructor(shards: readonly ShardCursor[]) {
    this.#heap = shards.filter(({ key }) => key !== null);
    for (let i = this.#heap.length >>> 1; i >= 0; i -= 1) this.#sink(i);
  }

  /** The least row of all shards; null at the end. */
  async take(): Promise<Listed | null> {
    const [least] = this.#heap;
    if (least === undefined) return null;
    const row = await least.take();
    if (least.key === null) {
      const last = this.#heap.pop();
      if (last !== undefined && last !== least) this.#heap[0] = last;
    }
    this.#sink(0);
    return row;
  }

  #sink(from: number): void {
    let at = from;
    while (true) {
      const left = this.#lesser(at, 2 * at + 1);
      const least = this.#lesser(left, 2 * at + 2);
      if (least === at) return;
      const upper = this.#heap[at];
      const lower = this.#heap[least];
      if (upper === undefined || lower === undefined) return;
      this.#heap[at] = lower;
      this.#heap[least] = upper;
      at = least;
    }
  }

  /** The place of the lesser key; one that does not exist is never it. */
  #lesser(a: number, b: number): number {
    const keyA = this.#heap[a]?.key;
    const keyB = this.#heap[b]?.key;
    if (keyB === undefined || keyB === null) return a;
    return keyA !== undefined && keyA !== null && compareBytes(keyA, keyB) <= 0 ? a : b;
  }
}

function listedOf([rowKey, value]: TableRow): Listed {
  const { size, blobId, digest, version } = decodeRecord(value).value;
  return { key: keyOfRecordKey(rowKey), size, blobId, digest, version };
}
