/**
 * What a flush writes about itself. Each leaves a row that names the flush before it, and the newest
 * ones stay: LevelDB may drop part of its own log in silence when it opens, and then the chain has a
 * hole. As many are kept as two full LevelDB logs can hold, so the hole lies within the chain.
 */
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { checkFormat } from '../common/format.ts';
import { logIndex, term } from '../common/ids.ts';
import type { LogPoint } from '../raft/types.ts';
import type { TableOperation } from './table.ts';
import { checked, numberedKey, numberOfKey, sealed, type TableRow } from './table-rows.ts';

/** What a flush stands for. */
export interface FlushMeta {
  readonly point: LogPoint;
  /** Digest of the whole state at that point. */
  readonly digest: string;
  /** True where the state came by a snapshot: the log may end before the point. */
  readonly installed: boolean;
}

/** Two LevelDB logs of 4 MiB, and no flush writes less than 256 bytes. */
export const FLUSHES_KEPT = 32_768;

/** 1 had a row for each outcome, 2 has them in pages. */
const FORMAT_VERSION = 2;
/** Both stand below all tables of the metadata. */
export const META_KEY = Uint8Array.of(0x00);
const CHAIN_TABLE = 0x01;
export const CHAIN_FIRST = Uint8Array.of(CHAIN_TABLE);
export const CHAIN_END = Uint8Array.of(CHAIN_TABLE + 1);

interface StoredMeta {
  readonly meta: FlushMeta | null;
  /** The rows are of an older format: outcomes have rows of their own. */
  readonly hasOutcomeRows: boolean;
}

export type ReadChain =
  | ({ readonly kind: 'chain'; readonly chain: FlushChain } & StoredMeta)
  | { readonly kind: 'void'; readonly why: string };

export class FlushChain {
  /** Indexes of the flushes kept, oldest first. */
  readonly #indexes: number[];
  readonly #kept: number;

  constructor(indexes: number[] = [], kept: number = FLUSHES_KEPT) {
    this.#indexes = indexes;
    this.#kept = kept;
  }

  /**
   * From the stored rows: without a hole from the oldest kept flush to the one of `meta`. As long as none had
   * to go for their number, the oldest is the first of all, and what it names before itself is nothing.
   */
  static read(
    rows: readonly TableRow[],
    storedMeta: Uint8Array | undefined,
    kept: number = FLUSHES_KEPT,
  ): ReadChain {
    if (storedMeta === undefined) {
      if (rows.length > 0) return { kind: 'void', why: 'the newest flush is missing' };
      return { kind: 'chain', chain: new FlushChain(), meta: null, hasOutcomeRows: false };
    }
    const { meta, hasOutcomeRows } = decodeMeta(checked(META_KEY, storedMeta));
    const indexes: number[] = [];
    const isCut = rows.length >= kept;
    for (const [key, value] of rows) {
      const index = numberOfKey(key);
      const before = new ByteReader(checked(key, value)).u64();
      const isOldestOfCut = isCut && indexes.length === 0;
      if (!isOldestOfCut && before !== (indexes.at(-1) ?? 0)) {
        return { kind: 'void', why: `the flush before ${index} is missing` };
      }
      indexes.push(index);
    }
    if ((indexes.at(-1) ?? 0) !== meta.point.index) {
      return { kind: 'void', why: 'the newest flush is not the last of its chain' };
    }
    return { kind: 'chain', chain: new FlushChain(indexes, kept), meta, hasOutcomeRows };
  }

  /** The rows that a flush adds to its batch; the chain counts it from now on. */
  append(meta: FlushMeta): readonly TableOperation[] {
    const operations: TableOperation[] = [
      { type: 'put', key: META_KEY, value: sealed(META_KEY, encodeMeta(meta)) },
    ];
    const { index } = meta.point;
    const previous = this.#indexes.at(-1) ?? 0;
    if (index === previous) return operations;
    const key = numberedKey(CHAIN_TABLE, index);
    const value = sealed(key, new ByteWriter(8).u64(previous).finish());
    operations.push({ type: 'put', key, value });
    this.#indexes.push(index);
    while (this.#indexes.length > this.#kept) {
      operations.push({ type: 'del', key: numberedKey(CHAIN_TABLE, this.#indexes.shift() ?? 0) });
    }
    return operations;
  }
}

function encodeMeta(meta: FlushMeta): Uint8Array {
  return new ByteWriter(64)
    .u8(FORMAT_VERSION)
    .u64(meta.point.index)
    .u64(meta.point.term)
    .u8(meta.installed ? 1 : 0)
    .text(meta.digest)
    .finish();
}

function decodeMeta(bytes: Uint8Array): { meta: FlushMeta; hasOutcomeRows: boolean } {
  const from = new ByteReader(bytes);
  const version = from.u8();
  checkFormat('the metadata are', version, FORMAT_VERSION);
  const point = { index: logIndex(from.u64()), term: term(from.u64()) };
  const installed = from.u8() === 1;
  const digest = from.text();
  from.end();
  return { meta: { point, installed, digest }, hasOutcomeRows: version === 1 };
}
